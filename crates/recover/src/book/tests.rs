//! Whole lives: findings in, steps out.

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

#[test]
fn a_crash_is_restarted_verified_for_the_hold_time_and_resolved() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    assert_eq!((step.planned.kind, step.automatic), (ActionKind::Restart, true));
    assert_eq!(p.status(), IncidentStatus::Recovering);
    p.done(&step, ActionStatus::Succeeded);
    assert_eq!(p.status(), IncidentStatus::Verifying);
    p.heal();
    for _ in 0..5 {
        p.second();
        assert_eq!(p.status(), IncidentStatus::Verifying);
    }
    p.second();
    assert_eq!(p.status(), IncidentStatus::Resolved);
    assert_eq!(learned(&mut p), [(CauseKind::ProcessCrash, ActionKind::Restart, 1, 0, 0)]);
}

#[test]
fn a_process_that_runs_without_passing_its_checks_is_not_verified() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.heal();
    p.seen.health = vec![health("a", Some("status 500"))];
    for _ in 0..20 {
        p.second();
    }
    assert_eq!(p.status(), IncidentStatus::Verifying);
}

#[test]
fn what_did_not_help_is_not_tried_again_and_goes_to_a_person() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    assert_eq!(p.seconds_until_step(120), None);
    assert_eq!(p.status(), IncidentStatus::Escalated);
    assert_eq!(learned(&mut p), [(CauseKind::ProcessCrash, ActionKind::Restart, 0, 1, 0)]);
}

#[test]
fn a_rollback_that_did_not_help_is_undone() {
    let mut p = Play::new();
    p.crash("a");
    p.active.push(Finding {
        key: FindingKey { subject: "/e".into(), ..finding("a", FileChanged).key },
        ..finding("a", FileChanged)
    });
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let rollback = p.second().unwrap();
    assert_eq!(rollback.planned.kind, ActionKind::Rollback);
    p.done(&rollback, ActionStatus::Succeeded);
    let restart = p.second().unwrap();
    assert_eq!(restart.planned.kind, ActionKind::Restart);
    p.done(&restart, ActionStatus::Failed);
    let undo = p.second().unwrap();
    assert!(undo.undo && undo.action == rollback.action);
    p.done(&undo, ActionStatus::Succeeded);
    let actions = &p.book.incidents().next().unwrap().actions;
    assert_eq!(actions[0].status, ActionStatus::RolledBack);
}

#[test]
fn one_root_with_symptoms_is_one_incident_and_strangers_are_another() {
    let mut p = Play::new();
    p.crash("a");
    p.active.push(finding("b", HealthFailing));
    p.active.push(finding("c", HealthFailing));
    p.second();
    assert_eq!(p.book.incidents().count(), 2);
}

#[test]
fn a_finding_shorter_than_its_hold_time_opens_nothing() {
    let mut p = Play::new();
    p.active = vec![Finding { hold_ms: 1500, since: TimestampMs(100_500), ..finding("a", ProcessGone) }];
    p.second();
    assert_eq!(p.book.incidents().count(), 0);
    p.second();
    assert_eq!(p.book.incidents().count(), 1);
}

#[test]
fn a_finding_that_returns_opens_its_incident_again_and_must_then_stay_away_longer() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Watch;
    p.crash("a");
    p.second();
    p.heal();
    (0..7).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
    p.crash("a");
    p.second();
    assert_eq!((p.status(), p.book.incidents().count()), (IncidentStatus::Diagnosing, 1));
    p.heal();
    (0..7).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Diagnosing);
    (0..6).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
}

#[test]
fn a_proposal_waits_for_approval_of_its_own_generation() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Propose;
    p.crash("a");
    assert_eq!(p.seconds_until_step(5), None);
    let (id, generation) = {
        let i = p.book.incidents().next().unwrap();
        (i.id, i.plan.as_ref().unwrap().generation)
    };
    assert!(matches!(p.book.approve(p.now, id, generation + 1), Err(Refused::Conflict(_))));
    p.book.approve(p.now, id, generation).unwrap();
    let step = p.second().unwrap();
    assert!(!step.automatic);
}

