//! One incident's way from open to resolved or escalated.

mod causes;
mod findings;
mod plans;
mod steps;

use std::collections::{BTreeSet, VecDeque};

use wellkept_model::{
    ActionId, ActionStatus, Cause, CauseKind, EntityId, Finding, FindingKey, Incident, IncidentId,
    IncidentStatus, Moment, MomentKind, Text, TimestampMs,
};

use crate::verify::Verification;

/// Entries kept in a time line. The first ones tell how it began and the last ones where it stands; what is dropped
/// when an incident flaps for days is the middle.
const TIMELINE_MAX: usize = 500;
/// How many of the first entries always stay.
const TIMELINE_HEAD: usize = 100;

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

fn root_of(cause: &Cause) -> Root {
    (cause.entity.clone(), cause.kind, cause.subject.clone())
}
