//! `databases.<service>`: how a PostgreSQL server is asked, and what must hold in it.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::{Command, Database};
use wellkept_model::{ActionKind, Text};

use super::{Entry, ITEMS_MAX, database_care};
use crate::filesystem::share;
use crate::problem::clean;
use crate::read;

const KEYS: [&str; 8] =
    ["sql", "full_at", "end_sessions", "indexes", "undo_migration", "standby", "every", "may"];
const EVERY: Duration = Duration::from_secs(2);
const FULL_AT: f64 = 0.9;

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Database> {
    entry.open(&[&KEYS[..], &database_care::KEYS[..]].concat())?;
    if !entry.services.contains(&name) {
        let help = read::nearest_word(name, entry.services, Text::new("keep.accept.depends_on"));
        entry.problems.add(entry.at, Text::new("keep.unknown_service").with("name", clean(name)), help);
    }
    let means = [
        (ActionKind::TerminateSession, "end_sessions"),
        (ActionKind::TerminateSession, "end_blockers"),
        (ActionKind::FreeSpace, "vacuum"),
        (ActionKind::Rollback, "undo_migration"),
        (ActionKind::Reconfigure, "standby"),
    ];
    entry.needed("sql", "keep.accept.sql");
    let full_at = entry.get("full_at");
    let standby = entry.get("standby");
    Some(Database {
        service: name.to_owned(),
        full_at: full_at
            .and_then(|n| read::parsed(n, Text::new("keep.accept.share"), entry.problems, share))
            .unwrap_or(FULL_AT),
        end_sessions: by_application(entry, "end_sessions"),
        indexes: entry.words("indexes"),
        undo_migration: undo(entry),
        standby: standby
            .and_then(|n| {
                read::parsed(n, Text::new("keep.accept.yes_no"), entry.problems, |t| t.parse::<bool>().ok())
            })
            .unwrap_or(false),
        care: database_care::care(entry),
        every: entry.every(EVERY),
        may: entry.may(name, &means),
        sql: entry.command("sql")?,
    })
}

/// Applications with a time.
pub(super) fn by_application(entry: &mut Entry<'_, '_, '_>, key: &str) -> BTreeMap<String, Duration> {
    let Some(node) = entry.get(key) else { return BTreeMap::new() };
    let entries = read::map(node, "report, batch, …", entry.problems).unwrap_or_default();
    let limit = |n| read::duration(n, Duration::from_secs(1), Duration::from_secs(86_400), entry.problems);
    let names = entries.iter().take(ITEMS_MAX).map(|(key, node)| (key.text.clone(), node));
    let mut limit = limit;
    names.filter_map(|(name, node)| Some((name, limit(node)?))).collect()
}

/// The command must name the change, or it would always take back the same one.
fn undo(entry: &mut Entry<'_, '_, '_>) -> Option<Command> {
    let command = entry.command("undo_migration")?;
    if !command.argv.iter().any(|a| a.contains("{id}")) {
        let message = Text::new("keep.no_placeholder").with("placeholder", "{id}");
        let at = entry.get("undo_migration").map_or(entry.at, |n| &n.at);
        entry.problems.add(at, message, Text::new("keep.accept.undo_migration").with("placeholder", "{id}"));
    }
    Some(command)
}
