//! From a fault to what helped, or to a person.

use super::*;

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
fn a_step_that_fails_did_not_help_and_what_undoes_itself_is_no_persons_verdict() {
    let (mut p, rollback) = Play::with_a_bad_setting();
    p.done(&rollback, ActionStatus::Succeeded);
    let restart = p.second().unwrap();
    p.done(&restart, ActionStatus::Failed);
    let undo = p.second().unwrap();
    p.done(&undo, ActionStatus::Succeeded);
    assert_eq!(learned(&mut p), [(CauseKind::BadSetting, ActionKind::Restart, 0, 1, 0)]);
}
