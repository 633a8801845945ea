//! A declared health check fails as often in a row as the keep file says.

use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::observe::HealthSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::Round;

/// How long the failures must last on top, milliseconds, so that a quick restart in between is not an incident.
const HOLD_MS: u64 = 1000;

/// The same just after a restart in order: a program may take a while to load.
const RESTART_HOLD_MS: u64 = 10_000;
/// How long after its start a process counts as just restarted.
const RESTART_GRACE: Duration = Duration::from_secs(15);

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
        f.hold_ms = if restarted_in_order(seen, round) { RESTART_HOLD_MS } else { HOLD_MS };
        f.evidence.push(evidence(seen, failure));
        Some(f)
    });
    failing.collect()
}

/// True while the service comes back from an end that was asked for: a deployment, or a person's restart.
fn restarted_in_order(seen: &HealthSeen, round: &Round<'_>) -> bool {
    round.seen.services.get(&seen.service).is_some_and(|s| {
        let fresh = s.processes.first().is_some_and(|p| round.now.since(p.started_at) <= RESTART_GRACE);
        fresh && s.last_end.as_ref().is_some_and(|end| end.exit.in_order())
    })
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
    use crate::checks::testing::{World, ended};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::Exit;

    #[test]
    fn just_after_a_restart_in_order_a_service_is_given_time() {
        let mut w = World::new(&["app"]);
        for (exit, hold) in [(Exit::Signal(15), 10_000), (Exit::Signal(9), 1000)] {
            w.down("app", ended(1, exit));
            w.up("app", 2);
            w.health("app", Some("connection refused"), 2);
            let found = w.findings();
            let failing = found.iter().find(|f| f.key.kind == FindingKind::HealthFailing);
            assert_eq!(failing.map(|f| f.hold_ms), Some(hold));
        }
    }

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
