//! `networks.<name>`: links that must be up, their queues, and the packet filter of one network namespace.

use std::collections::BTreeMap;

use wellkept_model::keep::Network;
use wellkept_model::{ActionKind, Text};

use super::{Entry, ITEMS_MAX};
use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::{Key, Node, Value};

const KEYS: [&str; 5] = ["namespace", "links", "rules", "carries", "may"];

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Network> {
    entry.open(&KEYS)?;
    let namespace = entry.get("namespace");
    Some(Network {
        name: name.to_owned(),
        namespace: namespace.and_then(|n| {
            read::parsed(n, Text::new("keep.accept.namespace"), entry.problems, |t| {
                is_link(t).then(|| t.to_owned())
            })
        }),
        links: links(entry),
        rules: entry.path("rules"),
        carries: entry.services_of("carries"),
        may: entry.may(name, &[(ActionKind::Reconfigure, "links"), (ActionKind::Rollback, "")]),
    })
}

/// A list of names, or a map of names with their queue.
fn links(entry: &mut Entry<'_, '_, '_>) -> BTreeMap<String, Option<String>> {
    let Some(node) = entry.get("links") else { return BTreeMap::new() };
    let help = || Text::new("keep.accept.link");
    if !matches!(node.value, Value::Map(_)) {
        let items = read::items(node).iter().take(ITEMS_MAX);
        let link = |n| read::parsed(n, help(), entry.problems, |t| is_link(t).then(|| t.to_owned()));
        return items.filter_map(link).map(|l| (l, None)).collect();
    }
    let entries = read::map(node, "eth0, eth1, …", entry.problems).unwrap_or_default();
    entries.iter().take(ITEMS_MAX).filter_map(|(key, node)| link(key, node, entry.problems)).collect()
}

fn link(key: &Key, node: &Node, problems: &mut Problems) -> Option<(String, Option<String>)> {
    if !is_link(&key.text) {
        let message = Text::new("keep.link_name").with("name", clean(&key.text));
        problems.add(&key.at, message, Text::new("keep.accept.link"));
        return None;
    }
    let fields = read::open(node, &["queue"], problems)?;
    let queue = fields.get("queue").and_then(|n| super::word(n, problems));
    Some((key.text.clone(), queue))
}

/// What the kernel takes as the name of a link, and no option of a program.
fn is_link(name: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
    !name.is_empty() && name.len() < 64 && !name.starts_with(['-', '.']) && name.chars().all(good)
}
