//! Declared signals: only suffering counts, and what is far from usual beside it says why.

use wellkept_model::keep::Signal;

use crate::play::Play;

/// Ten minutes in which, from the sixth on, these signals have other values than the usual ones.
fn played(other: &[(Signal, f64)]) -> Play {
    let mut p = Play::new();
    let usual = [(Signal::Latency, 0.010), (Signal::Gc, 0.02), (Signal::Load, 100.0)];
    let queries = usual.map(|(signal, _)| (signal, format!("shop_{}", signal.word()))).into();
    p.keep.watched.signals = [("app".to_owned(), queries)].into();
    p.for_seconds(600, |p, second| {
        for (signal, value) in usual {
            let changed =
                other.iter().find(|(s, _)| *s == signal && second >= 360).map_or(value, |(_, v)| *v);
            let wobble = 1.0 + f64::from(second % 7) / 100.0;
            p.value(&signal.rule(), Some("app"), changed * wobble);
        }
    });
    p
}

#[test]
fn three_times_the_load_and_longer_collections_without_suffering_are_nobodys_business() {
    played(&[(Signal::Load, 300.0), (Signal::Gc, 0.15)]).is_quiet();
}

#[test]
fn long_collections_that_make_requests_slow_are_answered_by_a_restart_and_told() {
    let acts = played(&[(Signal::Latency, 0.2), (Signal::Gc, 0.6)]).acts();
    assert!(acts.iter().any(|a| a == "restart service:app"), "{acts:?}");
    assert!(acts.iter().any(|a| a.starts_with("escalate ")), "the defect remains: {acts:?}");
}

#[test]
fn a_surge_that_makes_requests_slow_is_handed_to_a_person_and_nothing_is_restarted() {
    let acts = played(&[(Signal::Latency, 0.2), (Signal::Gc, 0.6), (Signal::Load, 400.0)]).acts();
    assert!(acts.iter().any(|a| a.contains("escalate.traffic_surge")), "{acts:?}");
    assert!(acts.iter().all(|a| !a.starts_with("restart")), "{acts:?}");
}
