//! GET over HTTP/1.1, plain or with TLS, on a fresh connection.
//!
//! Redirects are answers like any other: a check that expects 200 and gets 302 fails, and says so.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::tcp;
use super::tls::Tls;

/// How much of an answer is read when a text is looked for, bytes.
const BODY_MAX: usize = 64 << 10;

/// Longest head of an answer, bytes: status line and headers.
const HEAD_MAX: usize = 32 << 10;

/// Asks and compares.
pub(super) async fn check(tls: &Tls, url: &str, status: u16, contains: Option<&str>) -> Result<(), String> {
    let target = Target::parse(url)?;
    let stream = tcp::connect(&target.address).await?;
    let judged = async |response: Response<Incoming>| judge(response, status, contains).await;
    if target.secure {
        let stream = tls.handshake(&target.host, stream).await?;
        ask(&target, stream, judged).await
    } else {
        ask(&target, stream, judged).await
    }
}

/// Asks for the head of the answer only.
pub(super) async fn head(tls: &Tls, url: &str) -> Result<Head, String> {
    let target = Target::parse(url)?;
    let stream = tcp::connect(&target.address).await?;
    let read = async |response: Response<Incoming>| {
        let date = response.headers().get(header::DATE).and_then(|d| d.to_str().ok());
        Ok(Head { date: date.map(str::to_owned), status: response.status().as_u16() })
    };
    if target.secure {
        let stream = tls.handshake(&target.host, stream).await?;
        ask(&target, stream, read).await
    } else {
        ask(&target, stream, read).await
    }
}

/// Asks for the text of an answer, at most [`BODY_MAX`] of it.
pub(super) async fn text(tls: &Tls, url: &str) -> Result<String, String> {
    let target = Target::parse(url)?;
    let stream = tcp::connect(&target.address).await?;
    let read = async |response: Response<Incoming>| {
        if response.status().as_u16() != 200 {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = body_until(response, |_| false).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    };
    if target.secure {
        let stream = tls.handshake(&target.host, stream).await?;
        ask(&target, stream, read).await
    } else {
        ask(&target, stream, read).await
    }
}

/// What is wanted of the head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) date: Option<String>,
    pub(crate) status: u16,
}

#[derive(Debug, PartialEq, Eq)]
struct Target {
    secure: bool,
    /// Without brackets.
    host: String,
    address: String,
    /// As the `Host` header has it.
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("{url}: {e}"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{url}: must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{url}: names no host"))?;
        // Words before an @ are a password more often than not, and would be shown in every finding.
        if authority.as_str().contains('@') {
            return Err("a user name in the address is not supported".to_owned());
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self {
            secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            address: format!("{}:{port}", authority.host()),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

async fn ask<S, T>(
    target: &Target,
    stream: S,
    judge: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
) -> Result<T, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|e| reason(&e))?;
    let request = Request::get(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, concat!("wellkept/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| reason(&e))?;
        judge(response).await
    };
    // The connection does its work only while it is polled; it ends with the exchange.
    tokio::pin!(exchange, connection);
    let mut connected = true;
    loop {
        tokio::select! {
            biased;
            result = &mut exchange => return result,
            ended = &mut connection, if connected => {
                connected = false;
                // The answer may be complete and waiting: let the exchange say what it makes of it.
                let _ = ended;
            }
        }
    }
}

async fn judge<B>(response: Response<B>, status: u16, contains: Option<&str>) -> Result<(), String>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    if response.status().as_u16() != status {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let Some(text) = contains else { return Ok(()) };
    let read = body_until(response, |read| holds(read, text.as_bytes())).await?;
    if holds(&read, text.as_bytes()) { Ok(()) } else { Err(format!("the answer does not contain {text:?}")) }
}

/// What came until it was enough, at most [`BODY_MAX`].
async fn body_until<B>(response: Response<B>, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, String>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| reason(&e))?;
        if let Some(data) = frame.data_ref() {
            let room = BODY_MAX.saturating_sub(read.len());
            read.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        }
        if enough(&read) || read.len() >= BODY_MAX {
            break;
        }
    }
    Ok(read)
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|w| w == text)
}

/// The innermost reason, which is the one that people know.
fn reason(error: &hyper::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers one request with these bytes and gives its address and what was asked.
    async fn server(answer: impl Into<Vec<u8>>) -> (String, tokio::task::JoinHandle<String>) {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/healthz?a=1", socket.local_addr().expect("it is bound"));
        let answer = answer.into();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = socket.accept().await.expect("somebody asks");
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.expect("a request");
            // The other side may hang up early.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        (url, asked)
    }

    async fn get(url: &str, status: u16, contains: Option<&str>) -> Result<(), String> {
        check(&Tls::default(), url, status, contains).await
    }

    #[tokio::test]
    async fn status_and_text_decide() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall well";
        for (answer, contains, expected) in [
            (ok, None, Ok(())),
            (ok, Some("well"), Ok(())),
            (ok, Some("ill"), Err("the answer does not contain \"ill\"")),
            ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", None, Err("status 500")),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", None, Err("status 302")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwel\r\n1\r\nl\r\n0\r\n\r\n",
                Some("well"),
                Ok(()),
            ),
        ] {
            let (url, _) = server(answer).await;
            assert_eq!(get(&url, 200, contains).await, expected.map_err(str::to_owned), "{answer}");
        }
    }

    #[tokio::test]
    async fn the_request_names_the_host_and_the_whole_path() {
        let (url, asked) = server("HTTP/1.1 204 No\r\n\r\n").await;
        assert_eq!(get(&url, 204, None).await, Ok(()));
        let asked = asked.await.expect("the server ends");
        assert!(asked.starts_with("GET /healthz?a=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test]
    async fn only_the_first_64_kib_are_searched() {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.extend(vec![b'x'; BODY_MAX]);
        answer.extend(b"late");
        let (url, _) = server(answer).await;
        assert!(get(&url, 200, Some("late")).await.is_err());
    }

    #[tokio::test]
    async fn an_endless_head_or_something_else_is_no_answer() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2 * HEAD_MAX));
        for answer in [endless.as_str(), "SSH-2.0-OpenSSH\r\n", ""] {
            let (url, _) = server(answer).await;
            assert!(get(&url, 200, None).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_fails_an_https_check() {
        let (url, _) = server("HTTP/1.1 200 OK\r\n\r\n").await;
        let failure = get(&url.replace("http:", "https:"), 200, None).await.expect_err("it is plain");
        assert!(failure.starts_with("TLS: "), "{failure}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        let target = Target::parse("https://[::1]:8443/x").expect("a good address");
        assert_eq!(
            (target.secure, target.host.as_str(), target.address.as_str()),
            (true, "::1", "[::1]:8443")
        );
        let target = Target::parse("http://example.org").expect("a good address");
        assert_eq!((target.address.as_str(), target.path.as_str()), ("example.org:80", "/"));
        for bad in ["ftp://x/", "/healthz", "http://user:word@x/", ""] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
