//! `networks.<name>`: links that must be up, their queues, and the packet filter of one network namespace.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wellkept_model::keep::{AddressRange, Network, NetworkWanted, Route};
use wellkept_model::{ActionKind, Text};

use super::{Entry, ITEMS_MAX};
use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::{Key, Node, Value};

const KEYS: [&str; 6] = ["namespace", "links", "rules", "routes", "carries", "may"];

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Network> {
    entry.open(&KEYS)?;
    let mut wanted = NetworkWanted { routes: routes(entry), ..NetworkWanted::default() };
    let means = if entry.get("routes").is_some() { "routes" } else { "links" };
    let namespace = entry.get("namespace");
    Some(Network {
        name: name.to_owned(),
        namespace: namespace.and_then(|n| {
            read::parsed(n, Text::new("keep.accept.namespace"), entry.problems, |t| {
                is_link(t).then(|| t.to_owned())
            })
        }),
        links: links(entry, &mut wanted),
        rules: entry.path("rules"),
        carries: entry.services_of("carries"),
        may: entry.may(name, &[(ActionKind::Reconfigure, means), (ActionKind::Rollback, "")]),
        wanted,
    })
}

/// `10.1.0.0/16 via 10.0.0.1 dev eth0`, `default via fe80::1 dev eth0`.
fn routes(entry: &mut Entry<'_, '_, '_>) -> Vec<Route> {
    let items = entry.get("routes").map(read::items).unwrap_or_default();
    let route = |n| read::parsed(n, Text::new("keep.accept.route"), entry.problems, route);
    items.iter().take(ITEMS_MAX).filter_map(route).collect()
}

fn route(text: &str) -> Option<Route> {
    let mut words = text.split_ascii_whitespace();
    let to = words.next()?;
    let (mut via, mut dev): (Option<IpAddr>, Option<String>) = (None, None);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word {
            "via" if via.is_none() => via = Some(value.parse().ok()?),
            "dev" if dev.is_none() => dev = Some(value).filter(|l| is_link(l)).map(str::to_owned),
            _ => return None,
        }
    }
    let all = if via.is_some_and(|v| v.is_ipv6()) { "::/0" } else { "0.0.0.0/0" };
    let to = AddressRange::parse(if to == "default" { all } else { to })?;
    let same = via.is_none_or(|v| v.is_ipv4() == to.address.is_ipv4());
    (same && (via.is_some() || dev.is_some())).then_some(Route { to, via, dev })
}

/// A list of names, or a map of names with their queue.
fn links(entry: &mut Entry<'_, '_, '_>, wanted: &mut NetworkWanted) -> BTreeMap<String, Option<String>> {
    let Some(node) = entry.get("links") else { return BTreeMap::new() };
    let help = || Text::new("keep.accept.link");
    if !matches!(node.value, Value::Map(_)) {
        let items = read::items(node).iter().take(ITEMS_MAX);
        let link = |n| read::parsed(n, help(), entry.problems, |t| is_link(t).then(|| t.to_owned()));
        return items.filter_map(link).map(|l| (l, None)).collect();
    }
    let entries = read::map(node, "eth0, eth1, …", entry.problems).unwrap_or_default();
    entries.iter().take(ITEMS_MAX).filter_map(|(key, node)| link(key, node, wanted, entry.problems)).collect()
}

fn link(
    key: &Key,
    node: &Node,
    wanted: &mut NetworkWanted,
    problems: &mut Problems,
) -> Option<(String, Option<String>)> {
    if !is_link(&key.text) {
        let message = Text::new("keep.link_name").with("name", clean(&key.text));
        problems.add(&key.at, message, Text::new("keep.accept.link"));
        return None;
    }
    let fields = read::open(node, &["queue", "mtu", "speed"], problems)?;
    for (name, map, most) in [("mtu", &mut wanted.mtu, 65_536), ("speed", &mut wanted.speed, 10_000_000)] {
        let number = fields.get(name).and_then(|n| read::whole(n, 1, most, problems));
        map.extend(number.map(|n| (key.text.clone(), n)));
    }
    let queue = fields.get("queue").and_then(|n| super::word(n, problems));
    Some((key.text.clone(), queue))
}

/// What the kernel takes as the name of a link, and no option of a program.
fn is_link(name: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
    !name.is_empty() && name.len() < 64 && !name.starts_with(['-', '.']) && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_destination_and_a_way() {
        for (text, shown) in [
            ("10.1.0.0/16 via 10.0.0.1 dev eth0", Some("10.1.0.0/16 via 10.0.0.1 dev eth0")),
            ("default via 10.0.0.1", Some("0.0.0.0/0 via 10.0.0.1")),
            ("default via fe80::1 dev eth0", Some("::/0 via fe80::1 dev eth0")),
            ("10.1.0.0/16 dev tun0", Some("10.1.0.0/16 dev tun0")),
            ("10.1.0.0/16", None),
            ("10.1.0.0/16 via fe80::1", None),
            ("10.1.0.0/16 via", None),
            ("10.1.0.0/16 table 5", None),
            ("10.1.0.0/16 dev -x", None),
        ] {
            assert_eq!(route(text).map(|r| r.to_string()).as_deref(), shown, "{text}");
        }
    }
}
