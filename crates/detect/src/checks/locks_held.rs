//! Sessions of a database wait long for a lock that one session holds.

use wellkept_model::keep::Keep;
use wellkept_model::{Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// From so many waiting sessions on it is not only slow for somebody.
const MANY: u64 = 5;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = databases(keep, round).filter_map(|(entity, declared, seen)| {
        let long = |ms: u64| u128::from(ms) >= declared.care.lock_wait.as_millis();
        let worst = seen.care.holders.iter().filter(|h| long(h.waited_ms)).max_by_key(|h| h.waiting)?;
        let severity = if worst.waiting >= MANY { Severity::Critical } else { Severity::Warning };
        let since = seen.at - std::time::Duration::from_millis(worst.waited_ms);
        let mut f = finding(entity, FindingKind::LocksHeld, "", severity, since, round.now);
        f.text = f.text.with("waiting", worst.waiting).with("ms", worst.waited_ms);
        f.evidence.extend(seen.care.holders.iter().take(3).map(|h| {
            let text = Text::new(if h.idle { "evidence.holds_lock.idle" } else { "evidence.holds_lock" })
                .with("id", h.id)
                .with("application", &h.application)
                .with("user", &h.user)
                .with("ms", h.held_ms)
                .with("waiting", h.waiting);
            seen_at(seen.at, text)
        }));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen, HolderOfLock};

    #[test]
    fn a_lock_that_is_given_back_soon_is_no_finding() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (waited_ms, kinds) in [(9_000, vec![]), (11_000, vec![FindingKind::LocksHeld])] {
            let holders = vec![HolderOfLock { waiting: 2, waited_ms, ..HolderOfLock::default() }];
            let care = DatabaseCareSeen { holders, ..DatabaseCareSeen::default() };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            assert_eq!(w.kinds(), kinds, "{waited_ms}");
        }
    }
}
