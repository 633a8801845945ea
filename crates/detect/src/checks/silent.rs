//! A health check that has stopped giving results: silence is not health.

use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Shortest silence that counts.
const SILENCE_MIN: Duration = Duration::from_secs(10);
/// Intervals that may pass without a result.
const INTERVALS: u32 = 5;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let silent = round.seen.health.iter().filter_map(|seen| {
        let rule = keep.services.get(&seen.service)?.health.iter().find(|h| h.name == seen.check)?;
        let limit = (rule.every.saturating_mul(INTERVALS) + rule.within).max(SILENCE_MIN);
        if round.now.since(seen.at) <= limit {
            return None;
        }
        let entity = EntityId::service(&seen.service);
        let mut f = finding(entity, FindingKind::Silent, &seen.check, Severity::Warning, seen.at, round.now);
        f.text = f.text.with("check", &seen.check);
        f.evidence.push(seen_at(seen.at, Text::new("evidence.last_result").with("check", &seen.check)));
        Some(f)
    });
    silent.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    #[test]
    fn an_old_result_is_a_finding_of_its_own() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.health("app", None, 3);
        w.advance(9_000);
        assert!(w.kinds().is_empty());
        w.advance(3_000);
        assert_eq!(w.kinds(), [FindingKind::Silent]);
    }
}
