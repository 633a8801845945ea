//! A cache cannot write its content to disk, or one that follows another has lost it.

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long a follower may be without the other, milliseconds.
const HOLD_MS: u64 = 15_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, seen) in round.seen.watched.caches.iter().filter(|(_, s)| s.problem.is_none()) {
        if let Some(since) = seen.unsaved_since {
            let (entity, kind) = (EntityId::service(name), FindingKind::PersistenceFailing);
            let mut f = finding(entity, kind, "", Severity::Warning, since, round.now);
            f.text = f.text.with("what", &seen.unsaved_what);
            let text = Text::new("evidence.unsaved").with("what", &seen.unsaved_what);
            f.evidence.push(seen_at(seen.at, text.with("saved", seen.saved_at)));
            found.push(f);
        }
        let alone = keep.watched.caches.get(name).is_some_and(|c| c.standby) && seen.follows == Some(false);
        if let Some(since) = seen.broken_since.or(alone.then_some(seen.at)) {
            let (entity, kind) = (EntityId::service(name), FindingKind::ReplicationBroken);
            let mut f = finding(entity, kind, "", Severity::Warning, since, round.now);
            f.hold_ms = HOLD_MS;
            let why = if alone { "it follows nobody" } else { "-" };
            f.evidence.push(seen_at(seen.at, Text::new("evidence.receives_nothing").with("why", why)));
            found.push(f);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, cache};
    use wellkept_model::keep::Cache;
    use wellkept_model::observe::CacheSeen;
    use wellkept_model::{FindingKind, TimestampMs};

    #[test]
    fn one_that_must_follow_and_follows_nobody_is_cut_off() {
        let mut w = World::new(&["cache"]);
        w.up("cache", 1);
        let declared = Cache { standby: true, ..cache("cache") };
        w.keep.watched.caches.insert("cache".into(), declared);
        for (follows, kinds) in [(Some(true), vec![]), (Some(false), vec![FindingKind::ReplicationBroken])] {
            w.seen.watched.caches.insert("cache".into(), CacheSeen { follows, ..CacheSeen::default() });
            assert_eq!(w.kinds(), kinds);
        }
    }

    #[test]
    fn what_cannot_be_saved_and_who_cannot_follow_are_two_things() {
        let mut w = World::new(&["cache"]);
        w.up("cache", 1);
        let since = Some(TimestampMs(5));
        for (unsaved_since, broken_since, kinds) in [
            (None, None, vec![]),
            (since, None, vec![FindingKind::PersistenceFailing]),
            (None, since, vec![FindingKind::ReplicationBroken]),
        ] {
            let seen = CacheSeen { unsaved_since, broken_since, ..CacheSeen::default() };
            w.seen.watched.caches.insert("cache".into(), seen);
            assert_eq!(w.kinds(), kinds);
        }
    }
}
