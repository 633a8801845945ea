//! `certificates.<name>`: what a service serves, under which name, and from which file.

use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::Certificate;

use super::Entry;
use crate::read;

const KEYS: [&str; 7] = ["service", "connect", "server_name", "file", "ca", "warn_before", "every"];
const EVERY: Duration = Duration::from_secs(60);
const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Certificate> {
    entry.open(&KEYS)?;
    entry.needed("service", "keep.accept.depends_on");
    let service = entry.services_of("service").into_iter().next();
    let connect = entry.needed("connect", "keep.accept.connect").and_then(|node| {
        read::parsed(node, Text::new("keep.accept.connect"), entry.problems, |t| {
            is_address(t).then(|| t.to_owned())
        })
    })?;
    let host = connect.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let year = Duration::from_secs(366 * 86_400);
    Some(Certificate {
        name: name.to_owned(),
        service: service?,
        server_name: entry.word("server_name").unwrap_or(host),
        connect,
        file: entry.path("file"),
        ca: entry.path("ca"),
        warn_before: entry.duration("warn_before", Duration::ZERO, year).unwrap_or(WARN_BEFORE),
        every: entry.every(EVERY),
    })
}

/// `host:port`, `[::1]:443`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|p| p > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, good) in [
            ("www.example.org:443", true),
            ("[::1]:8443", true),
            ("127.0.0.1:1", true),
            ("www.example.org", false),
            (":443", false),
            ("a:0", false),
            ("a b:1", false),
            ("https://a:1", false),
        ] {
            assert_eq!(is_address(text), good, "{text}");
        }
    }
}
