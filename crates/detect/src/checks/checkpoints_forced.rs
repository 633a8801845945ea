//! A database writes checkpoints again and again because its log is full, not because it is time.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// Forced ones in two minutes from which it is a storm: one every thirty seconds, where the server warns as well.
const MANY: u64 = 4;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = databases(keep, round).filter_map(|(entity, _, seen)| {
        let (forced, timed) = (seen.care.checkpoints_forced, seen.care.checkpoints_timed);
        if forced < MANY || forced <= timed {
            return None;
        }
        let kind = FindingKind::CheckpointsForced;
        let mut f = finding(entity, kind, "", Severity::Warning, seen.at, round.now);
        f.text = f.text.with("count", forced);
        let text = Text::new("evidence.checkpoints").with("forced", forced).with("timed", timed);
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};

    #[test]
    fn a_big_load_that_forces_one_or_two_is_no_storm() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (forced, timed, kinds) in
            [(2, 0, vec![]), (4, 5, vec![]), (4, 0, vec![FindingKind::CheckpointsForced])]
        {
            let care = DatabaseCareSeen {
                checkpoints_forced: forced,
                checkpoints_timed: timed,
                ..DatabaseCareSeen::default()
            };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.kinds(), kinds, "{forced} {timed}");
        }
    }
}
