//! A declared health check fails as often in a row as the keep file says.

use wellkept_model::keep::Keep;
use wellkept_model::observe::HealthSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::Round;

/// How long the failures must last on top, milliseconds, so that a quick restart in between is not an incident.
const HOLD_MS: u64 = 1000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let failing = round.seen.health.iter().filter_map(|seen| {
        let failure = seen.failure.as_ref()?;
        let rule = keep.services.get(&seen.service)?.health.iter().find(|h| h.name == seen.check)?;
        if seen.in_a_row < rule.failures {
            return None;
        }
        let since = seen.at - rule.every.saturating_mul(seen.in_a_row.saturating_sub(1));
        let entity = EntityId::service(&seen.service);
        let mut f =
            finding(entity, FindingKind::HealthFailing, &seen.check, Severity::Critical, since, round.now);
        f.text = f.text.with("check", &seen.check).with("failure", failure);
        f.hold_ms = HOLD_MS;
        f.evidence.push(evidence(seen, failure));
        Some(f)
    });
    failing.collect()
}

fn evidence(seen: &HealthSeen, failure: &str) -> wellkept_model::Evidence {
    seen_in(
        seen.at,
        Text::new("evidence.health_failed")
            .with("check", &seen.check)
            .with("failure", failure)
            .with("count", seen.in_a_row)
            .with("ms", seen.took_ms),
        format!("wellkept_health_check_success{{service={:?},check={:?}}}", seen.service, seen.check),
    )
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    #[test]
    fn one_failure_is_not_enough_where_two_are_declared() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.health("app", Some("status 500"), 1);
        assert!(w.kinds().is_empty());
        w.health("app", Some("status 500"), 2);
        assert_eq!(w.kinds(), [FindingKind::HealthFailing]);
        w.health("app", None, 1);
        assert!(w.kinds().is_empty());
    }
}
