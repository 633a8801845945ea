//! Doing steps: journal first, gate just before the effect, result back to the book.

use std::sync::Arc;
use std::time::Duration;

use wellkept_model::observe::Observation;
use wellkept_model::{ActionStatus, EntityKind, Text, TimestampMs};
use wellkept_recover::{Step, StepResult, deployed};
use wellkept_remote::LocalHands;
use wellkept_state::{JournalOutcome, StateError};

use super::{Engine, OwnMetrics};
use crate::clock::now;

/// What a step may take beyond its own deadline before we stop waiting for it.
const GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts every step that may begin now.
    pub(super) async fn start_steps(&mut self, at: TimestampMs) {
        loop {
            let (at_once, frozen) = (self.keep.automation.at_once, self.is_frozen());
            let Some(step) = self.book.poll_step(at, at_once, frozen) else { return };
            self.begin(step).await;
        }
    }

    async fn begin(&mut self, step: Step) {
        OwnMetrics::add(&self.metrics.steps, 1);
        let journalled = self.journal(&step).await;
        if let Err(result) = journalled.and_then(|()| self.gate(&step)) {
            self.record(&step, &result).await;
            self.book.handle_result(now(), &step, result);
            return;
        }
        let processes = self.processes_of(&step);
        let (hands, results) = (Arc::clone(&self.hands), self.results.0.clone());
        tokio::spawn(async move {
            let result = perform(&hands, &step, &processes).await;
            // The engine only stops listening when the whole process ends.
            let _ = results.send((step, result)).await;
        });
    }

    /// Puts the record on disk. Without it the step is not done.
    async fn journal(&self, step: &Step) -> Result<(), StepResult> {
        let written = if step.undo {
            self.state.journal_undo_begin(step.action, now()).await
        } else {
            let generation = step.generation;
            self.state.journal_begin(step.action, generation, &step.planned, step.automatic, now()).await
        };
        match written {
            Ok(JournalOutcome::Begun) => Ok(()),
            Ok(JournalOutcome::AlreadyBegun) => Err(StepResult {
                status: ActionStatus::Unknown,
                outcome: Text::new("outcome.begun_before"),
                undo: None,
            }),
            Ok(JournalOutcome::OlderPlan { .. }) => Err(not_begun(Text::new("refused.old_plan"))),
            Err(error) => {
                tracing::error!(action = %step.action, %error, "a step is not done: its record cannot be written");
                Err(not_begun(Text::new("outcome.not_journalled")))
            }
        }
    }

    fn gate(&self, step: &Step) -> Result<(), StepResult> {
        let refused = self.book.gate(step, now(), self.is_frozen());
        refused.map_err(not_begun)?;
        // A deployment may have begun since this was decided.
        let theirs = (step.automatic && !step.undo).then(|| {
            let deploying = crate::under_way::windows(&self.data_dir, &self.keep, &self.host, now());
            deployed(&step.planned, &Observation { deploying, ..Observation::default() })
        });
        theirs.flatten().map_or(Ok(()), |why| Err(not_begun(why)))
    }

    fn processes_of(&self, step: &Step) -> Vec<u32> {
        if step.planned.target.kind != EntityKind::Service {
            return Vec::new();
        }
        let service = self.seen.services.get(&step.planned.target.name);
        service.map_or_else(Vec::new, |s| s.processes.iter().map(|p| p.pid).collect())
    }

    pub(super) async fn finish_step(&mut self, step: Step, result: StepResult) {
        self.record(&step, &result).await;
        self.book.handle_result(now(), &step, result);
        if step.planned.target.kind == EntityKind::Service {
            self.look_at_service(&step.planned.target.name, now());
            self.check_soon(&step.planned.target.name);
        }
        self.start_steps(now()).await;
        self.publish_incidents().await;
    }

    /// Asks the health checks of a service at once; the results are seen in the next round.
    fn check_soon(&self, name: &str) {
        let (checks, name) = (self.collector.health(), name.to_owned());
        tokio::spawn(async move { checks.check_now(&name).await });
    }

    async fn record(&self, step: &Step, result: &StepResult) {
        match self.state.journal_end(step.action, result.status, &result.outcome, now()).await {
            Ok(()) | Err(StateError::NotBegun(_)) => {}
            Err(error) => {
                tracing::error!(action = %step.action, %error, "the end of a step is not journalled")
            }
        }
    }
}

async fn perform(hands: &LocalHands, step: &Step, processes: &[u32]) -> StepResult {
    let limit = Duration::from_millis(step.planned.deadline_ms) + GRACE;
    let work = async {
        if step.undo {
            hands.undo(step.action, &step.planned, processes, now()).await
        } else {
            hands.execute(step.action, &step.planned, processes, now()).await
        }
    };
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => StepResult { status: outcome.status, outcome: outcome.text, undo: outcome.undo },
        Err(_) => {
            StepResult { status: ActionStatus::Unknown, outcome: Text::new("outcome.no_answer"), undo: None }
        }
    }
}

/// Nothing was done, and nothing is known against the cause.
fn not_begun(outcome: Text) -> StepResult {
    StepResult { status: ActionStatus::Skipped, outcome, undo: None }
}