#[test]
fn the_stop_switch_stops_new_steps_and_the_gate_stops_a_step_already_handed_out() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    assert_eq!(p.book.gate(&step, p.now, false), Ok(()));
    assert!(p.book.gate(&step, p.now, true).is_err());
    let mut q = Play { frozen: true, ..Play::new() };
    q.crash("a");
    assert_eq!(q.seconds_until_step(5), None);
    q.frozen = false;
    q.book.reconsider();
    assert!(q.second().is_some());
}

#[test]
fn a_step_that_could_not_begin_is_decided_again_after_a_while() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Skipped);
    assert_eq!(p.seconds_until_step(9), None);
    assert_eq!(p.status(), IncidentStatus::Diagnosing);
    let again = p.seconds_until_step(3).unwrap();
    assert!(again.action > step.action && again.generation > step.generation);
}

#[test]
fn an_expired_or_older_plan_has_no_effect() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    assert!(p.book.gate(&step, p.now + Duration::from_secs(61), false).is_err());
    assert!(p.book.gate(&Step { generation: step.generation - 1, ..step }, p.now, false).is_err());
}

#[test]
fn only_one_step_runs_at_a_time() {
    let mut p = Play::new();
    p.crash("a");
    let first = p.second().unwrap();
    p.active.push(finding("c", ProcessGone));
    p.causes = vec![cause("c", CauseKind::ProcessCrash, 0.8)];
    assert_eq!(p.second(), None);
    p.done(&first, ActionStatus::Succeeded);
    assert_eq!(p.second().unwrap().planned.target, EntityId::service("c"));
}

#[test]
fn a_step_that_ran_when_we_died_is_unknown_and_waits_for_a_person() {
    let mut p = Play::new();
    p.crash("a");
    p.second().unwrap();
    let stored = p.book.take_changed();
    p.book = Book::restore(stored, 0, p.now);
    assert_eq!(p.seconds_until_step(30), None);
    assert_eq!(p.status(), IncidentStatus::Escalated);
    assert_eq!(p.book.incidents().next().unwrap().actions[0].status, ActionStatus::Unknown);
}

#[test]
fn what_a_person_took_over_is_left_alone_until_it_is_well() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Propose;
    p.crash("a");
    p.second();
    let id = p.book.incidents().next().unwrap().id;
    p.book.take_over(p.now, id).unwrap();
    p.keep.automation.mode = Mode::Act;
    p.book.reconsider();
    assert_eq!(p.seconds_until_step(10), None);
    p.heal();
    (0..7).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
}

#[test]
fn an_action_after_which_more_is_wrong_is_stopped_everywhere() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.active.push(finding("b", HealthFailing));
    (0..60).for_each(|_| drop(p.second()));
    assert!(p.book.ledger().is_stopped(CauseKind::ProcessCrash, ActionKind::Restart));
}

#[test]
fn a_clearer_cause_on_the_same_entity_ends_a_vain_verification_at_once() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let next = p.seconds_until_step(3).unwrap();
    assert_eq!(next.planned.kind, ActionKind::Rollback);
    assert_eq!(learned(&mut p), [(CauseKind::ProcessCrash, ActionKind::Restart, 0, 1, 0)]);
}

#[test]
fn an_incident_that_flaps_for_ever_stays_bounded_and_its_ids_only_rise() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Propose;
    p.crash("a");
    for _ in 0..700 {
        p.second();
        p.now = p.now + Duration::from_secs(3601);
    }
    let incident = p.book.incidents().next().unwrap();
    assert!(incident.timeline.len() <= 500 && incident.actions.len() <= 200, "{}", incident.actions.len());
    assert!(incident.actions.last().unwrap().id.number > 300);
    assert!(incident.actions.is_sorted_by_key(|a| a.id));
}

