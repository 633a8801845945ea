//! Steps of the plan in force: begun, ended, verified, taken back.

use std::time::Duration;

use wellkept_model::{
    Action, ActionId, ActionKind, ActionStatus, FindingKind, IncidentStatus, MomentKind, Outcome, Plan, Text,
    TimestampMs, Undo,
};

use super::Life;
use crate::book::StepResult;
use crate::verify::Verification;

/// Actions kept per incident; of older ones those that were never begun go first.
const ACTIONS_MAX: usize = 200;
/// How long leftovers of a trouble that a plan has ended may still be seen: averages and counts follow late.
const AFTERMATH: Duration = Duration::from_secs(15);
/// When a step that could not begin is decided again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

impl Life {
    /// The next planned step of the plan in force.
    pub(crate) fn next_step(&self) -> Option<&Action> {
        self.incident.plan.as_ref()?;
        self.incident.actions.iter().find(|a| a.status == ActionStatus::Planned)
    }

    pub(crate) fn action_mut(&mut self, id: ActionId) -> Option<&mut Action> {
        self.incident.actions.iter_mut().find(|a| a.id == id)
    }

    pub(crate) fn begin_step(&mut self, now: TimestampMs, id: ActionId) {
        self.running = Some(id);
        let reason = self.action_mut(id).map(|a| {
            (a.status, a.started_at) = (ActionStatus::Running, Some(now));
            a.planned.reason.clone()
        });
        if let Some(reason) = reason {
            self.note(now, MomentKind::Done, reason);
        }
    }

    /// Takes the result of a step; after the last one the verification begins. Gives what it says about the action by
    /// itself: a step that failed did not help.
    pub(crate) fn end_step(&mut self, now: TimestampMs, id: ActionId, result: StepResult) -> Option<Outcome> {
        let StepResult { status, outcome, undo } = result;
        self.running = None;
        if status == ActionStatus::Skipped {
            self.not_begun(now, id, outcome);
            return None;
        }
        if let Some(action) = self.action_mut(id) {
            (action.status, action.finished_at, action.outcome) = (status, Some(now), Some(outcome.clone()));
            match undo {
                Some(undo) => action.planned.undo = undo,
                // It failed before it had done anything.
                None if status == ActionStatus::Failed => action.planned.undo = Undo::Irreversible,
                None => {}
            }
        }
        self.note(now, MomentKind::Done, outcome);
        match status {
            ActionStatus::Succeeded if self.next_step().is_some() => {}
            ActionStatus::Succeeded => {
                let hold = self.incident.plan.as_ref().map_or(Duration::ZERO, Plan::verify_hold);
                self.verification = Some(Verification::new(now, hold));
                self.set_status(now, IncidentStatus::Verifying);
            }
            ActionStatus::Unknown => {
                self.held_by_person = true;
                self.escalate(now, Text::new("escalate.outcome_unknown"), true);
            }
            _ => {
                self.fail(now);
                return Some(Outcome::DidNotHelp);
            }
        }
        None
    }

    /// The step was refused before it began (no record could be written, the stop switch came between): nothing is
    /// known against its cause. The plan is dropped and decided again in a while.
    fn not_begun(&mut self, now: TimestampMs, id: ActionId, why: Text) {
        if let Some(action) = self.action_mut(id) {
            (action.status, action.started_at, action.outcome) =
                (ActionStatus::Skipped, None, Some(why.clone()));
        }
        self.drop_plan();
        (self.planned_for, self.decided_for) = (None, None);
        self.wait(now, now + TRY_AGAIN, why);
        self.set_status(now, IncidentStatus::Diagnosing);
    }

    /// The plan did not help: its reversible steps are taken back, and its cause is not answered again.
    pub(crate) fn fail(&mut self, now: TimestampMs) {
        self.verification = None;
        if let Some(cause) = self.planned_for.take() {
            self.failed.push(cause);
        }
        let to_undo = self.incident.actions.iter().rev().filter(|a| {
            a.status == ActionStatus::Succeeded
                && a.planned.undo != Undo::Irreversible
                && self.plan_actions.contains(&a.id)
        });
        self.undoing = to_undo.map(|a| a.id).collect();
        self.drop_plan();
        (self.decided_for, self.diagnosed) = (None, None);
        self.note(now, MomentKind::Verified, Text::new("moment.did_not_help"));
        self.set_status(now, IncidentStatus::Diagnosing);
    }

