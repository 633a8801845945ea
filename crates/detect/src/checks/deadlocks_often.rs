//! A database ends transactions because they wait for each other in a circle, again and again. One now and then is
//! usual: the server resolves it and the application tries again.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = databases(keep, round).filter_map(|(entity, declared, seen)| {
        let count = seen.care.deadlocks;
        if count < declared.care.deadlocks {
            return None;
        }
        let mut f = finding(entity, FindingKind::DeadlocksOften, "", Severity::Warning, seen.at, round.now);
        f.text = f.text.with("count", count);
        f.evidence.push(seen_at(seen.at, Text::new("evidence.deadlocks").with("count", count)));
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
    fn one_now_and_then_is_usual() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (deadlocks, kinds) in [(0, vec![]), (2, vec![]), (3, vec![FindingKind::DeadlocksOften])] {
            let care = DatabaseCareSeen { deadlocks, ..DatabaseCareSeen::default() };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.kinds(), kinds, "{deadlocks}");
        }
    }
}
