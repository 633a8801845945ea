//! All incidents of a controller: groups findings, keeps every life, hands out steps one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wellkept_model::belief::Row;
use wellkept_model::keep::Keep;
use wellkept_model::observe::Observation;
use wellkept_model::{
    ActionId, ActionKind, ActionStatus, Beliefs, Cause, CauseKind, EntityId, Finding, FindingKey, Incident,
    IncidentId, IncidentStatus, MomentKind, Outcome, PlannedAction, Severity, Text, TimestampMs, Topology,
    Undo,
};

use crate::Ledger;
use crate::grouping::joins;
use crate::life::Life;
use crate::plan::Decision;
use crate::prevent::{propose as propose_prevention, times};
use crate::verify::Progress;

/// A finding that returns within this time after its incident was resolved opens that incident again.
const FLAP_WINDOW: Duration = Duration::from_secs(60);
/// Incidents kept in memory; older resolved ones live in the state store only.
const INCIDENTS_MAX: usize = 1000;
/// Incidents that may be open at once; beyond it findings are still shown, but open no further incident.
const OPEN_MAX: usize = 200;

/// One step to be done now. It must be journalled before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The action that it is, or that it takes back.
    pub action: ActionId,
    /// Generation of the plan that it belongs to.
    pub generation: u32,
    /// What to do.
    pub planned: PlannedAction,
    /// True: take it back instead of doing it.
    pub undo: bool,
    /// False when a person approved it.
    pub automatic: bool,
}

/// What came out of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// `Succeeded`, `Failed`, `Unknown`, or `Skipped` when it was refused before it began; an undo that worked may also say `RolledBack`.
    pub status: ActionStatus,
    /// For people.
    pub outcome: Text,
    /// How it is taken back, as it was really done; `None`: as planned.
    pub undo: Option<Undo>,
}

/// Why a person's wish was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such incident or action.
    NotFound,
    /// It does not fit to what is now: another plan, too late, already running. Why, for people.
    Conflict(Text),
}

/// The incidents.
#[derive(Debug, Default)]
pub struct Book {
    lives: BTreeMap<IncidentId, Life>,
    last_id: u64,
    active: Vec<Finding>,
    ledger: Ledger,
    learned: Vec<(CauseKind, ActionKind)>,
}

impl Book {
    /// A book over stored incidents, newest or oldest first. `last_id`: highest id ever given.
    #[must_use]
    pub fn restore(incidents: Vec<Incident>, last_id: u64, now: TimestampMs) -> Self {
        let ledger = Ledger::from_incidents(&incidents);
        let highest = incidents.iter().map(|i| i.id.0).max().unwrap_or(0).max(last_id);
        let lives = incidents.into_iter().map(|i| (i.id, Life::restored(i, now))).collect();
        Self { lives, last_id: highest, ledger, ..Self::default() }
    }

    /// Counts automatic attempts of an earlier process that no stored incident tells of.
    pub fn count_attempts(&mut self, attempts: impl IntoIterator<Item = (TimestampMs, EntityId)>) {
        self.ledger.add_earlier(attempts);
    }

    // --- what happened --------------------------------------------------------------------------------------

    /// Takes the findings that hold now, groups them, and moves every life as far as they say.
    pub fn handle_round(
        &mut self,
        now: TimestampMs,
        active: Vec<Finding>,
        seen: &Observation,
        topology: &Topology,
        keep: &Keep,
    ) {
        let by_key: BTreeMap<FindingKey, Finding> =
            active.iter().map(|f| (f.key.clone(), f.clone())).collect();
        for life in self.lives.values_mut().filter(|l| is_open(l)) {
            life.refresh(now, &by_key);
        }
        for finding in &active {
            self.place(now, finding, topology);
        }
        self.active = active;
        for id in self.lives.keys().copied().collect::<Vec<_>>() {
            self.advance(now, id, seen, keep);
        }
        self.propose_preventions(now, keep);
        self.forget_old();
    }

    fn place(&mut self, now: TimestampMs, finding: &Finding, topology: &Topology) {
        if self.lives.values().any(|l| is_open(l) && l.owns(&finding.key)) {
            return;
        }
        let held = now.since(finding.since) >= Duration::from_millis(finding.hold_ms);
        if let Some(life) = self.lives.values_mut().find(|l| joins(finding, &l.incident, topology)) {
            life.join(now, finding.clone());
            return;
        }
        if !held || finding.severity < Severity::Warning {
            return;
        }
        let back = |l: &&mut Life| {
            l.owns(&finding.key) && l.incident.resolved_at.is_some_and(|at| now.since(at) <= FLAP_WINDOW)
        };
        if let Some(life) = self.lives.values_mut().rev().find(back) {
            life.reopen(now, finding);
            life.refresh(now, &BTreeMap::from([(finding.key.clone(), finding.clone())]));
            return;
        }
        if self.lives.values().filter(|l| is_open(l)).count() < OPEN_MAX {
            self.last_id += 1;
            let id = IncidentId(self.last_id);
            self.lives.insert(id, Life::open(id, now, finding.clone()));
        }
    }

