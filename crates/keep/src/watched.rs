//! `networks`, `databases`, `credentials`, `backups`, `dependencies`: what is looked at besides our own services.
//!
//! One file each; this one holds what they share and checks what needs more than one of them.

mod backup;
mod certificate;
mod credential;
mod database;
mod cache;
mod database_care;
mod declared;
mod job;
mod daemons;
mod knobs;
mod dependency;
mod network;
mod security;
pub(crate) mod service;

pub(crate) use daemons::daemons;
pub(crate) use knobs::{knobs, progress, time_sync};
pub(crate) use security::security;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::keep::{Command, WatchedKeep};
use wellkept_model::{ActionKind, Text};

use crate::command::{self, Limit};
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::service::is_service_name;
use crate::tree::{At, Node};

/// Most entries of one section.
const ENTRIES_MAX: usize = 100;
/// Most items of a list or map in an entry.
const ITEMS_MAX: usize = 500;
/// Longest time between two looks.
const EVERY_MAX: Duration = Duration::from_secs(86_400);
/// Shortest time between two looks.
const EVERY_MIN: Duration = Duration::from_millis(500);

/// Reads the five sections. `services`: names that exist.
pub(crate) fn watched(root: &Fields, services: &[&str], problems: &mut Problems) -> WatchedKeep {
    let keep = WatchedKeep {
        backups: section(root, "backups", services, problems, backup::read),
        certificates: section(root, "certificates", services, problems, certificate::read),
        caches: section(root, "caches", services, problems, cache::read),
        credentials: section(root, "credentials", services, problems, credential::read),
        data: section(root, "data", services, problems, declared::data),
        keys: section(root, "keys", services, problems, declared::key),
        proxies: section(root, "proxies", services, problems, declared::proxy),
        signals: section(root, "signals", services, problems, declared::signals),
        versions: section(root, "versions", services, problems, declared::versions),
        databases: section(root, "databases", services, problems, database::read),
        dependencies: section(root, "dependencies", services, problems, dependency::read),
        jobs: section(root, "jobs", services, problems, job::read),
        networks: section(root, "networks", services, problems, network::read),
    };
    unknown_credentials(root, &keep, problems);
    keep
}

fn unknown_credentials(root: &Fields, keep: &WatchedKeep, problems: &mut Problems) {
    let known: Vec<&str> = keep.credentials.keys().map(String::as_str).collect();
    let Some(node) = root.get("backups") else { return };
    for backup in keep.backups.values() {
        let Some(name) = backup.credential.as_deref().filter(|n| !known.contains(n)) else { continue };
        let help = read::nearest_word(name, &known, Text::new("keep.accept.credential"));
        problems.add(&node.at, Text::new("keep.unknown_credential").with("name", clean(name)), help);
    }
}

fn section<T>(
    root: &Fields,
    key: &str,
    services: &[&str],
    problems: &mut Problems,
    read_one: impl Fn(&str, &mut Entry<'_, '_, '_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(node) = root.get(key) else { return BTreeMap::new() };
    let entries = read::map(node, "main, orders, …", problems).unwrap_or_default();
    if let Some((extra, _)) = entries.get(ENTRIES_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", ENTRIES_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_entries").with("count", entries.len()), help);
    }
    let mut found = BTreeMap::new();
    for (key, node) in entries.iter().take(ENTRIES_MAX) {
        if !is_service_name(&key.text) {
            let message = Text::new("keep.entry_name").with("name", clean(&key.text));
            problems.add(&key.at, message, Text::new("keep.accept.service_name"));
            continue;
        }
        let mut entry = Entry { at: &key.at, node, fields: None, services, problems };
        if let Some(read) = read_one(&key.text, &mut entry) {
            found.insert(key.text.clone(), read);
        }
    }
    found
}

/// One entry with readers for what its keys hold.
struct Entry<'n, 'p, 'q> {
    at: &'n At,
    node: &'n Node,
    fields: Option<Fields<'n>>,
    services: &'p [&'p str],
    problems: &'p mut Problems<'q>,
}

impl<'n> Entry<'n, '_, '_> {
    /// Must be called first; `None` when it is no map.
    fn open(&mut self, keys: &[&str]) -> Option<()> {
        self.fields = Some(read::open(self.node, keys, self.problems)?);
        Some(())
    }

