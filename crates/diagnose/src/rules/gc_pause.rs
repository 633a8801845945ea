//! A run-time system stops the component for long collections.
//!
//! Neighbours: a surge brings collections along, and then is the root; memory that grows without bound ends in them, and
//! is told by its own line.

use wellkept_model::{Cause, CauseKind};

use super::signals::suffering;
use crate::Situation;

/// It says so itself.
const SCORE: f64 = 0.92;
/// The load is far above what is usual.
const SCORE_LOAD: f64 = 0.55;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let pauses = suffering(s).into_iter().filter(|x| x.is_high("gc"));
    let score = |load: bool| if load { SCORE_LOAD } else { SCORE };
    pauses.map(|x| x.cause(s, CauseKind::GcPause, score(x.is_high("load")))).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::signals::testing::case;

    #[test]
    fn long_collections_under_the_usual_load_are_the_reason() {
        assert_eq!(case("app runs since 1", &["gc", "latency"]).first(), "service:app gc_pause");
        assert_eq!(case("app runs since 1", &["gc", "latency", "load"]).first(), "service:app traffic_surge");
    }
}
