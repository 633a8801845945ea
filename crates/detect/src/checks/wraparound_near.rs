//! A database comes near the end of its transaction numbers. It stops taking writes some millions before the end.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// Numbers that there are, from the oldest to the newest.
const NUMBERS: u64 = 1 << 31;
/// Share from which it is urgent.
const URGENT: f64 = 0.9;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = databases(keep, round).filter_map(|(entity, declared, seen)| {
        let care = &seen.care;
        #[expect(clippy::cast_precision_loss, reason = "shares need no more than 53 bits")]
        let share = care.oldest_xid as f64 / NUMBERS as f64;
        if share < declared.care.wraparound_at {
            return None;
        }
        let severity = if share >= URGENT { Severity::Critical } else { Severity::Warning };
        let mut f = finding(entity, FindingKind::WraparoundNear, "", severity, seen.at, round.now);
        f.text = f.text.with("share", format!("{share:.4}")).with("database", &care.oldest_xid_in);
        let text = Text::new("evidence.oldest_xid")
            .with("database", &care.oldest_xid_in)
            .with("age", care.oldest_xid)
            .with("left", NUMBERS.saturating_sub(care.oldest_xid));
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::Severity;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};

    #[test]
    fn the_age_at_which_the_server_cleans_by_itself_is_no_finding() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        let cases = [
            (200_000_000, None),
            (1_200_000_000, Some(Severity::Warning)),
            (2_100_000_000, Some(Severity::Critical)),
        ];
        for (oldest_xid, severity) in cases {
            let care = DatabaseCareSeen { oldest_xid, ..DatabaseCareSeen::default() };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.findings().first().map(|f| f.severity), severity, "{oldest_xid}");
        }
    }
}
