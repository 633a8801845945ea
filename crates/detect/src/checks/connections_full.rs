//! A database has (nearly) no connection slot left.

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must last, milliseconds: a burst of short sessions passes.
const HOLD_MS: u64 = 1000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.databases.iter().filter_map(|(service, seen)| {
        let declared = keep.watched.databases.get(service)?;
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        let full = seen.slots > 0 && seen.used as f64 >= seen.slots as f64 * declared.full_at;
        if !full {
            return None;
        }
        let entity = EntityId::service(service);
        let kind = FindingKind::ConnectionsFull;
        let mut f = finding(entity, kind, "", Severity::Critical, seen.at, round.now);
        f.text = f.text.with("used", seen.used).with("slots", seen.slots);
        f.hold_ms = HOLD_MS;
        let mut holders: Vec<_> = seen.applications.iter().collect();
        holders.sort_by_key(|(name, a)| (std::cmp::Reverse(a.sessions), (*name).clone()));
        f.evidence.extend(holders.into_iter().take(3).map(|(name, a)| {
            let text = Text::new("evidence.holds_sessions")
                .with("application", name)
                .with("sessions", a.sessions)
                .with("stale", a.stale)
                .with("ms", a.idle_ms);
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
    use wellkept_model::observe::DatabaseSeen;

    #[test]
    fn three_times_the_usual_connections_are_no_finding_while_slots_are_left() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        for (used, kinds) in [(5, vec![]), (15, vec![]), (27, vec![FindingKind::ConnectionsFull])] {
            let seen = DatabaseSeen { used, slots: 27, ..DatabaseSeen::default() };
            w.seen.watched.databases.insert("db".into(), seen);
            assert_eq!(w.kinds(), kinds, "{used}");
        }
    }

    #[test]
    fn a_server_that_says_nothing_is_not_full() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        w.keep.watched.databases.insert("db".into(), database("db"));
        let seen = DatabaseSeen { problem: Some("x".into()), ..DatabaseSeen::default() };
        w.seen.watched.databases.insert("db".into(), seen);
        assert!(w.kinds().is_empty());
    }
}
