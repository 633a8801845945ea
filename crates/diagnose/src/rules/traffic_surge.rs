//! The load is far above what the component can serve.
//!
//! Neighbours: repeated attempts are load as well, and are told apart by their share; a service that is slow under its
//! usual load is ill itself.

use wellkept_model::{Cause, CauseKind};

use super::signals::suffering;
use crate::Situation;

/// Load and suffering are far above what is usual.
const SCORE: f64 = 0.9;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let surges = suffering(s).into_iter().filter(|x| x.is_high("load") && !x.is_high("retries"));
    surges.map(|x| x.cause(s, CauseKind::TrafficSurge, SCORE)).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::signals::testing::case;

    #[test]
    fn much_more_load_with_suffering_is_a_surge() {
        assert_eq!(
            case("app runs since 1", &["latency", "load", "busy"]).first(),
            "service:app traffic_surge"
        );
    }

    #[test]
    fn slowness_under_the_usual_load_is_none_and_repeated_attempts_are_something_else() {
        for high in [&["latency"][..], &["latency", "load", "retries"]] {
            let kinds = case("app runs since 1", high).kinds();
            assert!(!kinds.contains(&"traffic_surge".to_owned()), "{high:?}");
        }
    }
}