    fn get(&self, key: &str) -> Option<&'n Node> {
        self.fields.as_ref().and_then(|f| f.get(key))
    }

    fn needed(&mut self, key: &str, help: &str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            read::missing(self.at, key, Text::new(help), self.problems);
        }
        found
    }

    fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.get(key).and_then(|n| read::path(n, self.problems)).map(PathBuf::from)
    }

    fn paths(&mut self, key: &str) -> Vec<PathBuf> {
        let items = self.get(key).map(read::items).unwrap_or_default();
        items.iter().take(ITEMS_MAX).filter_map(|n| read::path(n, self.problems)).map(PathBuf::from).collect()
    }

    fn command(&mut self, key: &str) -> Option<Command> {
        self.get(key).and_then(|n| command::command(n, Limit::Own, self.problems))
    }

    /// `1000000`, `500KiB`, `1MiB`, `2GiB`.
    fn size(&mut self, key: &str) -> Option<u64> {
        let node = self.get(key)?;
        read::parsed(node, Text::new("keep.accept.bytes"), self.problems, backup::size)
    }

    fn every(&mut self, otherwise: Duration) -> Duration {
        self.duration("every", EVERY_MIN, EVERY_MAX).unwrap_or(otherwise)
    }

    fn duration(&mut self, key: &str, from: Duration, to: Duration) -> Option<Duration> {
        self.get(key).and_then(|n| read::duration(n, from, to, self.problems))
    }

    /// A whole number.
    fn whole(&mut self, key: &str, from: u64, to: u64) -> Option<u64> {
        let node = self.get(key)?;
        let help = Text::new("keep.accept.whole").with("from", from).with("to", to);
        read::parsed(node, help, self.problems, |t| t.parse().ok().filter(|n| (from..=to).contains(n)))
    }

    /// A plain word: no space, no control character.
    fn word(&mut self, key: &str) -> Option<String> {
        self.get(key).and_then(|n| word(n, self.problems))
    }

    fn words(&mut self, key: &str) -> Vec<String> {
        let items = self.get(key).map(read::items).unwrap_or_default();
        items.iter().take(ITEMS_MAX).filter_map(|n| word(n, self.problems)).collect()
    }

    fn url(&mut self, key: &str) -> Option<String> {
        let node = self.get(key)?;
        read::parsed(node, Text::new("keep.accept.url"), self.problems, |t| {
            crate::health::is_url(t).then(|| t.to_owned())
        })
    }

    /// Names of declared services.
    fn services_of(&mut self, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        for item in self.get(key).map(read::items).unwrap_or_default() {
            let help = Text::new("keep.accept.depends_on");
            let Some(name) = read::text(item, false, &help, self.problems) else { continue };
            if self.services.contains(&name) {
                found.push(name.to_owned());
            } else {
                let help = read::nearest_word(name, self.services, help);
                let message = Text::new("keep.unknown_service").with("name", clean(name));
                self.problems.add(&item.at, message, help);
            }
        }
        found
    }

    /// What may be done without asking. `means`: words that this kind of entry knows, with the key that says how.
    fn may(&mut self, name: &str, means: &[(ActionKind, &str)]) -> Vec<ActionKind> {
        let Some(node) = self.get("may") else { return Vec::new() };
        let words = read::actions(node, self.problems);
        for kind in &words {
            let has = means.iter().any(|(k, key)| k == kind && (key.is_empty() || self.get(key).is_some()));
            if !has {
                let keys: Vec<&str> = means.iter().map(|(k, _)| k.word()).collect();
                let message = Text::new("keep.may_without_means")
                    .with("word", kind.word())
                    .with("service", clean(name));
                let help = Text::new("keep.accept.means").with("words", keys.join(", "));
                self.problems.add(&node.at, message, help);
            }
        }
        words
    }
}

fn word(node: &Node, problems: &mut Problems) -> Option<String> {
    let plain = |t: &str| !t.chars().any(char::is_whitespace) && t.len() <= 200;
    read::parsed(node, Text::new("keep.accept.word"), problems, |t| plain(t).then(|| t.to_owned()))
}
