//! HTTP/1.1 towards targets, discovery servers and receivers: one kept connection, bounded answers, careful redirects.
//!
//! Credentials, our certificate and headers of the operator go to the server that was configured and to no other: a
//! redirect that leads elsewhere is followed without them, and never from the outside to this host itself. Time limits
//! are left to the caller, who drops the call; a connection that was in use then is closed.

mod budget;
mod connect;

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::config::{Auth, HttpConfig, TlsConfig};
use crate::secret::Secret;
use crate::tls::Tls;
use crate::url::Url;
use budget::Share;
use connect::Driver;

pub(crate) use budget::Budget;

/// Bytes that are decompressed at a time.
const PART: usize = 64 << 10;
/// Most redirects that are followed in a row.
const REDIRECTS_MAX: usize = 10;

/// Why there is no answer. Texts never hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody could be reached, or the exchange broke off.
    #[error("{0}")]
    Broken(String),
    /// A secret's file cannot be read.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The answer is longer than it may be.
    #[error("body size limit exceeded ({0} bytes)")]
    TooLong(u64),
    /// All long answers together would take more memory than is set aside for them.
    #[error("too many long answers at once")]
    Budget,
    /// What is said to be compressed is not.
    #[error("the answer cannot be decompressed: {0}")]
    Compression(String),
    /// A redirect that is not followed.
    #[error("redirect: {0}")]
    Redirect(String),
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) http: &'a HttpConfig,
    /// Headers of ours, sent to whoever is asked.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    /// Headers of the operator, sent to the configured server only.
    pub(crate) own_headers: &'a [(String, Secret)],
    pub(crate) body: Bytes,
    /// Most bytes of the answer, compressed and not.
    pub(crate) answer_max: u64,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Without compression.
    pub(crate) body: Vec<u8>,
    /// Its part of the budget, until it is dropped.
    _share: Share,
}

impl Answer {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client with at most one connection that is kept between requests.
#[derive(Debug)]
pub(crate) struct Client {
    tls: Arc<Tls>,
    budget: Budget,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    server: Url,
    tls: TlsConfig,
    peer: IpAddr,
    sender: SendRequest<Full<Bytes>>,
    _driver: Driver,
}

/// One step on the way from the configured address to the answer.
struct Hop {
    url: Url,
    method: Method,
    /// The configured server is asked, so it may know who we are.
    trusted: bool,
    /// Addresses of this host and its link may be reached.
    local: bool,
}

impl Client {
    pub(crate) fn new(tls: Arc<Tls>, budget: Budget) -> Self {
        Self { tls, budget, kept: None }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Asks and reads the answer to its end.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>) -> Result<Answer, ClientError> {
        let mut hop = Hop { url: ask.url.clone(), method: ask.method.clone(), trusted: true, local: true };
        for _ in 0..=REDIRECTS_MAX {
            let (response, peer, kept) = self.send(ask, &hop).await?;
            let Some(next) = redirect(ask, &hop, &response, peer)? else {
                let answer = read(response, ask.answer_max, &self.budget).await?;
                self.kept = Some(kept);
                return Ok(answer);
            };
            hop = next;
        }
        Err(ClientError::Redirect(format!("more than {REDIRECTS_MAX} in a row")))
    }