#[test]
fn what_was_contained_and_still_holds_is_left_to_the_person_who_was_called() {
    use wellkept_model::keep::Listeners;
    use wellkept_model::{EntityKind, FindingKind};
    let mut p = Play::new();
    p.keep.listeners = Some(Listeners { allow: Vec::new(), isolate: true });
    let mut stranger = finding("a", FindingKind::ListenerUnexpected);
    stranger.key.entity = EntityId::new(EntityKind::Listener, "tcp 0.0.0.0:31337");
    let mut offence = cause("a", CauseKind::UnexpectedListener, 0.9);
    (offence.entity, offence.explains) = (stranger.key.entity.clone(), vec![stranger.key.clone()]);
    (p.active, p.causes) = (vec![stranger], vec![offence]);
    let mut done = Vec::new();
    for _ in 0..60 {
        if let Some(step) = p.second() {
            done.push(step.planned.kind);
            p.book.handle_result(
                p.now,
                &step,
                StepResult { status: ActionStatus::Succeeded, outcome: Text::new("x"), undo: None },
            );
        }
    }
    assert_eq!(done, [ActionKind::Isolate, ActionKind::Escalate], "once, however long it goes on listening");
    let incident = p.book.incidents().next().unwrap();
    assert_eq!(incident.status, IncidentStatus::Escalated);
    p.active.clear();
    for _ in 0..10 {
        p.second();
    }
    assert_eq!(p.book.incidents().next().unwrap().status, IncidentStatus::Resolved);
}

#[test]
fn leftovers_of_a_trouble_that_has_ended_are_given_time_and_new_trouble_is_not() {
    let mut p = Play::new();
    p.crash("a");
    p.active.push(finding("a", wellkept_model::FindingKind::Unusual));
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.heal();
    // An average that follows late.
    p.active = vec![finding("a", wellkept_model::FindingKind::Unusual)];
    p.causes = vec![cause("a", CauseKind::Unknown, 0.2)];
    for _ in 0..12 {
        assert_eq!(p.second(), None);
        assert_eq!(p.book.incidents().next().unwrap().causes[0].kind, CauseKind::ProcessCrash);
    }
    p.active.push(finding("a", HealthFailing));
    p.second();
    assert_eq!(p.book.incidents().next().unwrap().causes[0].kind, CauseKind::Unknown, "something new");
}

#[test]
fn leftovers_that_stay_are_looked_into() {
    let mut p = Play::new();
    p.crash("a");
    p.active.push(finding("a", wellkept_model::FindingKind::Unusual));
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.heal();
    p.active = vec![finding("a", wellkept_model::FindingKind::Unusual)];
    p.causes = vec![cause("a", CauseKind::Unknown, 0.2)];
    for _ in 0..40 {
        p.second();
    }
    assert_eq!(p.status(), IncidentStatus::Escalated);
}

#[test]
fn an_action_that_a_person_took_back_is_believed_less() {
    let mut p = Play::new();
    p.crash("a");
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let rollback = p.second().unwrap();
    p.done(&rollback, ActionStatus::Succeeded);
    let restart = p.second().unwrap();
    p.done(&restart, ActionStatus::Succeeded);
    p.heal();
    (0..8).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
    let bad = CauseKind::BadSetting;
    let helped = [(bad, ActionKind::Restart, 1, 0, 0), (bad, ActionKind::Rollback, 1, 0, 0)];
    assert_eq!(learned(&mut p), helped);
    p.book.undo(p.now, rollback.action).unwrap();
    let undo = p.second().unwrap();
    assert!(undo.undo);
    p.done(&undo, ActionStatus::RolledBack);
    assert_eq!(learned(&mut p), [(bad, ActionKind::Rollback, 1, 0, 1)]);
    assert!(learned(&mut p).is_empty());
}

#[test]
fn a_step_that_fails_did_not_help_and_what_undoes_itself_is_no_persons_verdict() {
    let mut p = Play::new();
    p.crash("a");
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let rollback = p.second().unwrap();
    p.done(&rollback, ActionStatus::Succeeded);
    let restart = p.second().unwrap();
    p.done(&restart, ActionStatus::Failed);
    let undo = p.second().unwrap();
    p.done(&undo, ActionStatus::Succeeded);
    assert_eq!(learned(&mut p), [(CauseKind::BadSetting, ActionKind::Restart, 0, 1, 0)]);
}

#[test]
fn what_was_forgotten_is_not_stored_any_more() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Failed);
    p.book.forget(Some(CauseKind::ProcessCrash), Some(ActionKind::Restart));
    assert!(learned(&mut p).is_empty());
    assert_eq!(p.book.ledger().beliefs().rows().count(), 0);
}

