//! A standby receives nothing, or a primary no longer keeps what a standby needs. A connection that is made anew soon, as
//! after a restart of the primary, is left alone.

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// How long a standby may be without its primary, milliseconds: it tries again every five seconds.
const HOLD_MS: u64 = 15_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (entity, _, seen) in databases(keep, round) {
        let kind = FindingKind::ReplicationBroken;
        let of = |entity: &EntityId, subject: &str, since| {
            finding(entity.clone(), kind, subject, Severity::Warning, since, round.now)
        };
        if let Some(since) = seen.care.broken_since {
            let mut f = of(&entity, "", since);
            f.hold_ms = HOLD_MS;
            let why = if seen.care.broken_why.is_empty() { "-" } else { &seen.care.broken_why };
            f.evidence.push(seen_at(seen.at, Text::new("evidence.receives_nothing").with("why", why)));
            found.push(f);
        }
        for slot in &seen.care.lost_slots {
            let mut f = of(&entity, slot, seen.at);
            f.text.key = format!("{}.lost", f.text.key);
            f.text = f.text.with("slot", slot);
            f.evidence.push(seen_at(seen.at, Text::new("evidence.slot_lost").with("slot", slot)));
            found.push(f);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::TimestampMs;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};

    fn texts(care: DatabaseCareSeen) -> Vec<String> {
        let mut w = World::new(&["standby"]);
        w.up("standby", 1);
        w.keep.watched.databases.insert("standby".into(), database("standby"));
        let paused_since = Some(TimestampMs(5)).filter(|_| care.follows.is_none());
        let seen = DatabaseSeen { care, paused_since, ..DatabaseSeen::default() };
        w.seen.watched.databases.insert("standby".into(), seen);
        w.findings().into_iter().map(|f| f.text.key).collect()
    }

    #[test]
    fn one_that_was_only_told_not_to_replay_is_connected() {
        assert_eq!(texts(DatabaseCareSeen::default()), ["finding.replay_paused"]);
        let cut = DatabaseCareSeen {
            follows: Some(true),
            broken_since: Some(TimestampMs(5)),
            ..Default::default()
        };
        assert_eq!(texts(cut), ["finding.replication_broken"]);
        let lost =
            DatabaseCareSeen { follows: Some(false), lost_slots: vec!["s".into()], ..Default::default() };
        assert_eq!(texts(lost), ["finding.replication_broken.lost"]);
    }
}
