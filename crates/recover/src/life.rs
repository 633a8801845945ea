//! One incident's way from open to resolved or escalated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wellkept_model::{
    Action, ActionId, ActionKind, ActionStatus, Cause, CauseKind, EntityId, Finding, FindingKey, FindingKind,
    Incident, IncidentId, IncidentStatus, Moment, MomentKind, Outcome, Plan, PlannedAction, Severity, Text,
    TimestampMs, Undo,
};

use crate::book::StepResult;
use crate::verify::Verification;

/// Entries kept in a time line. The first ones tell how it began and the last ones where it stands; what is dropped
/// when an incident flaps for days is the middle.
const TIMELINE_MAX: usize = 500;
/// How many of the first entries always stay.
const TIMELINE_HEAD: usize = 100;
/// Actions kept per incident; of older ones those that were never begun go first.
const ACTIONS_MAX: usize = 200;
/// How often causes are looked for again while nothing about the findings changes.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(1);
/// From this score on a new cause ends the verification of an answer to another one.
const SCORE_CLEAR: f64 = 0.9;
/// How long leftovers of a trouble that a plan has ended may still be seen: averages and counts follow late.
const AFTERMATH: Duration = Duration::from_secs(15);
/// When a step that could not begin is decided again.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// Key of the outcome of a backup that was made and failed its test by restoring.
const BACKUP_NOT_RESTORED: &str = "outcome.backup_not_restored";
/// A flapping incident doubles its hold time at most this often.
const FLAPS_MAX: u32 = 4;

/// What a decision was made for: a new root means a new decision.
type Root = (EntityId, CauseKind, String);

/// An incident with what only its life needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) incident: Incident,
    pub(crate) generation: u32,
    pub(crate) failed: Vec<(EntityId, CauseKind)>,
    pub(crate) running: Option<ActionId>,
    pub(crate) verification: Option<Verification>,
    pub(crate) undoing: VecDeque<ActionId>,
    /// Actions that a person wanted back.
    pub(crate) asked_back: BTreeSet<ActionId>,
    pub(crate) held_by_person: bool,
    pub(crate) changed: bool,
    diagnosed: Option<(TimestampMs, BTreeSet<FindingKey>)>,
    decided_for: Option<Root>,
    wait_until: Option<TimestampMs>,
    quiet_since: Option<TimestampMs>,
    planned_for: Option<(EntityId, CauseKind)>,
    plan_actions: Vec<ActionId>,
    critical_at_start: usize,
    flaps: u32,
    now_active: BTreeSet<FindingKey>,
    /// Until when, after a plan has helped, what still holds is given time to end before it is looked into anew.
    settles_until: Option<TimestampMs>,
}

impl Life {
    pub(crate) fn open(id: IncidentId, now: TimestampMs, first: Finding) -> Self {
        let incident = Incident {
            id,
            title: first.text.clone(),
            status: IncidentStatus::Open,
            severity: first.severity,
            began_at: first.since,
            opened_at: now,
            updated_at: now,
            resolved_at: None,
            entity: first.key.entity.clone(),
            findings: Vec::new(),
            active: 0,
            holding: Vec::new(),
            causes: Vec::new(),
            plan: None,
            actions: Vec::new(),
            timeline: Vec::new(),
            times: 0,
            prevention: None,
        };
        let mut life = Self::around(incident);
        life.join(now, first);
        life
    }

    /// A life around a stored incident; what ran when we died is unknown and waits for a person.
    pub(crate) fn restored(incident: Incident, now: TimestampMs) -> Self {
        let mut life = Self::around(incident);
        let before = life.incident.status;
        if before == IncidentStatus::Resolved {
            return life;
        }
        let mut unknown = false;
        for action in &mut life.incident.actions {
            match action.status {
                ActionStatus::Running => {
                    action.status = ActionStatus::Unknown;
                    action.outcome = Some(Text::new("outcome.interrupted"));
                    unknown = true;
                }
                ActionStatus::Planned => action.status = ActionStatus::Skipped,
                _ => {}
            }
        }
        life.incident.plan = None;
        if unknown {
            life.held_by_person = true;
            life.note(now, MomentKind::Status, Text::new("moment.interrupted"));
            life.set_status(now, IncidentStatus::Escalated);
        } else if matches!(before, IncidentStatus::Recovering | IncidentStatus::Verifying) {
            life.set_status(now, IncidentStatus::Diagnosing);
        }
        life
    }

    fn around(incident: Incident) -> Self {
        let generation = incident.plan.as_ref().map_or(0, |p| p.generation);
        Self {
            incident,
            generation,
            failed: Vec::new(),
            running: None,
            verification: None,
            undoing: VecDeque::new(),
            asked_back: BTreeSet::new(),
            held_by_person: false,
            changed: true,
            diagnosed: None,
            decided_for: None,
            wait_until: None,
            quiet_since: None,
            planned_for: None,
            plan_actions: Vec::new(),
            critical_at_start: 0,
            flaps: 0,
            now_active: BTreeSet::new(),
            settles_until: None,
        }
    }

