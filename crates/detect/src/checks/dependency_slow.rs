//! A service of somebody else is slow or silent, refuses what is too much, or it is well again and our fallback is still on.

use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Slow looks in a row that make a finding.
const SLOW_LOOKS_MIN: u32 = 2;
/// Quick looks in a row after which the fallback is no longer needed.
const QUICK_LOOKS_MIN: u32 = 6;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.dependencies.iter().filter_map(|(name, seen)| {
        let slow = seen.slow_in_a_row >= SLOW_LOOKS_MIN;
        let left_on = seen.fallback_ours && seen.quick_in_a_row >= QUICK_LOOKS_MIN;
        let refuses = seen.refused_in_a_row >= SLOW_LOOKS_MIN;
        let kind = match (slow, refuses, left_on) {
            (true, ..) => FindingKind::DependencySlow,
            (false, true, _) => FindingKind::DependencyRefusing,
            (false, false, true) => FindingKind::FallbackOn,
            (false, false, false) => return None,
        };
        let entity = EntityId::new(EntityKind::Dependency, name);
        let mut f = finding(entity, kind, "", Severity::Warning, seen.at, round.now);
        f.text = f.text.with("ms", seen.took_ms);
        let text = Text::new("evidence.dependency_took")
            .with("name", name)
            .with("ms", seen.took_ms)
            .with("failure", seen.problem.as_deref().unwrap_or("-"));
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::observe::DependencySeen;

    fn kinds(slow: u32, quick: u32, ours: bool) -> Vec<FindingKind> {
        let mut w = World::new(&[]);
        let seen = DependencySeen {
            slow_in_a_row: slow,
            quick_in_a_row: quick,
            fallback_ours: ours,
            ..DependencySeen::default()
        };
        w.seen.watched.dependencies.insert("pay".into(), seen);
        w.kinds()
    }

    #[test]
    fn one_slow_answer_is_no_finding() {
        assert!(kinds(1, 0, false).is_empty());
        assert_eq!(kinds(2, 0, false), [FindingKind::DependencySlow]);
    }

    #[test]
    fn one_refusal_is_no_finding_and_who_refuses_is_not_slow() {
        for (refused_in_a_row, kinds) in [(1, vec![]), (2, vec![FindingKind::DependencyRefusing])] {
            let mut w = World::new(&[]);
            let seen = DependencySeen { refused_in_a_row, ..DependencySeen::default() };
            w.seen.watched.dependencies.insert("pay".into(), seen);
            assert_eq!(w.kinds(), kinds);
        }
    }

    #[test]
    fn only_a_fallback_of_ours_is_switched_back_and_only_after_a_while() {
        assert!(kinds(0, 100, false).is_empty());
        assert!(kinds(0, 5, true).is_empty());
        assert_eq!(kinds(0, 6, true), [FindingKind::FallbackOn]);
    }
}
