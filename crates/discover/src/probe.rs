//! Asks listeners on this host for `GET /`, to learn whether they speak HTTP.
//!
//! One question per address, bounded in time and bytes. Ports of other well known protocols are left alone,
//! because some servers complain about or count broken greetings.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use wellkept_keep::discover::{DiscoveredService, HttpSeen, reachable};

/// FTP, SSH, Telnet, SMTP, DNS, POP3, rpcbind, NetBIOS, IMAP, LDAP, SMB, LPD, DNS over TLS, IMAPS, POP3S, MQTT,
/// MySQL, RDP, PostgreSQL, AMQP, VNC, Redis, Memcached, MongoDB.
const OTHER_PROTOCOLS: [u16; 28] = [
    21, 22, 23, 25, 53, 110, 111, 139, 143, 389, 445, 465, 515, 587, 853, 993, 995, 1883, 3306, 3389, 5432,
    5433, 5672, 5900, 6379, 11211, 27017, 2222,
];
/// Most services that are asked, and most addresses of each.
const SERVICES_MAX: usize = 200;
const ADDRESSES_MAX: usize = 3;
/// Questions that run at the same time.
const AT_ONCE: usize = 8;

/// Notes for each service the first address that answers in HTTP.
pub(crate) fn ask_all(services: &mut [DiscoveredService], within: Duration) {
    let count = services.len().min(SERVICES_MAX);
    for chunk in services.get_mut(..count).unwrap_or_default().chunks_mut(AT_ONCE) {
        std::thread::scope(|scope| {
            for service in chunk {
                scope.spawn(move || {
                    let addresses = service.listens.iter().filter(|a| may_be_asked(a)).take(ADDRESSES_MAX);
                    service.http = addresses.copied().find_map(|address| {
                        ask(reachable(address), within).map(|status| HttpSeen { address, status })
                    });
                });
            }
        });
    }
}

fn may_be_asked(address: &SocketAddr) -> bool {
    let local = address.ip().is_loopback() || address.ip().is_unspecified();
    local && !OTHER_PROTOCOLS.contains(&address.port())
}

/// The status of the answer to `GET /`, when one comes in time and looks like HTTP.
fn ask(address: SocketAddr, within: Duration) -> Option<u16> {
    #[expect(clippy::disallowed_methods, reason = "a slow answer must not hold up the look at the host")]
    let end = Instant::now() + within;
    let mut stream = TcpStream::connect_timeout(&address, within).ok()?;
    stream.set_write_timeout(Some(within)).ok()?;
    let question =
        format!("GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: wellkept\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = Vec::new();
    while answer.len() < 12 {
        let left = left(end)?;
        stream.set_read_timeout(Some(left)).ok()?;
        let mut buffer = [0; 64];
        match stream.read(&mut buffer).ok()? {
            0 => break,
            n => answer.extend_from_slice(buffer.get(..n)?),
        }
    }
    status(&answer)
}

/// The time until `end`; `None` when it has come.
fn left(end: Instant) -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a slow answer must not hold up the look at the host")]
    let now = Instant::now();
    end.checked_duration_since(now).filter(|d| !d.is_zero())
}

/// The status in `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let start = std::str::from_utf8(answer.get(..12)?).ok()?;
    let code = start.strip_prefix("HTTP/1.")?.get(2..)?;
    code.parse().ok().filter(|c| (100..600).contains(c))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives one answer, then keeps the connection for as long as the asker does.
    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("connection");
            stream.write_all(answer).expect("answer");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        });
        address
    }

    #[test]
    fn an_answer_in_http_gives_its_status() {
        let patient = Duration::from_secs(10);
        assert_eq!(ask(answering(b"HTTP/1.0 204 No Content\r\n\r\n"), patient), Some(204));
        assert_eq!(ask(answering(b"SSH-2.0-OpenSSH_9.2\r\n"), patient), None);
    }

    #[test]
    fn silence_ends_in_time() {
        #[expect(clippy::disallowed_methods, reason = "the test measures that the question ends")]
        let begin = Instant::now();
        assert_eq!(ask(answering(b""), Duration::from_millis(50)), None);
        assert_eq!(ask(answering(b"HTTP/1."), Duration::from_millis(50)), None);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn only_listeners_on_this_host_and_no_known_other_protocols_are_asked() {
        for (address, asked) in [
            ("127.0.0.1:8080", true),
            ("0.0.0.0:80", true),
            ("[::]:80", true),
            ("127.0.0.1:6379", false),
            ("0.0.0.0:22", false),
            ("192.0.2.1:80", false),
        ] {
            assert_eq!(may_be_asked(&address.parse().expect("address")), asked, "{address}");
        }
    }

    #[test]
    fn a_status_line_is_read_with_care() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK"[..], Some(200)),
            (b"HTTP/1.0 301 ", Some(301)),
            (b"HTTP/1.1 999 ", None),
            (b"HTTP/1.1 2x0 ", None),
            (b"HTTP/1.1 20", None),
            (b"", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(status(answer), expected, "{answer:?}");
        }
    }
}
