//! All threads of the component are busy and requests wait, under the usual load; the reason is inside the component.
//!
//! Neighbours: more load than usual, long collections, or something below that is ill make threads busy as well; each of
//! them is named instead.

use wellkept_model::{Cause, CauseKind};

use super::signals::suffering;
use crate::Situation;

/// Nothing else explains it.
const SCORE: f64 = 0.88;
/// Something below is ill, and threads wait for it.
const SCORE_BELOW: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let full = suffering(s).into_iter();
    let full =
        full.filter(|x| x.is_high("busy") && !x.is_high("load") && !x.is_high("gc") && !x.is_high("retries"));
    let score = |below: bool| if below { SCORE_BELOW } else { SCORE };
    full.map(|x| x.cause(s, CauseKind::ThreadPoolExhaustion, score(x.below))).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::signals::testing::case;

    #[test]
    fn busy_threads_under_the_usual_load_are_the_reason() {
        let case = case("app needs db; db runs since 1; app unhealthy", &["busy", "latency"]);
        assert_eq!(
            (case.first().as_str(), case.causes[0].explains.len()),
            ("service:app thread_pool_exhaustion", 3)
        );
    }

    #[test]
    fn more_load_collections_or_an_illness_below_are_named_instead() {
        for (words, high, first) in [
            ("app runs since 1", &["busy", "latency", "load"][..], "service:app traffic_surge"),
            ("app runs since 1", &["busy", "gc", "latency"], "service:app gc_pause"),
            ("app needs db; db runs since 1; db stopped", &["busy", "latency"], "service:db process_stopped"),
        ] {
            assert_eq!(case(words, high).first(), first);
        }
    }
}
