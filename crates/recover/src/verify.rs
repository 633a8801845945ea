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
