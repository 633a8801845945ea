//! Verified means: the signals that fired are quiet *and* the target's checks pass, for a hold time.

use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::observe::Observation;
use wellkept_model::{EntityKind, Finding, Plan, TimestampMs};

/// How long after its last step a plan may take to show that it helped, on top of the hold time.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a verification says at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not yet, or not for long enough.
    Waiting,
    /// Quiet and passing for the hold time.
    Passed,
    /// The time is up.
    Failed,
}

/// A verification that runs since the last step of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    since: TimestampMs,
    quiet_since: Option<TimestampMs>,
    hold: Duration,
}

impl Verification {
    pub(crate) fn new(now: TimestampMs, hold: Duration) -> Self {
        Self { since: now, quiet_since: None, hold }
    }

    pub(crate) fn step(
        &mut self,
        now: TimestampMs,
        plan: &Plan,
        active: &[Finding],
        seen: &Observation,
        keep: &Keep,
    ) -> Progress {
        if is_quiet(plan, active) && targets_pass(plan, seen, keep, self.since) {
            let since = *self.quiet_since.get_or_insert(now);
            return if now.since(since) >= self.hold { Progress::Passed } else { Progress::Waiting };
        }
        self.quiet_since = None;
        if now.since(self.since) >= PATIENCE + self.hold { Progress::Failed } else { Progress::Waiting }
    }
}

fn is_quiet(plan: &Plan, active: &[Finding]) -> bool {
    let watched = |f: &Finding| plan.steps.iter().any(|s| s.verify.contains(&f.key));
    !active.iter().any(watched)
}

/// Every service that was acted upon runs, and each of its checks has passed since the last step.
fn targets_pass(plan: &Plan, seen: &Observation, keep: &Keep, since: TimestampMs) -> bool {
    let services = plan.steps.iter().map(|s| &s.target).filter(|t| t.kind == EntityKind::Service);
    services.into_iter().all(|target| {
        let runs = seen.services.get(&target.name).is_some_and(|s| !s.processes.is_empty());
        let checks = keep.services.get(&target.name).map_or(0, |s| s.health.len());
        let passing =
            seen.health.iter().filter(|h| h.service == target.name && h.failure.is_none() && h.at >= since);
        runs && passing.count() >= checks
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, health, incident, keep, restart, seen_running};
    use wellkept_model::{CauseKind, FindingKind, IncidentId};

    const HOLD: Duration = Duration::from_secs(5);

    fn plan(services: &[&str]) -> Plan {
        Plan {
            incident: IncidentId(1),
            generation: 1,
            made_at: TimestampMs(0),
            expires_at: TimestampMs(0),
            cause: CauseKind::ProcessCrash,
            automatic: true,
            withheld: None,
            steps: services.iter().map(|s| restart(s)).collect(),
            verify_hold_ms: 5000,
        }
    }

    /// The service runs and passes at this second.
    fn well(second: i64) -> Observation {
        let mut seen = seen_running(&["a"]);
        let passed =
            wellkept_model::observe::HealthSeen { at: TimestampMs(second * 1000), ..health("a", None) };
        seen.health = vec![passed];
        seen
    }

    fn step(v: &mut Verification, ms: i64, active: &[Finding], seen: &Observation) -> Progress {
        v.step(TimestampMs(ms), &plan(&["a"]), active, seen, &keep(&["a"]))
    }

    #[test]
    fn quiet_and_passing_for_the_hold_time_is_verified_and_not_a_moment_earlier() {
        let mut v = Verification::new(TimestampMs(0), HOLD);
        for ms in [1000, 3000, 5999] {
            assert_eq!(step(&mut v, ms, &[], &well(1)), Progress::Waiting);
        }
        assert_eq!(step(&mut v, 6000, &[], &well(1)), Progress::Passed);
    }

    #[test]
    fn a_signal_that_still_fires_or_fires_again_begins_the_time_anew() {
        let fires = incident(vec![finding("a", FindingKind::ProcessGone)]).findings;
        let mut v = Verification::new(TimestampMs(0), HOLD);
        assert_eq!(step(&mut v, 1000, &[], &well(1)), Progress::Waiting);
        assert_eq!(step(&mut v, 5000, &fires, &well(1)), Progress::Waiting);
        assert_eq!(step(&mut v, 6000, &[], &well(1)), Progress::Waiting);
        assert_eq!(step(&mut v, 10_999, &[], &well(1)), Progress::Waiting);
        assert_eq!(step(&mut v, 11_000, &[], &well(1)), Progress::Passed);
        let other = [finding("b", FindingKind::ProcessGone)];
        let mut v = Verification::new(TimestampMs(0), HOLD);
        step(&mut v, 1000, &other, &well(1));
        assert_eq!(step(&mut v, 6000, &other, &well(1)), Progress::Passed, "somebody else's signal");
    }

    #[test]
    fn it_fails_once_its_patience_and_the_hold_time_are_over() {
        let fires = [finding("a", FindingKind::ProcessGone)];
        let mut v = Verification::new(TimestampMs(1000), HOLD);
        assert_eq!(step(&mut v, 50_999, &fires, &well(1)), Progress::Waiting);
        assert_eq!(step(&mut v, 51_000, &fires, &well(1)), Progress::Failed);
    }

    #[test]
    fn a_check_counts_when_it_passed_after_the_last_step_and_is_the_targets_own() {
        let passes = |seen: &Observation, services: &[&str]| {
            targets_pass(&plan(services), seen, &keep(&["a", "b"]), TimestampMs(2000))
        };
        assert!(passes(&well(2), &["a"]) && !passes(&well(1), &["a"]), "before the step is no proof");
        assert!(!passes(&Observation { health: well(2).health, ..Observation::default() }, &["a"]), "gone");
        let mut failing = well(2);
        failing.health[0].failure = Some("status 500".to_owned());
        assert!(!passes(&failing, &["a"]));
        let mut others = well(2);
        others.health[0].service = "b".to_owned();
        assert!(!passes(&others, &["a"]), "another service's check");
        assert!(!passes(&well(2), &["a", "b"]), "one of two targets");
    }
}
