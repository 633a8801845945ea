//! `data`, `keys`, `proxies`, `signals` and `versions`: what must be whole, valid, loaded, and fit.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::{DataTest, EndingKey, Proxy, Signal, Versions};
use wellkept_model::{ActionKind, Text};

use super::{EVERY_MAX, Entry, ITEMS_MAX};
use crate::command::{self, Limit};
use crate::problem::clean;
use crate::read;

const DATA_EVERY: Duration = Duration::from_secs(3600);
const KEY_EVERY: Duration = Duration::from_secs(30);
const KEY_BEFORE: Duration = Duration::from_secs(86_400);
const KEY_BEFORE_MAX: Duration = Duration::from_secs(365 * 86_400);
const VERSIONS_EVERY: Duration = Duration::from_secs(60);

/// The name of an entry that must be one of a service.
fn is_service(name: &str, entry: &mut Entry<'_, '_, '_>) {
    if !entry.services.contains(&name) {
        let help = read::nearest_word(name, entry.services, Text::new("keep.accept.depends_on"));
        entry.problems.add(entry.at, Text::new("keep.unknown_service").with("name", clean(name)), help);
    }
}

pub(super) fn data(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<DataTest> {
    entry.open(&["service", "test", "every"])?;
    entry.needed("service", "keep.accept.depends_on");
    entry.needed("test", "keep.accept.command");
    let service = entry.services_of("service").into_iter().next();
    let (test, every) = (entry.command("test"), entry.every(DATA_EVERY));
    Some(DataTest { name: name.to_owned(), service: service?, test: test?, every })
}

pub(super) fn key(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<EndingKey> {
    entry.open(&["file", "before", "used_by", "renew", "every", "may"])?;
    entry.needed("file", "keep.accept.path");
    entry.needed("used_by", "keep.accept.depends_on");
    let (file, used_by) = (entry.path("file"), entry.services_of("used_by"));
    let key = EndingKey {
        name: name.to_owned(),
        before: entry.duration("before", Duration::from_secs(1), KEY_BEFORE_MAX).unwrap_or(KEY_BEFORE),
        renew: entry.command("renew"),
        every: entry.every(KEY_EVERY),
        may: entry.may(name, &[(ActionKind::Reconfigure, "renew")]),
        file: file?,
        used_by,
    };
    Some(key).filter(|k| !k.used_by.is_empty())
}

pub(super) fn proxy(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Proxy> {
    entry.open(&["error_log", "status", "loaded_by"])?;
    is_service(name, entry);
    let loaded_by_workers = match entry.get("loaded_by") {
        Some(node) => read::parsed(node, Text::new("keep.accept.loaded_by"), entry.problems, |t| match t {
            "workers" => Some(true),
            "start" => Some(false),
            _ => None,
        })?,
        None => true,
    };
    let (error_log, status) = (entry.path("error_log"), entry.url("status"));
    Some(Proxy { service: name.to_owned(), error_log, status, loaded_by_workers })
}

pub(super) fn versions(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Versions> {
    entry.open(&["of", "numbers", "every"])?;
    let numbers = entry.whole("numbers", 1, 4).unwrap_or(1);
    let every = entry.duration("every", super::EVERY_MIN, EVERY_MAX).unwrap_or(VERSIONS_EVERY);
    let node = entry.needed("of", "keep.accept.depends_on")?;
    let mut of = BTreeMap::new();
    for (key, node) in
        read::map(node, "app, worker, …", entry.problems).unwrap_or_default().iter().take(ITEMS_MAX)
    {
        if !entry.services.contains(&key.text.as_str()) {
            let help = read::nearest_word(&key.text, entry.services, Text::new("keep.accept.depends_on"));
            let message = Text::new("keep.unknown_service").with("name", clean(&key.text));
            entry.problems.add(&key.at, message, help);
        }
        of.extend(command::command(node, Limit::Own, entry.problems).map(|c| (key.text.clone(), c)));
    }
    Some(Versions { name: name.to_owned(), of, numbers: usize::try_from(numbers).ok()?, every })
}

/// By signal: PromQL with one value.
pub(super) fn signals(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<BTreeMap<Signal, String>> {
    entry.open(&Signal::ALL.map(Signal::word))?;
    is_service(name, entry);
    let mut found = BTreeMap::new();
    for signal in Signal::ALL {
        let Some(node) = entry.get(signal.word()) else { continue };
        let query = read::text(node, true, &Text::new("keep.accept.query"), entry.problems);
        found.extend(query.map(|q| (signal, q.to_owned())));
    }
    Some(found)
}
