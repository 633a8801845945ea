//! Which names of this server are its own.
//!
//! A page on another site can point its name at this address (DNS rebinding) and then read as if it were ours.
//! It cannot choose the `Host` header, so that header is compared with the names we know.

use std::net::{IpAddr, SocketAddr};

/// The values of `Host` under which a server at `listen` is reached: its address, `localhost` where that is the same,
/// and `configured` names (with port, or without to get the port of `listen`). All in lower case.
#[must_use]
pub fn allowed_hosts(listen: SocketAddr, configured: &[String]) -> Vec<String> {
    let port = listen.port();
    let mut hosts = Vec::new();
    let mut add = |name: &str| {
        if split_port(name).1.is_some() {
            hosts.push(name.to_owned());
            return;
        }
        hosts.push(format!("{name}:{port}"));
        if port == 80 {
            hosts.push(name.to_owned());
        }
    };
    let ip = listen.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            add(name);
        }
    }
    if !ip.is_unspecified() {
        match ip {
            IpAddr::V4(v4) => add(&v4.to_string()),
            IpAddr::V6(v6) => add(&format!("[{v6}]")),
        }
    }
    for name in configured {
        add(&name.to_ascii_lowercase());
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

/// True for names that no other site can have: `localhost` and loopback addresses, at any port.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let (name, port) = split_port(host);
    if port.is_some_and(|p| p.parse::<u16>().is_err()) {
        return false;
    }
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || bare.unwrap_or(name).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Name and port of `name:port`, `[::1]:port`, `name`.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_is_known_by_its_three_names() {
        let hosts = allowed_hosts("127.0.0.1:7676".parse().unwrap(), &[]);
        assert_eq!(hosts, ["127.0.0.1:7676", "[::1]:7676", "localhost:7676"]);
    }

    #[test]
    fn a_configured_name_gets_the_port_unless_it_has_one() {
        let hosts =
            allowed_hosts("10.0.0.5:7676".parse().unwrap(), &["Keep.example".into(), "k.example:443".into()]);
        assert_eq!(hosts, ["10.0.0.5:7676", "k.example:443", "keep.example:7676"]);
        let hosts = allowed_hosts("[2001:db8::1]:80".parse().unwrap(), &[]);
        assert_eq!(hosts, ["[2001:db8::1]", "[2001:db8::1]:80"]);
    }

    #[test]
    fn only_loopback_names_are_loopback() {
        for yes in ["localhost", "LOCALHOST:9", "127.0.0.1:1", "127.9.9.9", "[::1]:7676", "[::1]"] {
            assert!(is_loopback_name(yes), "{yes}");
        }
        for no in [
            "localhost.evil.example",
            "evil:7676",
            "127.0.0.1.evil",
            "",
            ":",
            "localhost:x",
            "[::2]",
            "10.0.0.1",
        ] {
            assert!(!is_loopback_name(no), "{no}");
        }
    }
}
