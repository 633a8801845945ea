//! Whole lives: findings in, steps out.

mod backups;
mod incidents;
mod people;
mod plans;
mod recovery;

use super::*;
use crate::guard::Surroundings;
use crate::plan::{Facts, decide};
use crate::testing::{cause, change, finding, health, keep, seen_running};
use wellkept_model::FindingKind::{FileChanged, HealthFailing, ProcessGone};
use wellkept_model::keep::Mode;
use wellkept_model::{Relation, RelationKind};

/// A book that is driven second by second, with diagnosis and hands played by the test.
struct Play {
    book: Book,
    keep: Keep,
    topology: Topology,
    seen: Observation,
    active: Vec<Finding>,
    causes: Vec<Cause>,
    now: TimestampMs,
    frozen: bool,
    changes: Vec<wellkept_model::FileVersionChange>,
}

impl Play {
    fn new() -> Self {
        let edge = |a: &str, b: &str| Relation {
            from: EntityId::service(a),
            kind: RelationKind::DependsOn,
            to: EntityId::service(b),
        };
        Self {
            book: Book::default(),
            keep: keep(&["a", "b", "c"]),
            topology: Topology::new([edge("b", "a")]),
            seen: Observation::default(),
            active: Vec::new(),
            causes: Vec::new(),
            now: TimestampMs(100_000),
            frozen: false,
            changes: Vec::new(),
        }
    }

    /// A crash after a changed setting, and the rollback that is the answer to it.
    fn with_a_bad_setting() -> (Self, Step) {
        let mut p = Self::new();
        p.crash("a");
        p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
        p.changes = vec![change("a", "/e")];
        let rollback = p.second().unwrap();
        (p, rollback)
    }

    fn crash(&mut self, service: &str) {
        self.active.push(finding(service, ProcessGone));
        self.causes = vec![cause(service, CauseKind::ProcessCrash, 0.8)];
    }

    fn heal(&mut self) {
        self.active.clear();
        self.seen = seen_running(&["a", "b", "c"]);
        self.seen.health = ["a", "b", "c"].map(|n| health(n, None)).to_vec();
    }

    /// One second: findings, diagnosis, decision; gives the step that would be done.
    fn second(&mut self) -> Option<Step> {
        self.now = self.now + Duration::from_secs(1);
        self.book.handle_round(self.now, self.active.clone(), &self.seen, &self.topology, &self.keep);
        for id in self.book.due_for_diagnosis(self.now) {
            self.book.handle_causes(self.now, id, self.causes.clone());
        }
        for id in self.book.due_for_plan(self.now) {
            let (generation, failed) = self.book.plan_inputs(id);
            let around = Surroundings {
                now: self.now,
                keep: &self.keep,
                frozen: self.frozen,
                active: self.book.active(),
                seen: &self.seen,
                ledger: self.book.ledger(),
            };
            let facts =
                Facts { around, file_changes: &self.changes, space: &[], failed: &failed, generation };
            let decision = decide(self.book.incident(id).unwrap(), &facts);
            self.book.handle_decision(self.now, id, decision);
        }
        self.book.poll_step(self.now, 1, self.frozen)
    }

    fn seconds_until_step(&mut self, limit: usize) -> Option<Step> {
        (0..limit).find_map(|_| self.second())
    }

    fn done(&mut self, step: &Step, status: ActionStatus) {
        self.book.handle_result(
            self.now,
            step,
            StepResult { status, outcome: Text::new("outcome.x"), undo: None },
        );
    }

    fn status(&self) -> IncidentStatus {
        self.book.incidents().next().unwrap().status
    }
}

/// Cause, action, and how often it helped, did not, and was taken back.
fn learned(p: &mut Play) -> Vec<(CauseKind, ActionKind, u32, u32, u32)> {
    let rows = p.book.take_learned().into_iter();
    rows.map(|r| (r.cause, r.action, r.belief.helped, r.belief.failed, r.belief.undone)).collect()
}
