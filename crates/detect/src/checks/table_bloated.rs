//! Dead rows make a big table much bigger than its content. A small table, or one whose rows have just been deleted and
//! will be cleaned soon, is left alone: it must be so for a while.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// How long it must last, milliseconds: the server cleans by itself within about a minute.
const HOLD_MS: u64 = 180_000;
/// The same while a transaction keeps it from cleaning: waiting does not help then.
const HOLD_HELD_MS: u64 = 10_000;
/// Age from which a transaction counts as what keeps dead rows, milliseconds.
pub(crate) const HORIZON_MS: u64 = 60_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (entity, declared, seen) in databases(keep, round) {
        for (table, rows) in &seen.care.dead_rows {
            #[expect(clippy::cast_precision_loss, reason = "shares need no more than 53 bits")]
            let share = rows.dead as f64 / (rows.dead + rows.live).max(1) as f64;
            if share < declared.care.bloated_at {
                continue;
            }
            let (entity, kind) = (entity.clone(), FindingKind::TableBloated);
            let mut f = finding(entity, kind, table, Severity::Warning, seen.at, round.now);
            f.text = f.text.with("table", table).with("dead", rows.dead).with("live", rows.live);
            let held = seen.care.horizon_ms >= HORIZON_MS;
            f.hold_ms = if held { HOLD_HELD_MS } else { HOLD_MS };
            let text = Text::new("evidence.dead_rows").with("table", table).with("dead", rows.dead);
            f.evidence.push(seen_at(seen.at, text.with("live", rows.live)));
            if held {
                let text = Text::new("evidence.horizon_held")
                    .with("application", &seen.care.horizon_of)
                    .with("ms", seen.care.horizon_ms);
                f.evidence.push(seen_at(seen.at, text));
            }
            found.push(f);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen, DeadRows};

    #[test]
    fn a_share_of_dead_rows_that_is_usual_is_no_finding() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (dead, horizon_ms, hold) in
            [(30_000, 0, None), (200_000, 0, Some(180_000)), (200_000, 90_000, Some(10_000))]
        {
            let dead_rows = [("orders".to_owned(), DeadRows { live: 100_000, dead })].into();
            let care = DatabaseCareSeen { dead_rows, horizon_ms, ..DatabaseCareSeen::default() };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.findings().first().map(|f| f.hold_ms), hold, "{dead} {horizon_ms}");
        }
    }
}
