//! A standby was told not to replay. One that is only behind and catches up is left alone.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must last, milliseconds.
const HOLD_MS: u64 = 1000;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.databases.iter().filter_map(|(service, seen)| {
        let since = seen.paused_since?;
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::ReplayPaused, "", Severity::Warning, since, round.now);
        f.hold_ms = HOLD_MS;
        let text = Text::new("evidence.replay_paused").with("bytes", seen.behind_bytes);
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::observe::DatabaseSeen;
    use wellkept_model::{FindingKind, TimestampMs};

    #[test]
    fn a_standby_that_catches_up_is_left_alone() {
        let mut w = World::new(&["standby"]);
        w.up("standby", 1);
        let mut seen = DatabaseSeen { behind_bytes: 1 << 30, slots: 10, ..DatabaseSeen::default() };
        w.seen.watched.databases.insert("standby".into(), seen.clone());
        assert!(w.kinds().is_empty());
        seen.paused_since = Some(TimestampMs(5));
        w.seen.watched.databases.insert("standby".into(), seen);
        assert_eq!(w.kinds(), [FindingKind::ReplayPaused]);
    }
}
