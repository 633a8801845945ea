//! A service of somebody else is slow, or it is well again and our fallback is still on.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// It was timed.
const SCORE: f64 = 0.93;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let slow = s.of_kind(FindingKind::DependencySlow).map(|f| (f, CauseKind::Slow));
    let left_on = s.of_kind(FindingKind::FallbackOn).map(|f| (f, CauseKind::FallbackLeftOn));
    let found = slow.chain(left_on).map(|(finding, kind)| {
        let entity = &finding.key.entity;
        let mut found = cause(entity, kind, "", SCORE, [finding]);
        let took = s.seen.watched.dependencies.get(&entity.name).map_or(0, |d| d.took_ms);
        found.detail = found.detail.with("ms", took);
        found
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    #[test]
    fn those_who_wait_for_it_are_symptoms() {
        let mut case = Case::new("app runs since 1; app unhealthy");
        let pay = EntityId::new(EntityKind::Dependency, "pay");
        Case::lean(&mut case.situation, "app", pay.clone());
        Case::find(&mut case.situation, pay, FindingKind::DependencySlow, "");
        let case = case.again();
        assert_eq!((case.first().as_str(), case.causes.len()), ("dependency:pay slow", 1));
        assert_eq!(case.causes[0].explains.len(), 2);
    }
}