    /// A plan ran out of time: half done counts as failed, not begun is decided again.
    pub(crate) fn fail_or_forget(&mut self, now: TimestampMs) {
        if self.incident.status == IncidentStatus::Recovering && self.has_begun() {
            self.fail(now);
            return;
        }
        self.drop_plan();
        (self.decided_for, self.diagnosed) = (None, None);
        if self.incident.status == IncidentStatus::Recovering {
            self.set_status(now, IncidentStatus::Diagnosing);
        }
    }

    fn has_begun(&self) -> bool {
        let actions = self.incident.actions.iter().filter(|a| self.plan_actions.contains(&a.id));
        actions.into_iter().any(|a| a.started_at.is_some())
    }

    /// True when more is wrong than before the plan began.
    pub(crate) fn is_worse(&self) -> bool {
        self.critical_count() > self.critical_at_start
    }

    /// The signals are quiet and the checks pass: the plan helped. Other findings may remain.
    pub(crate) fn verified(&mut self, now: TimestampMs) {
        self.verification = None;
        self.note(now, MomentKind::Verified, Text::new("moment.verified"));
        self.planned_for = None;
        if self.incident.active == 0 {
            self.resolve(now);
        } else if self.is_handed_over() {
            // What could be done alone is done; what still holds is for the person who was called.
            self.drop_plan();
            self.decide();
            self.set_status(now, IncidentStatus::Escalated);
        } else {
            self.drop_plan();
            if self.now_active.iter().all(|key| follows_late(key.kind)) {
                self.decide();
                self.settles_until = Some(now + AFTERMATH);
            } else {
                self.look_again();
            }
            self.set_status(now, IncidentStatus::Diagnosing);
        }
    }

    /// Ends the time in which leftovers of a solved trouble may go away by themselves.
    pub(super) fn look_again(&mut self) {
        self.settles_until = None;
        (self.decided_for, self.diagnosed) = (None, None);
    }

    /// True when the plan in force ends with calling a person.
    fn is_handed_over(&self) -> bool {
        let last = self.incident.plan.as_ref().and_then(|p| p.steps.last());
        last.is_some_and(|s| s.kind == ActionKind::Escalate)
    }

    /// Takes the result of an undo. Gives what it says about the action: one that a person took back was wrong.
    pub(crate) fn end_undo(&mut self, now: TimestampMs, id: ActionId, result: StepResult) -> Option<Outcome> {
        let StepResult { status, outcome, .. } = result;
        let taken_back = matches!(status, ActionStatus::Succeeded | ActionStatus::RolledBack);
        self.running = None;
        self.undoing.retain(|u| *u != id);
        if taken_back && let Some(action) = self.action_mut(id) {
            action.status = ActionStatus::RolledBack;
        }
        self.note(now, MomentKind::Done, outcome);
        if !taken_back {
            self.held_by_person = true;
            self.escalate(now, Text::new("escalate.undo_failed"), true);
        }
        (self.asked_back.remove(&id) && taken_back).then_some(Outcome::Undone)
    }

    /// Numbers only rise, so that an id never means two things.
    pub(super) fn next_action_id(&mut self) -> ActionId {
        let actions = &mut self.incident.actions;
        let number = actions.iter().map(|a| a.id.number).max().unwrap_or(0).saturating_add(1);
        if actions.len() >= ACTIONS_MAX
            && let Some(idle) = actions.iter().position(|a| a.status == ActionStatus::Skipped)
        {
            actions.remove(idle);
        }
        ActionId { incident: self.incident.id, number }
    }
}

/// Findings over a stretch of time: they outlast what they were about.
fn follows_late(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::HealthUnsteady | FindingKind::Unusual | FindingKind::FilesystemFilling)
}
