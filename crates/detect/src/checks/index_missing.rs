//! A declared index is absent. It is worth an incident only when tables are read as a whole because of it: a migration
//! that replaces an index on purpose does no harm.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must be absent, milliseconds: an index that is made anew is absent for a moment.
const HOLD_MS: u64 = 2000;
/// Rows read per second by sequential scans that count as harm.
const HARM_ROWS: u64 = 100_000;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let databases = round.seen.watched.databases.iter();
    let missing = databases.flat_map(|(service, seen)| {
        seen.indexes_missing.iter().map(move |(index, table)| (service, seen, index, table))
    });
    let found = missing.map(|(service, seen, index, table)| {
        // A table that we never saw with the index is unknown: any big scan may be because of it.
        let scans = seen.scanned.iter().filter(|(t, _)| table.is_empty() || *t == table);
        let worst = scans.max_by_key(|(_, rows)| **rows).filter(|(_, rows)| **rows >= HARM_ROWS);
        let severity = if worst.is_some() { Severity::Warning } else { Severity::Info };
        let since = seen.missing_since.unwrap_or(seen.at);
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::IndexMissing, index, severity, since, round.now);
        f.text = f.text.with("index", index);
        f.hold_ms = HOLD_MS;
        if let Some((table, rows)) = worst {
            let text = Text::new("evidence.table_scanned").with("table", table).with("rows", rows);
            f.evidence.push(seen_at(seen.at, text));
        }
        f
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::Severity;
    use wellkept_model::observe::DatabaseSeen;

    #[test]
    fn without_harm_it_is_only_worth_knowing() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        let indexes_missing = [("a_idx".to_owned(), "a".to_owned())].into();
        let mut seen = DatabaseSeen { indexes_missing, slots: 10, ..DatabaseSeen::default() };
        for (table, severity) in [("b", Severity::Info), ("a", Severity::Warning)] {
            seen.scanned = [(table.to_owned(), 5_000_000)].into();
            w.seen.watched.databases.insert("db".into(), seen.clone());
            assert_eq!(w.findings()[0].severity, severity, "{table}");
        }
    }
}