    // --- findings -------------------------------------------------------------------------------------------

    pub(crate) fn owns(&self, key: &FindingKey) -> bool {
        self.incident.findings.iter().any(|f| f.key == *key)
    }

    /// Adds a finding that was not part of it.
    pub(crate) fn join(&mut self, now: TimestampMs, finding: Finding) {
        self.note(finding.since.max(self.incident.began_at).min(now), MomentKind::Seen, finding.text.clone());
        self.incident.began_at = self.incident.began_at.min(finding.since);
        self.incident.severity = self.incident.severity.max(finding.severity);
        self.now_active.insert(finding.key.clone());
        if self.settles_until.is_some() {
            self.look_again();
        }
        self.incident.findings.push(finding);
        self.touch(now);
        self.count_active();
    }

    fn count_active(&mut self) {
        self.incident.active = self.now_active.len();
        self.incident.holding = self.now_active.iter().cloned().collect();
    }

    /// Brings its own findings up to date; says which have begun again or ended.
    pub(crate) fn refresh(&mut self, now: TimestampMs, active: &BTreeMap<FindingKey, Finding>) {
        let was_active = self.now_active.clone();
        let mut moments = Vec::new();
        for own in &mut self.incident.findings {
            let was = self.now_active.contains(&own.key);
            match active.get(&own.key) {
                Some(latest) => {
                    let since = if was { own.since.min(latest.since) } else { latest.since };
                    *own = Finding { since, ..latest.clone() };
                    self.incident.severity = self.incident.severity.max(latest.severity);
                    if !was {
                        moments.push(latest.text.clone());
                    }
                }
                None if was => moments.push(Text {
                    key: format!("{}.over", base_key(&own.text.key)),
                    args: own.text.args.clone(),
                }),
                None => {}
            }
        }
        self.now_active = self
            .incident
            .findings
            .iter()
            .map(|f| &f.key)
            .filter(|k| active.contains_key(*k))
            .cloned()
            .collect();
        self.count_active();
        let is_new = |key: &FindingKey| !was_active.contains(key);
        if self.settles_until.is_some_and(|t| now >= t || self.now_active.iter().any(is_new)) {
            self.look_again();
        }
        for text in moments {
            self.note(now, MomentKind::Seen, text);
        }
    }

    pub(crate) fn active_findings(&self) -> Vec<Finding> {
        self.incident.findings.iter().filter(|f| self.now_active.contains(&f.key)).cloned().collect()
    }

    fn critical_count(&self) -> usize {
        let critical = |f: &&Finding| f.severity == Severity::Critical && self.now_active.contains(&f.key);
        self.incident.findings.iter().filter(critical).count()
    }

    /// Opens a resolved incident again because one of its findings is back.
    pub(crate) fn reopen(&mut self, now: TimestampMs, finding: &Finding) {
        self.flaps += 1;
        self.incident.severity = finding.severity;
        self.incident.resolved_at = None;
        self.incident.causes.clear();
        self.failed.clear();
        (self.diagnosed, self.decided_for, self.quiet_since) = (None, None, None);
        self.settles_until = None;
        self.note(now, MomentKind::Status, Text::new("moment.reopened").with("count", self.flaps));
        self.set_status(now, IncidentStatus::Open);
    }