#[test]
fn the_third_incident_of_one_root_within_a_week_is_told_and_what_is_older_is_not_counted() {
    let mut p = Play::new();
    p.keep.services.get_mut("a").unwrap().health.clear();
    p.keep.services.get_mut("a").unwrap().listens = vec!["127.0.0.1:9000".parse().unwrap()];
    let times = |p: &Play| p.book.incidents().next().unwrap().times;
    let fall = |p: &mut Play| {
        p.crash("a");
        let step = p.second().unwrap();
        p.done(&step, ActionStatus::Succeeded);
        p.heal();
        assert_eq!(p.book.incidents().next().unwrap().prevention, None, "not before it is over");
        (0..20).for_each(|_| drop((p.status() != IncidentStatus::Resolved).then(|| p.second())));
        assert_eq!(p.status(), IncidentStatus::Resolved);
        assert!(
            p.book.incidents().next().unwrap().prevention.is_some(),
            "in the very moment that it is over"
        );
        p.seen = Observation::default();
        p.now = p.now + Duration::from_secs(3 * 86_400);
    };
    let mut seen = Vec::new();
    for _ in 0..4 {
        fall(&mut p);
        seen.push(times(&p));
    }
    assert_eq!(seen, [1, 2, 3, 3], "the first one is older than a week at last");
    let last = p.book.incidents().next().unwrap();
    assert!(last.timeline.iter().any(|m| m.text == Text::new("moment.recurs").with("count", 3)));
    let prevention = last.prevention.as_ref().unwrap();
    assert_eq!(prevention.kind, wellkept_model::PreventionKind::Check);
    assert!(prevention.patch.contains("127.0.0.1:9000"), "{}", prevention.patch);
}

/// A backup that was missing was made; `outcome` is what came of its proof. The file is there afterwards.
fn backup_was_made(status: ActionStatus, outcome: &str) -> Play {
    use wellkept_model::keep::{Backup, Command};
    use wellkept_model::{EntityKind, FindingKind};
    let mut p = Play::new();
    let run = Command { argv: vec!["/bin/backup".to_owned()], within: Duration::from_secs(9) };
    let declared = Backup {
        name: "nightly".to_owned(),
        glob: "/b/*".to_owned(),
        min_size: 1,
        max_age: None,
        log: None,
        run: Some(run.clone()),
        test: Some(run),
        keep_old: None,
        credential: None,
        every: Duration::from_secs(60),
        may: vec![ActionKind::RunBackup],
    };
    p.keep.watched.backups.insert("nightly".to_owned(), declared);
    let mut unusable = finding("a", FindingKind::BackupUnusable);
    unusable.key.entity = EntityId::new(EntityKind::Backup, "nightly");
    let mut missing = cause("a", CauseKind::BackupMissing, 0.95);
    (missing.entity, missing.explains) = (unusable.key.entity.clone(), vec![unusable.key.clone()]);
    (p.active, p.causes) = (vec![unusable], vec![missing]);
    let step = p.second().unwrap();
    assert_eq!(step.planned.kind, ActionKind::RunBackup);
    p.book.handle_result(p.now, &step, StepResult { status, outcome: Text::new(outcome), undo: None });
    p.active.clear();
    p
}

#[test]
fn a_backup_that_cannot_be_restored_goes_to_a_person_although_its_file_is_there() {
    let mut p = backup_was_made(ActionStatus::Failed, "outcome.backup_not_restored");
    (0..60).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!(p.status(), IncidentStatus::Escalated);
    let calls = |p: &Play| {
        let actions = &p.book.incidents().next().unwrap().actions;
        actions.iter().filter(|a| a.planned.reason.key == "escalate.backup_unproven").count()
    };
    assert_eq!(calls(&p), 1, "one call, not one a second");
    let stored = p.book.take_changed();
    p.book = Book::restore(stored, 0, p.now);
    (0..60).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!((p.status(), calls(&p)), (IncidentStatus::Escalated, 1), "also after a restart");
    let id = p.book.incidents().next().unwrap().id;
    p.book.take_over(p.now, id).unwrap();
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved, "the person knows");
}

#[test]
fn a_backup_that_was_proven_needs_nobody() {
    let mut p = backup_was_made(ActionStatus::Succeeded, "outcome.backup_proven");
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
    let mut p = backup_was_made(ActionStatus::Failed, "outcome.ended");
    (0..10).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved, "somebody else made one, and it is as good as any");
}

