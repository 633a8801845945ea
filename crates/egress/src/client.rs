//! One request, one bounded answer.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::{EgressError, TlsOptions};

/// Longest head of an answer, bytes.
const HEAD_MAX: usize = 64 << 10;
/// How long an unused connection is kept. Scrapes come every few seconds to minutes.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Unused connections to one server.
const IDLE_PER_HOST: usize = 2;

/// Asks servers. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: Method,
    /// Absolute, with http or https, without user and password.
    pub url: &'a str,
    /// Further headers. The values of `authorization` and the like are never logged.
    pub headers: Vec<(HeaderName, String)>,
    /// Empty for `GET`.
    pub body: Bytes,
    /// Longest body of the answer, bytes.
    pub max: usize,
    /// Time for everything: name, connection, TLS, answer.
    pub within: Duration,
}

impl<'a> Request<'a> {
    /// A `GET` without further headers.
    #[must_use]
    pub fn get(url: &'a str, max: usize, within: Duration) -> Self {
        Self { method: Method::GET, url, headers: Vec::new(), body: Bytes::new(), max, within }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: HeaderMap,
    /// Body, as it came: a content coding is the caller's to undo.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header; empty when there is none that is text.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    /// A client with its own connections.
    ///
    /// # Errors
    /// [`EgressError::Tls`] when the certificates or names do not fit.
    pub fn new(tls: &TlsOptions) -> Result<Self, EgressError> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.config()?).https_or_http();
        let builder = match &tls.server_name {
            None => builder,
            Some(name) => {
                let name = ServerName::try_from(name.clone())
                    .map_err(|_| EgressError::Tls(format!("`{name}` is no name of a server")))?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = builder.enable_http1().wrap_connector(http);
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(HEAD_MAX)
            .build(connector);
        Ok(Self { inner })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`EgressError`] when there is none within the bounds of the request.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, EgressError> {
        let (max, within) = (request.max, request.within);
        let exchange = async {
            let answer = self.inner.request(built(request)?).await.map_err(|e| EgressError::broken(&e))?;
            let (head, body) = answer.into_parts();
            let body = collect(body, max).await?;
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(within, exchange).await.map_err(|_| EgressError::Timeout(within))?
    }
}

fn built(request: Request<'_>) -> Result<hyper::Request<Full<Bytes>>, EgressError> {
    let bad = || EgressError::Address { url: without_secrets(request.url) };
    let uri: Uri = request.url.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.as_str().contains('@') {
        return Err(bad());
    }
    let mut built = hyper::Request::builder()
        .method(request.method)
        .uri(&uri)
        .header(hyper::header::USER_AGENT, concat!("wellkept/", env!("CARGO_PKG_VERSION")));
    for (name, value) in request.headers {
        let mut value = HeaderValue::from_str(&value).map_err(|_| EgressError::Header(name.to_string()))?;
        value.set_sensitive(true);
        built = built.header(name, value);
    }
    built.body(Full::new(request.body)).map_err(|_| bad())
}

/// The address as it may be shown: what stands before an `@` is a password more often than not.
fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.find('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, EgressError> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| EgressError::broken(&e))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > max.saturating_sub(read.len()) {
            return Err(EgressError::TooLong { max });
        }
        read.extend_from_slice(data);
    }
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    /// Answers each request on each connection with the same bytes; tells how many connections there were.
    async fn server(answer: &'static str) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let connections = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    while let Ok(1..) = stream.read(&mut buffer).await {
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (url, connections)
    }

    fn client() -> Client {
        Client::new(&TlsOptions::default()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests() {
        let (url, connections) = server("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi").await;
        let client = client();
        for _ in 0..3 {
            let answer = client.send(Request::get(&url, 100, WITHIN)).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
            assert_eq!(answer.header(HeaderName::from_static("x-a")), "b");
        }
        assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let (url, _) =
            server("HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client().send(Request::get(&url, 100, WITHIN)).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn a_body_beyond_the_bound_is_refused_and_one_at_the_bound_taken() {
        let (url, _) = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        assert!(client().send(Request::get(&url, 5, WITHIN)).await.is_ok());
        let error = client().send(Request::get(&url, 4, WITHIN)).await.unwrap_err();
        assert!(matches!(error, EgressError::TooLong { max: 4 }));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_ends_in_a_timeout() {
        let (url, _) = server("").await;
        let within = Duration::from_millis(100);
        let error = client().send(Request::get(&url, 4, within)).await.unwrap_err();
        assert!(matches!(error, EgressError::Timeout(_)), "{error}");
    }

    #[tokio::test]
    async fn addresses_that_are_none_are_refused_without_showing_a_password() {
        for url in ["ftp://a/", "a/b", "http://", "http://user:word@a/", ""] {
            let error = client().send(Request::get(url, 4, WITHIN)).await.unwrap_err();
            assert!(matches!(error, EgressError::Address { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("word"), "{error}");
        }
    }
}
