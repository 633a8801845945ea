//! Decisions: what is waited for, adopted, dropped, or left to a person.

use wellkept_model::{
    Action, ActionKind, ActionStatus, EntityId, IncidentStatus, MomentKind, Plan, PlannedAction, Text,
    TimestampMs, Undo,
};

use super::{Life, root_of};

impl Life {
    pub(crate) fn wants_plan(&self, now: TimestampMs) -> bool {
        self.incident.status == IncidentStatus::Diagnosing
            && self.incident.active > 0
            && !self.held_by_person
            && self.undoing.is_empty()
            && self.decided_for.is_none()
            && self.wait_until.is_none_or(|t| now >= t)
    }

    pub(crate) fn wait(&mut self, now: TimestampMs, until: TimestampMs, why: Text) {
        let told = self.incident.timeline.iter().rev().find(|m| m.kind == MomentKind::Planned);
        if told.is_none_or(|m| m.text != why) {
            self.note(now, MomentKind::Planned, why);
        }
        self.wait_until = Some(until);
    }

    /// Takes a plan; an automatic one begins at once, a proposal waits.
    pub(crate) fn adopt(&mut self, now: TimestampMs, plan: Plan) {
        self.decide();
        self.drop_plan();
        self.generation = plan.generation;
        self.planned_for =
            self.incident.causes.iter().find(|c| c.kind == plan.cause).map(|c| (c.entity.clone(), c.kind));
        self.critical_at_start = self.critical_count();
        self.plan_actions.clear();
        for step in &plan.steps {
            let id = self.next_action_id();
            self.plan_actions.push(id);
            self.incident.actions.push(Action {
                id,
                planned: step.clone(),
                cause: Some(plan.cause),
                status: ActionStatus::Planned,
                automatic: plan.automatic,
                started_at: None,
                finished_at: None,
                outcome: None,
            });
        }
        let text = match &plan.withheld {
            None => Text::new("moment.plan_runs").with("count", plan.steps.len()),
            Some(why) => Text { key: why.key.clone(), args: why.args.clone() },
        };
        self.note(now, MomentKind::Planned, text);
        if plan.automatic {
            self.set_status(now, IncidentStatus::Recovering);
        }
        self.incident.plan = Some(plan);
        self.touch(now);
    }

    pub(crate) fn decide(&mut self) {
        self.decided_for = self.incident.causes.first().map(root_of);
    }

    pub(crate) fn reconsider(&mut self) {
        if matches!(self.incident.status, IncidentStatus::Diagnosing | IncidentStatus::Escalated)
            && !self.held_by_person
        {
            self.drop_plan();
            self.decided_for = None;
            self.diagnosed = None;
        }
    }

    /// Forgets a plan that has not begun; its steps are marked as skipped.
    pub(crate) fn drop_plan(&mut self) {
        if self.incident.plan.take().is_some() {
            let planned = self.incident.actions.iter_mut().filter(|a| a.status == ActionStatus::Planned);
            planned.for_each(|a| a.status = ActionStatus::Skipped);
            self.changed = true;
        }
    }

    pub(crate) fn escalate(&mut self, now: TimestampMs, why: Text, automatic: bool) {
        let known = self.incident.status == IncidentStatus::Escalated
            && self.incident.actions.last().is_some_and(|a| a.planned.reason == why);
        self.decide();
        self.drop_plan();
        if known {
            return;
        }
        let id = self.next_action_id();
        self.incident.actions.push(Action {
            id,
            planned: escalation(&self.incident.entity, why.clone()),
            cause: None,
            status: ActionStatus::Succeeded,
            automatic,
            started_at: Some(now),
            finished_at: Some(now),
            outcome: None,
        });
        self.note(now, MomentKind::Planned, why);
        self.set_status(now, IncidentStatus::Escalated);
    }
}

fn escalation(entity: &EntityId, why: Text) -> PlannedAction {
    PlannedAction {
        kind: ActionKind::Escalate,
        target: entity.clone(),
        subject: String::new(),
        to_version: None,
        deadline_ms: 0,
        verify: Vec::new(),
        undo: Undo::Irreversible,
        reason: why,
    }
}