    fn advance(&mut self, now: TimestampMs, id: IncidentId, seen: &Observation, keep: &Keep) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        match life.incident.status {
            IncidentStatus::Resolved | IncidentStatus::Recovering => {}
            IncidentStatus::Open | IncidentStatus::Diagnosing | IncidentStatus::Escalated => {
                if life.running.is_none() && life.undoing.is_empty() {
                    life.settle(now, keep.automation.verify_hold);
                }
            }
            IncidentStatus::Verifying => self.verify(now, id, seen, keep),
        }
    }

    fn verify(&mut self, now: TimestampMs, id: IncidentId, seen: &Observation, keep: &Keep) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        let kinds = answers(life);
        let (Some(verification), Some(plan)) = (&mut life.verification, &life.incident.plan) else { return };
        let helped = match verification.step(now, plan, &self.active, seen, keep) {
            Progress::Waiting => return,
            Progress::Passed => true,
            Progress::Failed => false,
        };
        if helped {
            life.verified(now);
        } else {
            if life.is_worse() {
                kinds.iter().for_each(|(cause, action)| self.ledger.stop(*cause, *action));
            }
            life.fail(now);
        }
        self.learn(kinds, if helped { Outcome::Helped } else { Outcome::DidNotHelp });
    }

    fn learn(&mut self, kinds: impl IntoIterator<Item = (CauseKind, ActionKind)>, outcome: Outcome) {
        for (cause, action) in kinds {
            self.ledger.learn(cause, action, outcome);
            self.learned.push((cause, action));
        }
    }

    /// What was resolved just now gets its proposal.
    fn propose_preventions(&mut self, now: TimestampMs, keep: &Keep) {
        let resolved = self.lives.values_mut().filter(|l| l.incident.resolved_at == Some(now));
        for life in resolved {
            life.incident.prevention = propose_prevention(&life.incident, keep);
        }
    }

    fn forget_old(&mut self) {
        while self.lives.len() > INCIDENTS_MAX {
            let Some(id) = self.lives.iter().find(|(_, l)| !is_open(l)).map(|(id, _)| *id) else { return };
            self.lives.remove(&id);
        }
    }

    /// Takes the causes that diagnosis found.
    pub fn handle_causes(&mut self, now: TimestampMs, id: IncidentId, causes: Vec<Cause>) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        let verifying = life.verification.is_some();
        let answered = answers(life);
        let new_root = life.handle_causes(now, causes);
        if verifying && life.verification.is_none() {
            self.learn(answered, Outcome::DidNotHelp);
        }
        if new_root {
            self.count_recurrence(now, id);
        }
    }

    fn count_recurrence(&mut self, now: TimestampMs, id: IncidentId) {
        let Some(incident) = self.incident(id) else { return };
        let times = times(incident, self.incidents(), now);
        if let Some(life) = self.lives.get_mut(&id) {
            life.recurs(now, times);
        }
    }

    /// Takes what the planner decided.
    pub fn handle_decision(&mut self, now: TimestampMs, id: IncidentId, decision: Decision) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        match decision {
            Decision::Run(plan) => {
                let targets: BTreeSet<EntityId> = plan.steps.iter().map(|s| s.target.clone()).collect();
                targets.into_iter().for_each(|target| self.ledger.attempt(now, target));
                life.adopt(now, plan);
            }
            Decision::Propose(plan) => life.adopt(now, plan),
            Decision::Wait(until, why) => life.wait(now, until, why),
            Decision::Escalate(why) => life.escalate(now, why, true),
            Decision::Nothing => life.decide(),
        }
    }

    /// Takes the result of a step that [`Self::poll_step`] gave.
    pub fn handle_result(&mut self, now: TimestampMs, step: &Step, result: StepResult) {
        let Some(life) = self.lives.get_mut(&step.action.incident) else { return };
        let cause = life.action_mut(step.action).and_then(|a| a.cause);
        let outcome = if step.undo {
            life.end_undo(now, step.action, result)
        } else {
            life.end_step(now, step.action, result)
        };
        if let (Some(outcome), Some(cause)) = (outcome, cause) {
            self.learn([(cause, step.planned.kind)], outcome);
        }
    }

    // --- what people want -----------------------------------------------------------------------------------

    /// A person approves the plan of this generation.
    ///
    /// # Errors
    /// [`Refused`] when there is no such incident, or the plan is another one, over, or already running.
    pub fn approve(&mut self, now: TimestampMs, id: IncidentId, generation: u32) -> Result<(), Refused> {
        let life = self.lives.get_mut(&id).ok_or(Refused::NotFound)?;
        let Some(plan) = &mut life.incident.plan else {
            return Err(Refused::Conflict(Text::new("refused.no_plan")));
        };
        if plan.generation != generation || now > plan.expires_at {
            return Err(Refused::Conflict(Text::new("refused.old_plan")));
        }
        if !matches!(life.incident.status, IncidentStatus::Diagnosing | IncidentStatus::Escalated) {
            return Err(Refused::Conflict(Text::new("refused.running")));
        }
        (plan.automatic, plan.withheld) = (false, None);
        life.held_by_person = false;
        life.note(now, MomentKind::Planned, Text::new("moment.approved"));
        life.set_status(now, IncidentStatus::Recovering);
        Ok(())
    }

    /// A person wants a step taken back.
    ///
    /// # Errors
    /// [`Refused`] when there is no such action, it cannot be taken back, or something runs.
    pub fn undo(&mut self, now: TimestampMs, action: ActionId) -> Result<(), Refused> {
        let life = self.lives.get_mut(&action.incident).ok_or(Refused::NotFound)?;
        let found = life.action_mut(action).ok_or(Refused::NotFound)?;
        if !found.can_be_taken_back() {
            return Err(Refused::Conflict(Text::new("refused.no_undo")));
        }
        if life.running.is_some() || life.incident.status == IncidentStatus::Recovering {
            return Err(Refused::Conflict(Text::new("refused.running")));
        }
        life.undoing.push_back(action);
        life.asked_back.insert(action);
        (life.held_by_person, life.verification) = (true, None);
        life.drop_plan();
        life.note(now, MomentKind::Planned, Text::new("moment.undo_asked"));
        if is_open(life) {
            life.set_status(now, IncidentStatus::Escalated);
        }
        Ok(())
    }

    /// A person takes the incident over; automation keeps its hands off it from now on.
    ///
    /// # Errors
    /// [`Refused`] when there is no such open incident, or a step runs.
    pub fn take_over(&mut self, now: TimestampMs, id: IncidentId) -> Result<(), Refused> {
        let life = self.lives.get_mut(&id).filter(|l| is_open(l)).ok_or(Refused::NotFound)?;
        if life.running.is_some() {
            return Err(Refused::Conflict(Text::new("refused.running")));
        }
        (life.held_by_person, life.verification) = (true, None);
        life.escalate(now, Text::new("escalate.by_person"), false);
        Ok(())
    }

    /// Rules, permissions or the stop switch changed: everything that is not running is decided again.
    pub fn reconsider(&mut self) {
        self.lives.values_mut().filter(|l| is_open(l)).for_each(Life::reconsider);
    }

    // --- what to do next ------------------------------------------------------------------------------------

    /// Incidents whose causes should be looked for now.
    #[must_use]
    pub fn due_for_diagnosis(&self, now: TimestampMs) -> Vec<IncidentId> {
        self.ids(|l| l.wants_diagnosis(now))
    }

    /// Incidents that need a decision now.
    #[must_use]
    pub fn due_for_plan(&self, now: TimestampMs) -> Vec<IncidentId> {
        self.ids(|l| l.wants_plan(now))
    }

    /// The next step to be done, now marked as running; `None` when there is nothing to do, or it must wait.
    pub fn poll_step(&mut self, now: TimestampMs, at_once: u32, frozen: bool) -> Option<Step> {
        self.drop_expired(now);
        let running = self.lives.values().filter(|l| l.running.is_some()).count();
        if frozen || running >= at_once as usize {
            return None;
        }
        let step = self.lives.values().find_map(|l| self.ready_step(l))?;
        let life = self.lives.get_mut(&step.action.incident)?;
        if step.undo {
            life.running = Some(step.action);
        } else {
            life.begin_step(now, step.action);
        }
        Some(step)
    }

    fn ready_step(&self, life: &Life) -> Option<Step> {
        if life.running.is_some() {
            return None;
        }
        let undo = life.undoing.front().and_then(|id| life.incident.actions.iter().find(|a| a.id == *id));
        let (action, is_undo) = match undo {
            Some(action) => (action, true),
            None if life.incident.status == IncidentStatus::Recovering => (life.next_step()?, false),
            None => return None,
        };
        (!self.is_busy(&action.planned.target, life.incident.id)).then(|| Step {
            action: action.id,
            generation: life.generation,
            planned: action.planned.clone(),
            undo: is_undo,
            automatic: life.incident.plan.as_ref().map_or(action.automatic, |p| p.automatic),
        })
    }

    /// One action at a time per entity: true while another incident acts upon it or verifies.
    fn is_busy(&self, target: &EntityId, but: IncidentId) -> bool {
        let others = self.lives.values().filter(|l| l.incident.id != but);
        others
            .filter(|l| l.running.is_some() || l.verification.is_some())
            .any(|l| l.incident.plan.as_ref().is_some_and(|p| p.steps.iter().any(|s| s.target == *target)))
    }

    fn drop_expired(&mut self, now: TimestampMs) {
        for life in self.lives.values_mut().filter(|l| l.running.is_none() && l.verification.is_none()) {
            if life.incident.plan.as_ref().is_some_and(|p| now > p.expires_at) {
                life.fail_or_forget(now);
            }
        }
    }

    /// Asked once more just before a step takes effect: an older plan, an expired one, or a frozen system has none.
    ///
    /// # Errors
    /// Why it must not be done, for people.
    pub fn gate(&self, step: &Step, now: TimestampMs, frozen: bool) -> Result<(), Text> {
        let Some(life) = self.lives.get(&step.action.incident) else {
            return Err(Text::new("refused.no_plan"));
        };
        if frozen {
            return Err(Text::new("withheld.frozen"));
        }
        if life.running != Some(step.action) || life.generation != step.generation {
            return Err(Text::new("refused.old_plan"));
        }
        let expired = life.incident.plan.as_ref().is_some_and(|p| now > p.expires_at);
        if expired && !step.undo { Err(Text::new("refused.old_plan")) } else { Ok(()) }
    }

    // --- reading --------------------------------------------------------------------------------------------

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.lives.get(&id).map(|l| &l.incident)
    }

    /// All incidents, newest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.lives.values().rev().map(|l| &l.incident)
    }

    /// Findings of an incident that hold now.
    #[must_use]
    pub fn findings_of(&self, id: IncidentId) -> Vec<Finding> {
        self.lives.get(&id).map_or_else(Vec::new, Life::active_findings)
    }

    /// About which entities an incident is open.
    #[must_use]
    pub fn troubled(&self) -> BTreeSet<EntityId> {
        let open = self.lives.values().filter(|l| is_open(l));
        let of = open.flat_map(|l| l.incident.holding.iter().map(|k| &k.entity).chain([&l.incident.entity]));
        of.cloned().collect()
    }

    /// All findings of the last round.
    #[must_use]
    pub fn active(&self) -> &[Finding] {
        &self.active
    }

    /// What was tried.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Lifts the stops of actions that made things worse.
    pub fn lift_stops(&mut self) {
        self.ledger.lift_stops();
    }

    /// Generation that a new plan of this incident gets, and the causes that were answered in vain.
    #[must_use]
    pub fn plan_inputs(&self, id: IncidentId) -> (u32, Vec<(EntityId, CauseKind)>) {
        self.lives.get(&id).map_or((1, Vec::new()), |l| (l.generation + 1, l.failed.clone()))
    }

    /// Incidents that changed since the last call, to be stored and published.
    pub fn take_changed(&mut self) -> Vec<Incident> {
        let lives = self.lives.values_mut();
        lives.filter_map(|l| std::mem::take(&mut l.changed).then(|| l.incident.clone())).collect()
    }

    /// Takes up what an earlier process believed.
    pub fn set_beliefs(&mut self, beliefs: Beliefs) {
        self.ledger.set_beliefs(beliefs);
    }

    /// A person wants beliefs forgotten: all of them, all about one kind of cause, or one action against it.
    pub fn forget(&mut self, cause: Option<CauseKind>, action: Option<ActionKind>) {
        self.ledger.forget(cause, action);
        self.learned.retain(|(c, a)| self.ledger.beliefs().of(*c, *a).results() > 0);
    }

    /// What is believed anew since the last call, to be stored.
    pub fn take_learned(&mut self) -> Vec<Row> {
        let learned: BTreeSet<_> = std::mem::take(&mut self.learned).into_iter().collect();
        let row = |(cause, action)| Row { cause, action, belief: self.ledger.beliefs().of(cause, action) };
        learned.into_iter().map(row).collect()
    }

    fn ids(&self, wanted: impl Fn(&Life) -> bool) -> Vec<IncidentId> {
        self.lives.values().filter(|l| wanted(l)).map(|l| l.incident.id).collect()
    }
}

/// Which actions the plan in force sets against which cause. Calling a person helps or not in ways that are not ours to judge.
fn answers(life: &Life) -> BTreeSet<(CauseKind, ActionKind)> {
    let steps = life.incident.plan.iter().flat_map(|p| p.steps.iter().map(|s| (p.cause, s.kind)));
    steps.filter(|(_, action)| *action != ActionKind::Escalate).collect()
}

fn is_open(life: &Life) -> bool {
    life.incident.status != IncidentStatus::Resolved
}

#[cfg(test)]
mod tests;