    /// Resolves it once everything has been quiet for the hold time; flapping makes that longer.
    pub(crate) fn settle(&mut self, now: TimestampMs, hold: Duration) {
        if self.incident.active > 0 {
            self.quiet_since = None;
            return;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if now.since(since) >= hold.saturating_mul(1 << self.flaps.min(FLAPS_MAX)) {
            if let Some(name) = self.unproven_backup() {
                self.escalate(now, Text::new("escalate.backup_unproven").with("name", name), true);
                return;
            }
            self.note(now, MomentKind::Verified, Text::new("moment.quiet"));
            self.resolve(now);
        }
    }

    /// The backup that was made and could not be restored. Its file is there, so that nothing looks ill any more; but it
    /// is no backup until another run was proven or a person has taken the incident over.
    fn unproven_backup(&self) -> Option<String> {
        let ran = |a: &&Action| match a.planned.kind {
            ActionKind::RunBackup => matches!(a.status, ActionStatus::Succeeded | ActionStatus::Failed),
            ActionKind::Escalate => !a.automatic,
            _ => false,
        };
        let last = self.incident.actions.iter().rev().find(ran)?;
        let unproven = last.outcome.as_ref().is_some_and(|text| text.key == BACKUP_NOT_RESTORED);
        (last.status == ActionStatus::Failed && unproven).then(|| last.planned.target.name.clone())
    }

    pub(crate) fn resolve(&mut self, now: TimestampMs) {
        self.drop_plan();
        self.incident.resolved_at = Some(now);
        self.set_status(now, IncidentStatus::Resolved);
    }

    // --- causes ---------------------------------------------------------------------------------------------

    pub(crate) fn wants_diagnosis(&self, now: TimestampMs) -> bool {
        let possible = !matches!(self.incident.status, IncidentStatus::Recovering | IncidentStatus::Resolved);
        possible
            && self.settles_until.is_none()
            && self.incident.active > 0
            && self
                .diagnosed
                .as_ref()
                .is_none_or(|(at, keys)| *keys != self.now_active || now.since(*at) >= DIAGNOSE_EVERY)
    }

    /// Takes what diagnosis found; true when the root is another one than before.
    pub(crate) fn handle_causes(&mut self, now: TimestampMs, causes: Vec<Cause>) -> bool {
        self.diagnosed = Some((now, self.now_active.clone()));
        if self.incident.status == IncidentStatus::Verifying {
            if !self.is_refuted_by(&causes) {
                return false;
            }
            self.fail(now);
        }
        let root = causes.first().map(root_of);
        let is_new = root != self.incident.causes.first().map(root_of);
        if is_new {
            if let Some(first) = causes.first() {
                self.note(now, MomentKind::Thought, first.detail.clone());
                self.incident.entity = first.entity.clone();
            }
            self.wait_until = None;
        }
        if let Some(first) = causes.first().filter(|first| first.detail != self.incident.title) {
            self.incident.title = first.detail.clone();
        }
        if self.decided_for.is_some() && root != self.decided_for {
            self.drop_plan();
            self.decided_for = None;
        }
        if self.incident.causes != causes {
            self.incident.causes = causes;
            self.touch(now);
        }
        let undecided = self.decided_for.is_none() && !self.held_by_person;
        if self.incident.status == IncidentStatus::Open
            || self.incident.status == IncidentStatus::Escalated && undecided
        {
            self.set_status(now, IncidentStatus::Diagnosing);
        }
        is_new
    }

    /// Takes how many incidents had this root within a week, and tells it when it is not the first.
    pub(crate) fn recurs(&mut self, now: TimestampMs, times: u32) {
        self.incident.times = times;
        if times > 1 {
            self.note(now, MomentKind::Thought, Text::new("moment.recurs").with("count", times));
        }
        self.touch(now);
    }

    /// True when what we answered turns out to be another cause on the same entity: no need to wait any longer.
    fn is_refuted_by(&self, causes: &[Cause]) -> bool {
        let (Some(first), Some((entity, kind))) = (causes.first(), &self.planned_for) else { return false };
        first.score >= SCORE_CLEAR && first.entity == *entity && first.kind != *kind
    }

    // --- plans ----------------------------------------------------------------------------------------------

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

    // --- steps ----------------------------------------------------------------------------------------------

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
    fn look_again(&mut self) {
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
    fn next_action_id(&mut self) -> ActionId {
        let actions = &mut self.incident.actions;
        let number = actions.iter().map(|a| a.id.number).max().unwrap_or(0).saturating_add(1);
        if actions.len() >= ACTIONS_MAX
            && let Some(idle) = actions.iter().position(|a| a.status == ActionStatus::Skipped)
        {
            actions.remove(idle);
        }
        ActionId { incident: self.incident.id, number }
    }

    // --- small ----------------------------------------------------------------------------------------------

    pub(crate) fn note(&mut self, at: TimestampMs, kind: MomentKind, text: Text) {
        if self.incident.timeline.len() >= TIMELINE_MAX {
            self.incident.timeline.remove(TIMELINE_HEAD);
        }
        self.incident.timeline.push(Moment { at, kind, text });
        self.touch(at.max(self.incident.updated_at));
    }

    pub(crate) fn set_status(&mut self, now: TimestampMs, status: IncidentStatus) {
        if self.incident.status != status {
            self.incident.status = status;
            self.touch(now);
        }
    }

    fn touch(&mut self, now: TimestampMs) {
        self.incident.updated_at = now;
        self.changed = true;
    }
}

/// Findings over a stretch of time: they outlast what they were about.
fn follows_late(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::HealthUnsteady | FindingKind::Unusual | FindingKind::FilesystemFilling)
}

fn root_of(cause: &Cause) -> Root {
    (cause.entity.clone(), cause.kind, cause.subject.clone())
}

/// `finding.filesystem_full.space` and `finding.filesystem_full` share the message of their end.
fn base_key(key: &str) -> String {
    key.split('.').take(2).collect::<Vec<_>>().join(".")
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