#[test]
fn ids_go_on_where_they_were_and_attempts_before_a_restart_count() {
    let mut p = Play::new();
    p.book = Book::restore(Vec::new(), 41, p.now);
    for _ in 0..3 {
        p.crash("a");
        let step = p.second().unwrap();
        p.done(&step, ActionStatus::Succeeded);
        p.heal();
        (0..70).for_each(|_| drop(p.second()));
        p.seen = Observation::default();
    }
    let mut stored: Vec<_> = p.book.incidents().cloned().collect();
    assert_eq!(stored.iter().map(|i| i.id.0).min(), Some(42));
    stored.reverse();
    p.book = Book::restore(stored, 0, p.now);
    p.crash("a");
    assert_eq!(p.seconds_until_step(5), None, "the budget of three is spent");
    assert_eq!((p.status(), p.book.incidents().next().unwrap().id.0), (IncidentStatus::Escalated, 45));
}

#[test]
fn attempts_of_which_no_incident_tells_count_as_well() {
    let mut p = Play::new();
    p.book.count_attempts((0..3).map(|_| (p.now, EntityId::service("a"))));
    p.crash("a");
    assert_eq!(p.seconds_until_step(5), None, "the budget of three is spent");
    let mut p = Play::new();
    p.book.count_attempts((0..3).map(|_| (p.now, EntityId::service("b"))));
    p.crash("a");
    assert!(p.seconds_until_step(5).is_some(), "another's budget");
}

#[test]
fn a_note_opens_nothing_and_a_warning_does() {
    for (severity, incidents) in [(Severity::Info, 0), (Severity::Warning, 1), (Severity::Critical, 1)] {
        let mut p = Play::new();
        p.active = vec![Finding { severity, ..finding("a", ProcessGone) }];
        p.second();
        assert_eq!(p.book.incidents().count(), incidents, "{severity:?}");
    }
}

#[test]
fn what_returns_after_a_minute_and_what_never_was_there_are_new_incidents() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Watch;
    p.crash("a");
    p.second();
    p.heal();
    (0..30).for_each(|_| drop((p.status() != IncidentStatus::Resolved).then(|| p.second())));
    let resolved_at = p.book.incidents().next().unwrap().resolved_at.unwrap();
    p.active = vec![Finding { since: p.now, ..finding("a", HealthFailing) }];
    p.second();
    assert_eq!(p.book.incidents().count(), 2, "another finding");
    p.active.clear();
    (0..30).for_each(|_| drop((p.status() != IncidentStatus::Resolved).then(|| p.second())));
    p.now = resolved_at + FLAP_WINDOW;
    p.crash("a");
    p.second();
    assert_eq!(p.book.incidents().count(), 3, "a minute and a second later");
}

#[test]
fn a_bounded_number_is_open_and_kept() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Watch;
    p.topology = Topology::default();
    p.active = (0..OPEN_MAX + 5).map(|i| finding(&format!("s{i}"), ProcessGone)).collect();
    p.second();
    assert_eq!(p.book.incidents().count(), OPEN_MAX);
    assert_eq!(p.book.troubled().len(), OPEN_MAX);

    let old = |id: u64, status| Incident {
        id: IncidentId(id),
        status,
        resolved_at: (status == IncidentStatus::Resolved).then_some(TimestampMs(1)),
        ..crate::testing::incident(vec![finding(&format!("s{id}"), ProcessGone)])
    };
    let mut stored = vec![old(1, IncidentStatus::Escalated)];
    stored.extend((2..=1006).map(|id| old(id, IncidentStatus::Resolved)));
    let mut p = Play { book: Book::restore(stored, 0, TimestampMs(1)), ..Play::new() };
    p.keep.automation.mode = Mode::Watch;
    p.active = vec![finding("s1", ProcessGone)];
    p.second();
    let ids: Vec<u64> = p.book.incidents().map(|i| i.id.0).collect();
    assert_eq!(ids.len(), INCIDENTS_MAX);
    assert_eq!(ids.last(), Some(&1), "the oldest is open and stays");
    assert_eq!(ids.first(), Some(&1006), "of the others the newest stay");
}

#[test]
fn a_proposal_can_be_approved_up_to_its_last_moment() {
    for (late, taken) in [(Duration::ZERO, true), (Duration::from_millis(1), false)] {
        let mut p = Play::new();
        p.keep.automation.mode = Mode::Propose;
        p.crash("a");
        p.second();
        let plan = p.book.incidents().next().unwrap().plan.clone().unwrap();
        let approved = p.book.approve(plan.expires_at + late, plan.incident, plan.generation);
        assert_eq!(approved.is_ok(), taken, "{late:?}");
    }
}

