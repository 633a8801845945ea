//! What people take over, take back, allow and forget.

use super::*;

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
fn an_action_that_a_person_took_back_is_believed_less() {
    let (mut p, rollback) = Play::with_a_bad_setting();
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
fn what_was_forgotten_is_not_stored_any_more() {
    let mut p = Play::new();
    p.crash("a");
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Failed);
    p.book.forget(Some(CauseKind::ProcessCrash), Some(ActionKind::Restart));
    assert!(learned(&mut p).is_empty());
    assert_eq!(p.book.ledger().beliefs().rows().count(), 0);
}

/// A rollback that was done, with its restart still to come.
fn half_done() -> (Play, Step) {
    let (mut p, rollback) = Play::with_a_bad_setting();
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
    let (mut p, rollback) = Play::with_a_bad_setting();
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
