//! When causes are looked for, and what a new root means.

use std::time::Duration;

use wellkept_model::{Cause, IncidentStatus, MomentKind, Text, TimestampMs};

use super::{Life, root_of};

/// How often causes are looked for again while nothing about the findings changes.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(1);
/// From this score on a new cause ends the verification of an answer to another one.
const SCORE_CLEAR: f64 = 0.9;

impl Life {
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
}