/// A rollback that was done, with its restart still to come.
fn half_done() -> (Play, Step) {
    let mut p = Play::new();
    p.crash("a");
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let rollback = p.second().unwrap();
    p.done(&rollback, ActionStatus::Succeeded);
    (p, rollback)
}

#[test]
fn only_what_was_done_and_has_a_way_back_is_taken_back_and_not_while_something_runs() {
    let (mut p, rollback) = half_done();
    let conflict = |p: &mut Play, id, key: &str| {
        assert_eq!(p.book.undo(p.now, id), Err(Refused::Conflict(Text::new(key))), "{id}");
    };
    conflict(&mut p, rollback.action, "refused.running");
    let restart = p.second().unwrap();
    conflict(&mut p, rollback.action, "refused.running");
    conflict(&mut p, restart.action, "refused.no_undo");
    p.done(&restart, ActionStatus::Succeeded);
    conflict(&mut p, restart.action, "refused.no_undo");
    let unknown = ActionId { number: 99, ..restart.action };
    assert_eq!(p.book.undo(p.now, unknown), Err(Refused::NotFound));
    p.heal();
    (0..8).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
    p.book.undo(p.now, rollback.action).unwrap();
    let undo = p.second().unwrap();
    conflict(&mut p, rollback.action, "refused.running");
    p.done(&undo, ActionStatus::RolledBack);
    conflict(&mut p, rollback.action, "refused.no_undo");
}

#[test]
fn a_step_that_failed_has_nothing_to_take_back() {
    let mut p = Play::new();
    p.crash("a");
    p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
    p.changes = vec![change("a", "/e")];
    let rollback = p.second().unwrap();
    p.done(&rollback, ActionStatus::Failed);
    assert_eq!(p.book.undo(p.now, rollback.action), Err(Refused::Conflict(Text::new("refused.no_undo"))));
}

#[test]
fn a_step_that_failed_half_way_and_one_that_was_cut_off_are_taken_back_by_a_person_only() {
    let back = Undo::PutBack { path: "/e".to_owned(), sha256: Some("bad".to_owned()) };
    for (status, undo) in [(ActionStatus::Failed, Some(back)), (ActionStatus::Unknown, None)] {
        let mut p = Play::new();
        p.crash("a");
        p.causes = vec![Cause { subject: "/e".into(), ..cause("a", CauseKind::BadSetting, 0.95) }];
        p.changes = vec![change("a", "/e")];
        let rollback = p.second().unwrap();
        let result = StepResult { status, outcome: Text::new("outcome.x"), undo };
        p.book.handle_result(p.now, &rollback, result);
        (0..5).for_each(|_| assert!(p.second().is_none_or(|s| !s.undo), "{status:?}: nobody asked for it"));
        p.book.undo(p.now, rollback.action).unwrap();
        let undo = p.second().unwrap();
        assert!(undo.undo && undo.action == rollback.action);
        p.done(&undo, ActionStatus::RolledBack);
        let action = p.book.incidents().next().unwrap().actions[0].clone();
        assert_eq!((action.status, action.can_be_taken_back()), (ActionStatus::RolledBack, false));
    }
}

#[test]
fn what_is_to_be_taken_back_keeps_its_incident_open() {
    let (mut p, rollback) = half_done();
    let restart = p.second().unwrap();
    p.done(&restart, ActionStatus::Failed);
    p.frozen = true;
    p.heal();
    (0..20).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!(p.status(), IncidentStatus::Diagnosing, "the way back has not been gone");
    p.frozen = false;
    let undo = p.second().unwrap();
    assert!(undo.undo && undo.action == rollback.action);
    (0..20).for_each(|_| assert_eq!(p.second(), None));
    assert_eq!(p.status(), IncidentStatus::Diagnosing, "it is under way");
    p.done(&undo, ActionStatus::Succeeded);
    (0..8).for_each(|_| drop(p.second()));
    assert_eq!(p.status(), IncidentStatus::Resolved);
}

