//! Keys of a service that ask for a look of their own: `resolves` and `clock`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{ClockShown, Resolves};

use super::{EVERY_MAX, EVERY_MIN, ITEMS_MAX};
use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::Node;

const EVERY: Duration = Duration::from_secs(2);
const CLOCK_EVERY: Duration = Duration::from_secs(2);
const OFF_BY: Duration = Duration::from_secs(5);

pub(crate) fn resolves(node: &Node, problems: &mut Problems) -> Option<Resolves> {
    let fields = read::open(node, &["at", "names", "every"], problems)?;
    let help = Text::new("keep.accept.resolver");
    let Some(at_node) = fields.get("at") else {
        read::missing(&node.at, "at", help, problems);
        return None;
    };
    let at = read::parsed(at_node, help, problems, |t| t.parse::<SocketAddr>().ok());
    let mut names = BTreeMap::new();
    let entries = fields.get("names").and_then(|n| read::map(n, "db.example.org, …", problems));
    for (key, node) in entries.unwrap_or_default().iter().take(ITEMS_MAX) {
        if !is_dns_name(&key.text) {
            let message = Text::new("keep.dns_name").with("name", clean(&key.text));
            problems.add(&key.at, message, Text::new("keep.accept.dns_name"));
            continue;
        }
        let address = read::parsed(node, Text::new("keep.accept.ip"), problems, |t| t.parse::<IpAddr>().ok());
        names.extend(address.map(|a| (key.text.clone(), a)));
    }
    let every = match fields.get("every") {
        Some(node) => read::duration(node, EVERY_MIN, EVERY_MAX, problems)?,
        None => EVERY,
    };
    Some(Resolves { at: at?, names, every })
}

fn is_dns_name(name: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    name.len() <= 253 && name.trim_end_matches('.').split('.').all(label)
}

pub(crate) fn clock(node: &Node, problems: &mut Problems) -> Option<ClockShown> {
    let fields = read::open(node, &["http", "off_by", "every"], problems)?;
    let help = Text::new("keep.accept.url");
    let Some(http) = fields.get("http") else {
        read::missing(&node.at, "http", help, problems);
        return None;
    };
    let http = read::parsed(http, help, problems, |t| {
        (crate::health::is_url(t) && t.starts_with("http://")).then(|| t.to_owned())
    });
    let mut time = |name: &str, from: Duration, otherwise: Duration| match fields.get(name) {
        Some(node) => read::duration(node, from, EVERY_MAX, problems),
        None => Some(otherwise),
    };
    let off_by = time("off_by", Duration::from_secs(2), OFF_BY);
    let every = time("every", EVERY_MIN, CLOCK_EVERY);
    Some(ClockShown { http: http?, off_by: off_by?, every: every? })
}
