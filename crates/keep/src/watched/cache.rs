//! `caches.<service>`: how a Redis server is asked, its limit, and lists that are used as queues.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::{Cache, Queue};
use wellkept_model::{ActionKind, Text};

use super::backup::size;
use super::{Entry, ITEMS_MAX};
use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::Node;

const KEYS: [&str; 8] = ["redis", "user", "password_file", "memory", "standby", "queues", "every", "may"];
const EVERY: Duration = Duration::from_secs(5);
const STUCK: Duration = Duration::from_secs(30);
/// Longest limit of a queue.
const LIMIT_MAX: u64 = 1_000_000_000;

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Cache> {
    entry.open(&KEYS)?;
    if !entry.services.contains(&name) {
        let help = read::nearest_word(name, entry.services, Text::new("keep.accept.depends_on"));
        entry.problems.add(entry.at, Text::new("keep.unknown_service").with("name", clean(name)), help);
    }
    let redis = entry.needed("redis", "keep.accept.redis").and_then(|n| {
        let address = |t: &str| is_address(t).then(|| t.to_owned());
        read::parsed(n, Text::new("keep.accept.redis"), entry.problems, address)
    });
    let memory = entry.get("memory").and_then(|n| {
        let some = |t: &str| size(t).filter(|size| *size > 0);
        read::parsed(n, Text::new("keep.accept.bytes"), entry.problems, some)
    });
    let standby = entry.get("standby").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.yes_no"), entry.problems, |t| t.parse::<bool>().ok())
    });
    let queues = queues(entry);
    let means = [(ActionKind::Reconfigure, "memory"), (ActionKind::Isolate, "queues")];
    Some(Cache {
        service: name.to_owned(),
        user: entry.word("user"),
        password_file: entry.path("password_file"),
        memory,
        standby: standby.unwrap_or(false),
        queues,
        every: entry.every(EVERY),
        may: entry.may(name, &means),
        redis: redis?,
    })
}

fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    text.starts_with('/') || port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn queues(entry: &mut Entry<'_, '_, '_>) -> BTreeMap<String, Queue> {
    let Some(node) = entry.get("queues") else { return BTreeMap::new() };
    let entries = read::map(node, "jobs, mail, …", entry.problems).unwrap_or_default();
    let mut found = BTreeMap::new();
    for (key, node) in entries.iter().take(ITEMS_MAX) {
        if key.text.is_empty() || key.text.chars().any(char::is_whitespace) {
            let message = Text::new("keep.entry_name").with("name", clean(&key.text));
            entry.problems.add(&key.at, message, Text::new("keep.accept.word"));
            continue;
        }
        if let Some(queue) = queue(&key.text, node, entry.services, entry.problems) {
            found.insert(key.text.clone(), queue);
        }
    }
    found
}

fn queue(key: &str, node: &Node, services: &[&str], problems: &mut Problems) -> Option<Queue> {
    let fields = read::open(node, &["limit", "takes", "stuck", "consumer", "dead_letter"], problems)?;
    let help = Text::new("keep.accept.whole").with("from", 1).with("to", LIMIT_MAX);
    let Some(limit) = fields.get("limit") else {
        read::missing(&node.at, "limit", help, problems);
        return None;
    };
    let limit =
        read::parsed(limit, help, problems, |t| t.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n)))?;
    let takes_left = match fields.get("takes") {
        Some(n) => read::parsed(n, Text::new("keep.accept.takes"), problems, |t| match t {
            "left" => Some(true),
            "right" => Some(false),
            _ => None,
        })?,
        None => false,
    };
    let stuck = match fields.get("stuck") {
        Some(n) => read::duration(n, Duration::from_secs(5), super::EVERY_MAX, problems)?,
        None => STUCK,
    };
    let mut named = |name: &str| fields.get(name).and_then(|n| Some((n, super::word(n, problems)?)));
    let (dead_letter, consumer) = (named("dead_letter"), named("consumer"));
    if let Some((n, same)) = dead_letter.as_ref().filter(|(_, word)| word == key) {
        let message = Text::new("keep.dead_letter_same").with("name", clean(same));
        problems.add(&n.at, message, Text::new("keep.accept.word"));
    }
    if let Some((n, name)) = consumer.as_ref().filter(|(_, word)| !services.contains(&word.as_str())) {
        let help = read::nearest_word(name, services, Text::new("keep.accept.depends_on"));
        problems.add(&n.at, Text::new("keep.unknown_service").with("name", clean(name)), help);
    }
    let (consumer, dead_letter) = (consumer.map(|(_, w)| w), dead_letter.map(|(_, w)| w));
    Some(Queue { limit, takes_left, stuck, consumer, dead_letter })
}