#[test]
fn two_incidents_never_act_upon_one_target_at_a_time() {
    let mut p = Play::new();
    p.crash("a");
    let first = p.second().unwrap();
    // Another incident whose root is the same service.
    p.active.push(finding("c", ProcessGone));
    assert_eq!(p.second(), None);
    assert_eq!(p.book.incidents().count(), 2);
    assert_eq!(p.book.poll_step(p.now, 5, false), None, "the first one runs");
    p.done(&first, ActionStatus::Succeeded);
    assert_eq!(p.book.poll_step(p.now, 5, false), None, "the first one is being verified");
    let elsewhere = finding("x", ProcessGone);
    p.active.push(elsewhere);
    p.causes = vec![cause("b", CauseKind::ProcessCrash, 0.8)];
    let other = p.second();
    assert_eq!(other.map(|s| s.planned.target), Some(EntityId::service("b")), "another target need not wait");
}

#[test]
fn a_plan_expires_only_while_nothing_of_it_runs_and_only_after_its_last_moment() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    let expires_at = p.book.incidents().next().unwrap().plan.as_ref().unwrap().expires_at;
    assert_eq!(p.book.gate(&step, expires_at, false), Ok(()));
    assert!(p.book.gate(&step, expires_at + Duration::from_millis(1), false).is_err());
    p.now = expires_at + Duration::from_secs(20);
    p.second();
    assert_eq!(p.status(), IncidentStatus::Recovering, "the step runs; its deadline is its own");

    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Skipped);
    p.now = p.now + Duration::from_secs(20);
    p.frozen = false;
    p.keep.automation.at_once = 1;
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    let plan = |p: &Play| p.book.incidents().next().unwrap().plan.clone();
    let expires_at = plan(&p).unwrap().expires_at;
    p.book.poll_step(expires_at + Duration::from_secs(9), 1, false);
    assert!(plan(&p).is_some(), "it is being verified");
}

#[test]
fn a_plan_that_waits_too_long_for_its_turn_is_dropped_after_its_last_moment() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Propose;
    p.crash("a");
    p.second();
    let plan = |p: &Play| p.book.incidents().next().unwrap().plan.clone();
    let expires_at = plan(&p).unwrap().expires_at;
    p.book.poll_step(expires_at, 1, false);
    assert!(plan(&p).is_some());
    p.book.poll_step(expires_at + Duration::from_millis(1), 1, false);
    assert_eq!(plan(&p), None);
}

#[test]
fn what_holds_now_can_be_read_of_all_and_of_one() {
    let mut p = Play::new();
    p.keep.automation.mode = Mode::Watch;
    p.crash("a");
    p.active.push(finding("c", HealthFailing));
    p.second();
    assert_eq!(p.book.active(), p.active.as_slice());
    let id = p.book.incidents().find(|i| i.entity == EntityId::service("c")).map(|i| i.id);
    let of_c = p.book.findings_of(id.unwrap_or(IncidentId(2)));
    assert_eq!(of_c.iter().map(|f| f.key.entity.name.as_str()).collect::<Vec<_>>(), ["c"]);
    let troubled: Vec<_> = p.book.troubled().into_iter().map(|e| e.name).collect();
    assert_eq!(troubled, ["a", "c"]);
    p.heal();
    (0..8).for_each(|_| drop(p.second()));
    assert!(p.book.troubled().is_empty() && p.book.active().is_empty());
}

#[test]
fn people_lift_stops_and_set_and_forget_beliefs() {
    use wellkept_model::Beliefs;
    let mut p = Play::new();
    p.book.ledger.stop(CauseKind::ProcessCrash, ActionKind::Restart);
    p.book.lift_stops();
    assert!(!p.book.ledger().is_stopped(CauseKind::ProcessCrash, ActionKind::Restart));
    let mut beliefs = Beliefs::default();
    beliefs.take(CauseKind::ProcessCrash, ActionKind::Restart, Outcome::Helped);
    p.book.set_beliefs(beliefs.clone());
    assert_eq!(*p.book.ledger().beliefs(), beliefs);
    p.book.learn([(CauseKind::BadSetting, ActionKind::Rollback)], Outcome::Helped);
    p.book.learn([(CauseKind::ProcessCrash, ActionKind::Restart)], Outcome::Helped);
    p.book.forget(Some(CauseKind::ProcessCrash), None);
    assert_eq!(learned(&mut p), [(CauseKind::BadSetting, ActionKind::Rollback, 1, 0, 0)]);
}
