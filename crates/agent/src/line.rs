//! The agent's line to its server: one connection, made anew when it is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use crate::tls;

/// Time for a connection with its handshake.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Time for one request with its answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Where a server listens when its address has no port.
const PORT: u16 = 7677;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// An address that is none.
    #[error("{0:?} is no address of a server; accepted: https://HOST:PORT")]
    Address(String),
    /// It cannot be reached, or is not the one that was pinned.
    #[error("{address} cannot be reached: {error}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The connection broke, or what came is no answer.
    #[error("the connection to {address} broke: {why}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// The server says no.
    #[error("the server refused: {said} (status {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said, made harmless.
        said: String,
    },
}

/// Host and port of `https://HOST[:PORT]`.
pub(crate) fn address_of(url: &str) -> Result<String, LineError> {
    let wrong = || LineError::Address(url.chars().take(200).collect());
    let uri: hyper::Uri = url.trim().parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
    if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong());
    }
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(PORT)))
}

/// The line.
pub(crate) struct Line {
    address: String,
    config: Arc<ClientConfig>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    pub(crate) fn new(url: &str, config: Arc<ClientConfig>) -> Result<Self, LineError> {
        Ok(Self { address: address_of(url)?, config, sender: None })
    }

    /// With another certificate from the next connection on.
    pub(crate) fn change(&mut self, config: Arc<ClientConfig>) {
        self.config = config;
        self.sender = None;
    }

    /// Asks, and gives the body of a good answer, at most `max` bytes.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
        max: usize,
    ) -> Result<Bytes, LineError> {
        let broken = |address: &str, why: String| LineError::Broken { address: address.to_owned(), why };
        let mut sender = match self.sender.take().filter(SendRequest::is_ready) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let mut request = Request::builder().method(method).uri(path).header("host", tls_host());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|e| broken(&self.address, e.to_string()))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), max).collect().await.map_err(|e| e.to_string())?;
            Ok::<_, String>((status, body.to_bytes()))
        };
        let answered = timeout(ANSWER_MAX, exchange).await;
        let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_MAX:?}")));
        let (status, body) = answered.map_err(|why| broken(&self.address, why))?;
        self.sender = Some(sender);
        match status {
            StatusCode::OK => Ok(body),
            other => Err(LineError::Refused { status: other.as_u16(), said: harmless(&body) }),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, LineError> {
        let failed = |error| LineError::Connect { address: self.address.clone(), error };
        let connecting = async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let name = tls::server_name()?;
            let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
            handshake(TokioIo::new(stream)).await.map_err(|e| io::Error::other(e.to_string()))
        };
        let connected = timeout(CONNECT_MAX, connecting).await;
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {CONNECT_MAX:?}"));
        let (sender, connection) = connected.unwrap_or_else(|_| Err(late())).map_err(failed)?;
        tokio::spawn(async move {
            // Its end is seen by whoever asks next.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn tls_host() -> &'static str {
    crate::authority::SERVER_NAME
}

/// The first line of what a server said, without control characters.
fn harmless(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(500)).unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_with_a_host() {
        assert_eq!(address_of("https://a.example:1").unwrap(), "a.example:1");
        assert_eq!(address_of("https://10.0.0.1/").unwrap(), "10.0.0.1:7677");
        assert_eq!(address_of("https://[::1]:99").unwrap(), "[::1]:99");
        for bad in ["", "http://a:1", "a:1", "https://u@a:1", "https://a/x", "https://a/?q", "https://"] {
            assert!(address_of(bad).is_err(), "{bad}");
        }
    }
}
