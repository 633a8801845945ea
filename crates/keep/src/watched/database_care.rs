//! Keys of `databases.<service>` about locks, dead rows, transaction numbers, tables and clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{DatabaseCare, Engine};

use super::{Entry, ITEMS_MAX};
use crate::filesystem::share;
use crate::hostwide::yes_or_no;
use crate::read;

pub(super) const KEYS: [&str; 10] = [
    "engine",
    "lock_wait",
    "end_blockers",
    "deadlocks",
    "bloated_at",
    "vacuum",
    "wraparound_at",
    "schema",
    "cluster",
    "explain",
];

pub(super) fn care(entry: &mut Entry<'_, '_, '_>) -> DatabaseCare {
    let usual = DatabaseCare::default();
    DatabaseCare {
        engine: engine(entry).unwrap_or(usual.engine),
        lock_wait: entry
            .duration("lock_wait", Duration::from_secs(1), Duration::from_secs(86_400))
            .unwrap_or(usual.lock_wait),
        end_blockers: super::database::by_application(entry, "end_blockers"),
        deadlocks: entry.whole("deadlocks", 1, 100_000).unwrap_or(usual.deadlocks),
        bloated_at: share_of(entry, "bloated_at").unwrap_or(usual.bloated_at),
        vacuum: entry.words("vacuum"),
        wraparound_at: share_of(entry, "wraparound_at").unwrap_or(usual.wraparound_at),
        schema: schema(entry),
        cluster: entry.word("cluster"),
        explain: entry.get("explain").and_then(|n| yes_or_no(n, entry.problems)).unwrap_or(usual.explain),
    }
}

fn engine(entry: &mut Entry<'_, '_, '_>) -> Option<Engine> {
    let node = entry.get("engine")?;
    read::parsed(node, Text::new("keep.accept.engine"), entry.problems, |t| match t {
        "postgresql" => Some(Engine::Postgres),
        "mysql" | "mariadb" => Some(Engine::Mysql),
        _ => None,
    })
}

fn share_of(entry: &mut Entry<'_, '_, '_>, key: &str) -> Option<f64> {
    let node = entry.get(key)?;
    read::parsed(node, Text::new("keep.accept.share"), entry.problems, share)
}

/// A map of tables with their columns; an empty list asks for the table alone.
fn schema(entry: &mut Entry<'_, '_, '_>) -> BTreeMap<String, Vec<String>> {
    let Some(node) = entry.get("schema") else { return BTreeMap::new() };
    let tables = read::map(node, "orders, users, …", entry.problems).unwrap_or_default();
    let mut found = BTreeMap::new();
    for (key, node) in tables.iter().take(ITEMS_MAX) {
        let columns = read::items(node).iter().take(ITEMS_MAX);
        let columns = columns.filter_map(|n| super::word(n, entry.problems)).collect();
        found.insert(key.text.clone(), columns);
    }
    found
}
