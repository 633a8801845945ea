//! A declared table or column is absent.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// How long it must be absent, milliseconds: a migration may replace a table.
const HOLD_MS: u64 = 2_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = databases(keep, round).filter_map(|(entity, _, seen)| {
        let care = &seen.care;
        let since = care.columns_missing_since.filter(|_| !care.columns_missing.is_empty())?;
        let names = care.columns_missing.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        let kind = FindingKind::SchemaDiffers;
        let mut f = finding(entity, kind, "", Severity::Critical, since, round.now);
        f.hold_ms = HOLD_MS;
        f.text = f.text.with("columns", &names);
        f.evidence.push(seen_at(seen.at, Text::new("evidence.columns_missing").with("columns", names)));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};
    use wellkept_model::{FindingKind, TimestampMs};

    #[test]
    fn a_server_that_has_all_that_is_declared_is_well() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (missing, kinds) in
            [(vec![], vec![]), (vec!["orders.total".to_owned()], vec![FindingKind::SchemaDiffers])]
        {
            let care = DatabaseCareSeen {
                columns_missing_since: Some(TimestampMs(5)).filter(|_| !missing.is_empty()),
                columns_missing: missing,
                ..DatabaseCareSeen::default()
            };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.kinds(), kinds);
        }
    }
}
