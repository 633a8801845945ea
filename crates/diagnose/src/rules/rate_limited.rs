//! The other side refuses requests because there are too many. It answers, and quickly: it is neither slow nor down.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// It says so itself.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let refusing = s.of_kind(FindingKind::DependencyRefusing);
    refusing.map(|f| cause(&f.key.entity, CauseKind::RateLimited, "", SCORE, [f])).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    fn first(kind: FindingKind) -> String {
        let mut case = Case::new("app runs since 1; app unhealthy");
        let pay = EntityId::new(EntityKind::Dependency, "pay");
        Case::lean(&mut case.situation, "app", pay.clone());
        Case::find(&mut case.situation, pay, kind, "");
        let case = case.again();
        assert_eq!(case.causes[0].explains.len(), 2);
        case.first()
    }

    #[test]
    fn who_refuses_is_not_slow_and_who_is_slow_does_not_refuse() {
        assert_eq!(first(FindingKind::DependencyRefusing), "dependency:pay rate_limited");
        assert_eq!(first(FindingKind::DependencySlow), "dependency:pay slow");
    }
}
