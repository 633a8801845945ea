//! A connection to a server, plain or with TLS.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Budget;
use crate::config::TlsConfig;
use crate::tls::Tls;
use crate::url::Url;

/// Longest head of an answer, bytes: status line and headers.
const HEAD_MAX: usize = 64 << 10;

/// Moves the bytes of a connection; the connection ends when this is dropped.
#[derive(Debug)]
pub(super) struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects and greets. `local`: addresses of this host and its link are allowed.
pub(super) async fn connect(
    tls: &Tls,
    budget: &Budget,
    config: &TlsConfig,
    url: &Url,
    local: bool,
) -> Result<(SendRequest<Full<Bytes>>, Driver, IpAddr), String> {
    let stream = reach(budget, url, local).await?;
    let peer = stream.peer_addr().map_err(|e| reason(&e))?.ip();
    let (sender, driver) = if url.secure {
        greet(tls.handshake(config, &url.host, stream).await?).await?
    } else {
        greet(stream).await?
    };
    Ok((sender, driver, peer))
}

/// Looks the name up once and connects to what it gave, so that what was checked is what is used.
async fn reach(budget: &Budget, url: &Url, local: bool) -> Result<TcpStream, String> {
    let found = budget.look_up(&url.host, url.port).await;
    let found = found.map_err(|e| format!("{}: {}", url.host, reason(&e)))?;
    let mut failure = format!("{}: has no address", url.host);
    for address in found {
        if !local && is_local(address.ip()) {
            failure = "a redirect may not lead to this host itself or its link".to_owned();
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failure = reason(&error),
        }
    }
    Err(failure)
}

/// Addresses that mean this host or its link: there, services trust whoever can reach them.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

async fn greet<S>(stream: S) -> Result<(SendRequest<Full<Bytes>>, Driver), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    // What goes wrong on the connection is told to whoever waits for an answer.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok((sender, Driver(task.abort_handle())))
}

/// Without the operating system's error number, which says nothing to people.
fn reason(error: &std::io::Error) -> String {
    let text = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => return "connection refused".to_owned(),
        _ => error.to_string(),
    };
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_host_and_its_link_are_local() {
        for (ip, local) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("169.254.169.254", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("fe80::1", true),
            ("10.0.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_local(ip.parse().expect("an address")), local, "{ip}");
        }
    }

    #[tokio::test]
    async fn a_redirect_from_outside_does_not_reach_this_host() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = socket.local_addr().expect("it is bound").port();
        let url = Url::parse(&format!("http://localhost:{port}/")).expect("a good address");
        let refused = reach(&Budget::default(), &url, false).await.expect_err("it is local");
        assert!(refused.contains("may not lead to this host"), "{refused}");
        reach(&Budget::default(), &url, true).await.expect("it listens");
    }
}
