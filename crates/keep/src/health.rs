//! `health`: what is asked of a service, how often, and when no answer counts as ill.

use std::net::IpAddr;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{HealthCheck, Probe};

use crate::command::{self, Limit};
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::tree::{Node, Value};

const KEYS: [&str; 9] = ["http", "tcp", "exec", "expect", "contains", "within", "every", "failures", "name"];
const PROBE_KEYS: [&str; 3] = ["http", "tcp", "exec"];
/// No answer within this time is a failure, when nothing is said.
pub(crate) const WITHIN_DEFAULT: Duration = Duration::from_secs(2);
/// Time between checks over the network.
pub(crate) const EVERY_DEFAULT: Duration = Duration::from_secs(1);
/// Time between checks that start a program.
pub(crate) const EVERY_EXEC_DEFAULT: Duration = Duration::from_secs(5);
/// Failures in a row that make a finding.
pub(crate) const FAILURES_DEFAULT: u32 = 2;
/// Most checks of one service.
const CHECKS_MAX: usize = 50;
/// Characters of a name that is made from the probe.
const NAME_CHARS_MAX: usize = 100;

/// Reads one check or a list of them.
pub(crate) fn checks(node: &Node, problems: &mut Problems) -> Vec<HealthCheck> {
    if matches!(node.value, Value::Null | Value::Scalar { .. }) {
        read::wrong_type(node, Text::new("keep.accept.health"), problems);
        return Vec::new();
    }
    let mut found: Vec<HealthCheck> = Vec::new();
    let items = read::items(node);
    if let Some(extra) = items.get(CHECKS_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", CHECKS_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_checks").with("count", items.len()), help);
    }
    for item in items.iter().take(CHECKS_MAX) {
        let Some(check) = check(item, problems) else { continue };
        if found.iter().any(|c| c.name == check.name) {
            let message = Text::new("keep.check_twice").with("name", clean(&check.name));
            problems.add(&item.at, message, Text::new("keep.accept.check_name"));
            continue;
        }
        found.push(check);
    }
    found
}

fn check(node: &Node, problems: &mut Problems) -> Option<HealthCheck> {
    let fields = read::open(node, &KEYS, problems)?;
    let given: Vec<&str> = PROBE_KEYS.into_iter().filter(|k| fields.get(k).is_some()).collect();
    let [kind] = given.as_slice() else {
        problems.add(&node.at, Text::new("keep.probe_not_one"), Text::new("keep.accept.health"));
        return None;
    };
    if *kind != "http" {
        for key in ["expect", "contains"].into_iter().filter_map(|k| fields.key(k)) {
            let message = Text::new("keep.only_for_http").with("key", &key.text);
            problems.add(&key.at, message, Text::new("keep.accept.health"));
        }
    }
    let every_default = if *kind == "exec" { EVERY_EXEC_DEFAULT } else { EVERY_DEFAULT };
    let mut time = |name: &str, from: Duration, to: Duration, otherwise: Duration| match fields.get(name) {
        Some(node) => read::duration(node, from, to, problems),
        None => Some(otherwise),
    };
    let within = time("within", Duration::from_millis(1), Duration::from_secs(60), WITHIN_DEFAULT);
    let every = time("every", Duration::from_millis(100), Duration::from_secs(86_400), every_default);
    let failures = match fields.get("failures") {
        Some(node) => read::whole(node, 1, 100, problems),
        None => Some(FAILURES_DEFAULT),
    };
    let probe = probe(kind, &fields, within.unwrap_or(WITHIN_DEFAULT), problems);
    let name = match fields.get("name") {
        Some(node) => read::parsed(node, Text::new("keep.accept.name"), problems, |t| {
            (t.chars().count() <= NAME_CHARS_MAX).then(|| t.to_owned())
        }),
        None => probe.as_ref().map(name_of),
    };
    Some(HealthCheck { name: name?, probe: probe?, within: within?, every: every?, failures: failures? })
}

fn probe(kind: &str, fields: &Fields, within: Duration, problems: &mut Problems) -> Option<Probe> {
    let node = fields.get(kind)?;
    match kind {
        "http" => http(node, fields, problems),
        "tcp" => read::parsed(node, Text::new("keep.accept.tcp"), problems, |t| {
            is_host_port(t).then(|| Probe::Tcp { address: t.to_owned() })
        }),
        _ => Some(Probe::Exec { command: command::command(node, Limit::Beside(within), problems)? }),
    }
}

fn http(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<Probe> {
    let url = read::parsed(node, Text::new("keep.accept.url"), problems, |t| is_url(t).then(|| t.to_owned()));
    let status = match fields.get("expect") {
        Some(node) => read::whole(node, 100, 599, problems),
        None => Some(200),
    };
    let contains = fields
        .get("contains")
        .and_then(|n| read::text(n, true, &Text::new("keep.accept.text"), problems))
        .map(str::to_owned);
    Some(Probe::Http { url: url?, status: u16::try_from(status?).ok()?, contains })
}

/// `http(s)://host[:port][/path][?query]`, without a user and password: they would be shown with the check.
pub(crate) fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return false;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let bare_v6 = authority.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let host_good = is_host_port(authority)
        || (!authority.contains(':') && is_host(authority))
        || bare_v6.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok());
    text.len() <= 2048 && host_good && tail.chars().all(|c| c.is_ascii_graphic() && c != '#')
}

/// `host:port`, `1.2.3.4:port` or `[::1]:port`.
pub(crate) fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port_good = port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    port_good
        && match v6 {
            Some(inner) => matches!(inner.parse(), Ok(IpAddr::V6(_))),
            None => is_host(host),
        }
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.len() <= 253 && host.trim_end_matches('.').split('.').all(label)
}

/// `http 127.0.0.1:9000/healthz`, `tcp 127.0.0.1:6379`, `exec psql -c …`
fn name_of(probe: &Probe) -> String {
    let name = match probe {
        Probe::Http { url, .. } => {
            format!("http {}", url.split_once("://").map_or(url.as_str(), |(_, rest)| rest))
        }
        Probe::Tcp { address } => format!("tcp {address}"),
        Probe::Exec { command } => format!("exec {}", command.argv.join(" ")),
    };
    clean(&name.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_checks() {
        for good in ["localhost:80", "10.9.1.2:5432", "[::1]:80", "db.shop.test:5432", "a_b:1"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in
            ["80", ":80", "a:", "a:0", "a:65536", "a:+1", "::1:80", "[::1]", "a b:1", "a..b:1", "[1.2.3.4]:1"]
        {
            assert!(!is_host_port(bad), "{bad}");
        }
    }

    #[test]
    fn urls_of_checks() {
        for good in [
            "http://127.0.0.1:9000/healthz",
            "https://shop.test",
            "http://[::1]/",
            "http://[::1]:8080/?a=b&c=d",
            "http://a?x",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://u:p@a/",
            "http://a/ b",
            "http://a/#x",
            "http://a:b/",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
