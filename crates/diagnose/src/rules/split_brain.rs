//! Two nodes of one cluster both act as the primary. Which one holds the truth is for a person: whatever is stopped or
//! rewound loses what was written there.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// Both say so themselves.
const SCORE: f64 = 0.98;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let two = s.of_kind(FindingKind::TwoPrimaries).map(|finding| {
        let entity = &finding.key.entity;
        let speaks =
            s.about(entity).filter(|f| f.key == finding.key || f.key.kind == FindingKind::ReplicationBroken);
        let mut found = cause(entity, CauseKind::SplitBrain, "", SCORE, speaks);
        found.detail = found.detail.with("cluster", &finding.key.subject);
        found
    });
    two.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn two_primaries_are_more_than_a_broken_replication() {
        let mut case = Case::new("standby runs since 1");
        let standby = EntityId::service("standby");
        Case::find(&mut case.situation, standby.clone(), FindingKind::ReplicationBroken, "");
        let case = case.again();
        assert_eq!(case.kinds(), ["replication_broken"]);
        let mut case = case;
        Case::find(&mut case.situation, standby, FindingKind::TwoPrimaries, "c");
        let case = case.again();
        assert_eq!(case.first(), "service:standby split_brain");
        assert_eq!(case.causes[0].explains.len(), 2);
    }
}
