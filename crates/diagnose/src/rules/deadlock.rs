//! Transactions wait for each other in a circle. The server ends one of each circle, so nothing hangs; that it happens
//! again and again is a defect of those who take locks in different orders, and no action of ours cures it.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// The server counted them.
const SCORE: f64 = 0.9;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let often = s.of_kind(FindingKind::DeadlocksOften).map(|finding| {
        let entity = &finding.key.entity;
        let speaks = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let mut found = cause(entity, CauseKind::Deadlock, "", SCORE, speaks);
        let count = s.seen.watched.databases.get(&entity.name).map_or(0, |d| d.care.deadlocks);
        found.detail = found.detail.with("count", count);
        found
    });
    often.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn circles_again_and_again_are_named_and_one_long_wait_is_not() {
        let db = || EntityId::service("db");
        let case = Case::of(|s| Case::find(s, db(), FindingKind::DeadlocksOften, ""));
        assert_eq!(case.first(), "service:db deadlock");
        let case = Case::of(|s| Case::find(s, db(), FindingKind::LocksHeld, ""));
        assert!(!case.kinds().contains(&"deadlock".to_owned()));
    }
}
