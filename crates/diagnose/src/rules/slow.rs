//! The component answers much more slowly than usual, and nothing that is known explains it: neither its load nor its
//! threads, nor its collections, nor anything below it. A statement of a database below it that became slow is named.

use wellkept_model::{Cause, CauseKind};

use super::database_work;
use super::signals::suffering;
use crate::Situation;

/// It is so; why is not known.
const SCORE: f64 = 0.7;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let known = ["load", "busy", "gc", "retries"];
    let slow = suffering(s).into_iter();
    let slow = slow.filter(|x| x.is_high("latency") && !x.below && !known.iter().any(|k| x.is_high(k)));
    slow.map(|x| {
        let mut found = without_time(x.cause(s, CauseKind::Slow, SCORE));
        let databases = database_work::below(s, x.entity);
        found.evidence.extend(databases.iter().filter_map(|(e, work)| database_work::risen(&e.name, work)));
        found
    })
    .collect()
}

/// The text for a service names its signals; the one for an outside service its time.
fn without_time(mut cause: Cause) -> Cause {
    "cause.slow.service".clone_into(&mut cause.detail.key);
    cause
}

#[cfg(test)]
mod tests {
    use crate::rules::signals::testing::case;

    #[test]
    fn slowness_that_nothing_explains_is_said_to_be_just_that() {
        let case = case("app runs since 1", &["latency"]);
        assert_eq!((case.first().as_str(), case.causes[0].score), ("service:app slow", 0.7));
    }

    #[test]
    fn with_something_ill_below_it_is_a_symptom() {
        let case = case("app needs db; db runs since 1; db stopped", &["latency"]);
        assert_eq!(case.first(), "service:db process_stopped");
        assert_eq!(case.causes[0].explains.len(), 2);
    }
}
