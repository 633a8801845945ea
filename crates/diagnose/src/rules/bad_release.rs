//! A deployed release carries the defect.
//!
//! Speaks when another release was made current and the service fell ill after that, though its check had passed
//! before. Discriminating tests: something that the service leans on fell ill too (then the release is only
//! suspected), and the release that was current before is known (else there is nothing to go back to).

use std::time::Duration;

use wellkept_model::{
    Cause, CauseKind, ChangeKind, EntityId, Evidence, Finding, FindingKind, Text, TimestampMs,
};

use super::{cause, is_illness};
use crate::Situation;

/// It fell ill soon after, and nothing below it is ill.
const SCORE: f64 = 0.94;
/// Something that it leans on is ill as well.
const SCORE_SUSPECTED: f64 = 0.55;
/// How long after the switch an illness is put down to it.
const AFTER: Duration = Duration::from_secs(600);
/// The switch is seen with the resolution of a round.
const SLACK: Duration = Duration::from_secs(2);

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    s.seen.local.releases.keys().filter_map(|service| one(s, service)).collect()
}

fn one(s: &Situation, service: &str) -> Option<Cause> {
    let entity = EntityId::service(service);
    let switched = switched(s, service)?;
    let ill: Vec<&Finding> = s.about(&entity).filter(|f| is_effect(f.key.kind)).collect();
    let onset = ill.iter().map(|f| f.since).min()?;
    if onset + SLACK < switched.at || onset.since(switched.at) > AFTER {
        return None;
    }
    let below = s.topology.leans_on(&entity);
    let suspected = s.findings.iter().any(|f| below.contains_key(&f.key.entity) && is_illness(f.key.kind));
    let score = if suspected { SCORE_SUSPECTED } else { SCORE };
    let mut found = cause(&entity, CauseKind::BadRelease, &switched.before, score, ill.iter().copied());
    found.detail = found.detail.with("release", &switched.release).with("before", &switched.before);
    let text =
        Text::new("evidence.release").with("release", &switched.release).with("before", &switched.before);
    found.evidence.insert(0, Evidence { at: switched.at, text, query: None });
    Some(found)
}

/// What a defect of a program shows as; leaks are among it.
fn is_effect(kind: FindingKind) -> bool {
    is_illness(kind) && kind != FindingKind::ProcessStopped
        || matches!(
            kind,
            FindingKind::HealthUnsteady
                | FindingKind::FdsRising
                | FindingKind::MemoryRising
                | FindingKind::ZombiesRising
        )
}

struct Switched {
    at: TimestampMs,
    release: String,
    before: String,
}

/// The last switch to the present release: as we saw it, or as somebody recorded it.
fn switched(s: &Situation, service: &str) -> Option<Switched> {
    let current = s.seen.local.releases.get(service)?;
    let release = current.target.clone();
    if let Some(before) = &current.before {
        return Some(Switched { at: current.since, release, before: before.clone() });
    }
    let mut releases = s.changes.iter().filter(|c| c.kind == ChangeKind::Release);
    let change = releases.clone().rev().find(|c| c.after == release && !c.before.is_empty())?;
    // Who goes back to a release that was current before has brought nothing new.
    if releases.any(|c| c.at < change.at && (c.before == release || c.after == release)) {
        return None;
    }
    Some(Switched { at: change.at, release, before: change.before.clone() })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{Case, check};

    #[test]
    fn a_service_that_falls_ill_just_after_a_release_has_a_bad_one() {
        check(
            "app released 2 after 1 at 100; app runs since 101; app unsteady",
            "service:app bad_release 0.94",
        );
        check(
            "app released 2 after 1 at 100; app ended 1 at 102 began 101; app gone",
            "service:app bad_release 0.94",
        );
        let case = Case::new("app released 2 after 1 at 100; app runs since 101; app unsteady");
        assert_eq!(case.causes[0].subject, "1");
    }

    #[test]
    fn a_leak_that_began_with_a_release_is_the_releases() {
        let case = Case::new("app released 2 after 1 at 60; app runs since 61; app leaks memory");
        assert_eq!(case.first(), "service:app bad_release");
    }

    #[test]
    fn an_illness_before_it_or_long_after_it_is_not_the_releases() {
        for words in [
            "app released 2 after 1 at 109; app runs since 101; app unsteady",
            "app runs since 1; app unsteady",
        ] {
            assert!(!Case::new(words).kinds().contains(&"bad_release".to_owned()), "{words}");
        }
    }

    #[test]
    fn a_recorded_deployment_counts_and_a_recorded_way_back_does_not() {
        let words = "app runs since 101; app unsteady; app is at 2";
        let deployed = Case::new(&format!("{words}; 2 after 1 recorded at 100"));
        assert_eq!(deployed.first(), "service:app bad_release");
        let back = Case::new(&format!("{words}; 1 after 2 recorded at 50; 2 after 1 recorded at 100"));
        assert!(!back.kinds().contains(&"bad_release".to_owned()));
    }

    #[test]
    fn with_a_dead_dependency_the_release_is_only_suspected() {
        let case = Case::new(
            "app needs db; app released 2 after 1 at 100; app runs since 101; app unhealthy; \
             db ended 9s at 102 began 10; db gone",
        );
        assert_eq!(case.first(), "service:db process_crash");
    }
}
