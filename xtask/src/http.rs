//! The smallest HTTP client that does for our own services on loopback: one GET, one answer, closed.
//!
//! HTTP/1.0 on purpose: the answer ends where the connection ends, so there is no chunked body to decode.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Largest answer that is read.
const ANSWER_MAX: u64 = 64 << 20;

/// Status and body of `GET path` at `127.0.0.1:port`.
pub(crate) fn get(port: u16, path: &str, within: Duration) -> Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).with_context(|| format!("no HTTP answer from {address}{path}"))
}

/// Status of `POST path` with a text as its body.
pub(crate) fn post(port: u16, path: &str, body: &str, within: Duration) -> Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let (status, _) = parse(&String::from_utf8_lossy(&answer))
        .with_context(|| format!("no HTTP answer from {address}{path}"))?;
    Ok(status)
}

/// Whether `GET path` is answered with 200.
pub(crate) fn answers(port: u16, path: &str) -> bool {
    matches!(get(port, path, Duration::from_millis(500)), Ok((200, _)))
}

/// The JSON body of a 200 answer.
pub(crate) fn json(port: u16, path: &str) -> Result<serde_json::Value> {
    let (status, body) = get(port, path, Duration::from_secs(10))?;
    anyhow::ensure!(status == 200, "GET {path} was answered with {status}");
    serde_json::from_str(&body).with_context(|| format!("GET {path} gave no JSON"))
}

/// A port of loopback that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        let got = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nx\r\n\r\ny");
        assert_eq!(got, Some((503, "x\r\n\r\ny".to_owned())));
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        for text in ["", "HTTP/1.0 200 OK", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_port_without_listener_does_not_answer() {
        assert!(!answers(free_port().unwrap(), "/"));
    }
}
