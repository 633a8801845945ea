//! What becomes an incident, what belongs to it, and when it is over.

use super::*;

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

/// A restart has helped; an average that follows late is all that still holds.
fn with_leftovers() -> Play {
    let mut p = Play::new();
    p.crash("a");
    p.active.push(finding("a", wellkept_model::FindingKind::Unusual));
    let step = p.second().unwrap();
    p.done(&step, ActionStatus::Succeeded);
    p.heal();
    p.active = vec![finding("a", wellkept_model::FindingKind::Unusual)];
    p.causes = vec![cause("a", CauseKind::Unknown, 0.2)];
    p
}

#[test]
fn leftovers_of_a_trouble_that_has_ended_are_given_time_and_new_trouble_is_not() {
    let mut p = with_leftovers();
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
    let mut p = with_leftovers();
    for _ in 0..40 {
        p.second();
    }
    assert_eq!(p.status(), IncidentStatus::Escalated);
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
