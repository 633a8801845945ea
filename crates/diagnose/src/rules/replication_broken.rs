//! A standby has lost the connection to its primary, or the primary no longer keeps the log that it needs.
//!
//! Neighbours: one that was told not to replay is connected and receives; one whose primary is down is a symptom of that,
//! which the topology says when the standby depends on it; one that acts as a primary itself follows nobody.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::cause;
use crate::Situation;

/// The server says so itself.
const SCORE: f64 = 0.93;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let broken = s.of_kind(FindingKind::ReplicationBroken).map(|finding| {
        let (entity, slot) = (&finding.key.entity, &finding.key.subject);
        let mut found = cause(entity, CauseKind::ReplicationBroken, "", SCORE, [finding]);
        if slot.is_empty() {
            let databases = &s.seen.watched.databases;
            let why = databases.get(&entity.name).map_or("", |d| d.care.broken_why.as_str());
            found.detail = found.detail.with("why", if why.is_empty() { "-" } else { why });
        } else {
            found.detail =
                Text::new("cause.replication_broken.lost").with("name", &entity.name).with("slot", slot);
        }
        found
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str, kind: FindingKind) -> Case {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("standby"), kind, "");
        case.again()
    }

    #[test]
    fn a_standby_that_is_cut_off_is_named() {
        let words = "standby needs db; db runs since 1; standby runs since 1";
        assert_eq!(case(words, FindingKind::ReplicationBroken).first(), "service:standby replication_broken");
    }

    #[test]
    fn one_that_was_told_not_to_replay_is_not_cut_off() {
        let case = case("standby runs since 1", FindingKind::ReplayPaused);
        assert_eq!(case.kinds(), ["replay_paused"]);
    }

    #[test]
    fn with_a_primary_that_is_gone_it_is_a_symptom() {
        let words = "standby needs db; db ended 9s at 100 began 10; db gone; standby runs since 1";
        assert_eq!(case(words, FindingKind::ReplicationBroken).first(), "service:db process_crash");
    }
}