    /// Sends one request; over the kept connection if that still works, else over a new one.
    async fn send(
        &mut self,
        ask: &Ask<'_>,
        hop: &Hop,
    ) -> Result<(Response<Incoming>, IpAddr, Kept), ClientError> {
        // Towards a server that is not the configured one, neither our certificate nor its name counts.
        let tls = if hop.trusted { ask.http.tls.clone() } else { stranger(&ask.http.tls) };
        let usable = self.kept.take().filter(|k| k.server.same_server(&hop.url) && k.tls == tls);
        if let Some(mut kept) = usable
            && kept.sender.ready().await.is_ok()
        {
            let request = request(ask, hop).await?;
            // A server may close a connection that it finds idle at the very moment in which we use it.
            if let Ok(response) = kept.sender.send_request(request).await {
                return Ok((response, kept.peer, kept));
            }
        }
        let request = request(ask, hop).await?;
        let (mut sender, driver, peer) = connect::connect(&self.tls, &self.budget, &tls, &hop.url, hop.local)
            .await
            .map_err(ClientError::Broken)?;
        let response = sender.send_request(request).await.map_err(|e| ClientError::Broken(innermost(&e)))?;
        let server = hop.url.clone();
        Ok((response, peer, Kept { server, tls, peer, sender, _driver: driver }))
    }
}

fn stranger(tls: &TlsConfig) -> TlsConfig {
    TlsConfig { identity: None, server_name: None, ..tls.clone() }
}

async fn request(ask: &Ask<'_>, hop: &Hop) -> Result<Request<Full<Bytes>>, ClientError> {
    let with_body = hop.method == ask.method;
    let body = if with_body { ask.body.clone() } else { Bytes::new() };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hop.method.clone();
    let broken = |_| ClientError::Broken("the address cannot be sent".to_owned());
    *request.uri_mut() = hop.url.path_and_query.parse().map_err(broken)?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&hop.url.authority)
        .map_err(|_| ClientError::Broken("the host cannot be sent".to_owned()))?;
    headers.insert(header::HOST, host);
    let agent = HeaderValue::from_static(concat!("wellkept/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    for (name, value) in ask.headers {
        headers.insert(name.clone(), value.clone());
    }
    if hop.trusted {
        for (name, value) in ask.own_headers {
            if let (Ok(name), Ok(mut value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value.reveal()))
            {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        if let Some(value) = authorization(&ask.http.auth).await? {
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    Ok(request)
}

async fn authorization(auth: &Auth) -> Result<Option<HeaderValue>, ClientError> {
    let text = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { user, password } => {
            let password = match password {
                Some(source) => Some(source.get().await.map_err(ClientError::Credentials)?),
                None => None,
            };
            let pair = format!("{user}:{}", password.as_ref().map_or("", |p| p.reveal()));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Auth::Token { kind, token } => {
            format!("{kind} {}", token.get().await.map_err(ClientError::Credentials)?.reveal())
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ClientError::Credentials("hold characters that a header cannot".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Where the answer leads to; `None` when it is the end of the way.
fn redirect(
    ask: &Ask<'_>,
    hop: &Hop,
    response: &Response<Incoming>,
    peer: IpAddr,
) -> Result<Option<Hop>, ClientError> {
    let location = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
    let (true, Some(location)) = (ask.http.follow_redirects, location) else { return Ok(None) };
    let method = match response.status().as_u16() {
        307 | 308 => hop.method.clone(),
        301..=303 if hop.method == Method::GET => Method::GET,
        _ => return Ok(None),
    };
    let url = hop.url.join(location).map_err(|e| ClientError::Redirect(e.to_string()))?;
    if hop.url.secure && !url.secure {
        return Err(ClientError::Redirect("leads from https to http".to_owned()));
    }
    // Once a stranger was asked, what it says is never trusted again.
    let trusted = hop.trusted && ask.url.same_server(&url);
    let local = hop.local && (trusted || connect::is_local(peer));
    Ok(Some(Hop { url, method, trusted, local }))
}

async fn read(response: Response<Incoming>, max: u64, budget: &Budget) -> Result<Answer, ClientError> {
    let (head, mut incoming) = response.into_parts();
    let mut share = budget.share();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| ClientError::Broken(innermost(&e)))?;
        if let Some(data) = frame.data_ref() {
            grow(&mut body, data, max, &mut share)?;
        }
    }
    let encoding = head.headers.get(header::CONTENT_ENCODING).and_then(|e| e.to_str().ok());
    let body = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => body,
        Some("gzip" | "x-gzip") => decompress(&body, max, &mut share)?,
        Some(other) => return Err(ClientError::Compression(format!("{other:?} was not asked for"))),
    };
    Ok(Answer { status: head.status, headers: head.headers, body, _share: share })
}

/// Adds to a body, within its bound and the budget.
fn grow(body: &mut Vec<u8>, more: &[u8], max: u64, share: &mut Share) -> Result<(), ClientError> {
    if (body.len() + more.len()) as u64 > max {
        return Err(ClientError::TooLong(max));
    }
    if !share.take(more.len()) {
        return Err(ClientError::Budget);
    }
    body.extend_from_slice(more);
    Ok(())
}

fn decompress(packed: &[u8], max: u64, share: &mut Share) -> Result<Vec<u8>, ClientError> {
    let mut decoder = flate2::read::MultiGzDecoder::new(packed);
    let (mut body, mut part) = (Vec::new(), vec![0; PART]);
    loop {
        let count = decoder.read(&mut part).map_err(|e| ClientError::Compression(e.to_string()))?;
        match part.get(..count) {
            None | Some([]) => return Ok(body),
            Some(more) => grow(&mut body, more, max, share)?,
        }
    }
}

/// The innermost reason, which is the one that people know.
fn innermost(error: &hyper::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
