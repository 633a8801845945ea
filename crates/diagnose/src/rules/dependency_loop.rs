//! Services wait for each other, so that none of them answers.
//!
//! Discriminating tests. Against a service that hangs, is slow or down and takes others with it: their waits end at it and do
//! not lead back. Against an idle connection between two services that are ill for another reason: the last word on it was
//! an answer. One of them is named, and only one: whoever is started anew lets go of what the others wait for.

use std::collections::BTreeSet;

use wellkept_model::{Cause, CauseKind, EntityId, FindingKind, TimestampMs};

use super::{cause, is_illness};
use crate::Situation;

/// Every wait of the circle was seen.
const SCORE: f64 = 0.96;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let circles: BTreeSet<&str> =
        s.of_kind(FindingKind::WaitingInCircle).map(|f| f.key.subject.as_str()).collect();
    let found = circles.into_iter().filter_map(|circle| {
        let members: Vec<EntityId> = circle.split(',').map(EntityId::service).collect();
        let first = members.iter().min_by_key(|m| standing(s, m, &members))?;
        let speaks = s.findings.iter().filter(|f| {
            members.contains(&f.key.entity)
                && (f.key.kind == FindingKind::WaitingInCircle
                    || f.key.kind == FindingKind::ServiceHung
                    || is_illness(f.key.kind))
        });
        let mut found = cause(first, CauseKind::DependencyLoop, circle, SCORE, speaks);
        let others: Vec<&str> = members.iter().filter(|m| *m != first).map(|m| m.name.as_str()).collect();
        found.detail = found.detail.with("others", others.join(", "));
        Some(found)
    });
    found.collect()
}

/// Whom to begin with: one that few of the others are declared to need, then the one that has run for the shortest time.
fn standing(
    s: &Situation,
    member: &EntityId,
    circle: &[EntityId],
) -> (usize, std::cmp::Reverse<TimestampMs>) {
    let needed_by = s.topology.dependants(member);
    let began = s.service(member).and_then(|seen| seen.processes.first()).map(|p| p.started_at);
    (
        circle.iter().filter(|m| needed_by.contains_key(*m)).count(),
        std::cmp::Reverse(began.unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str) -> Case {
        let mut case = Case::new(words);
        for name in ["app", "db"] {
            Case::find(&mut case.situation, EntityId::service(name), FindingKind::WaitingInCircle, "app,db");
        }
        case.again()
    }

    #[test]
    fn one_of_them_is_named_and_all_of_them_are_explained() {
        let case = case("app needs db; app runs since 5; app unhealthy; db runs since 9; db unhealthy");
        assert_eq!(case.first(), "service:app dependency_loop");
        assert_eq!((case.causes.len(), case.causes[0].explains.len()), (1, 4));
        assert_eq!(case.causes[0].subject, "app,db");
    }

    #[test]
    fn without_a_declared_need_the_youngest_is_named() {
        let words = "app runs since 5; app unhealthy; db runs since 9; db unhealthy";
        assert_eq!(case(words).first(), "service:db dependency_loop");
    }

    #[test]
    fn a_line_of_waiting_services_is_no_loop() {
        let line = Case::new("app needs db; app runs since 5; app unhealthy; db runs since 9; db unhealthy");
        assert!(!line.kinds().contains(&"dependency_loop".to_owned()));
    }

    #[test]
    fn a_service_without_progress_that_waits_in_a_circle_does_not_hang_by_itself() {
        let mut case = case("app runs since 5; app unhealthy; db runs since 9; db unhealthy");
        Case::find(&mut case.situation, EntityId::service("app"), FindingKind::ServiceHung, "");
        assert_eq!(case.again().kinds()[0], "dependency_loop");
    }
}
