//! When a plan may take effect, and when it may not any more.

use super::*;

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
