//! Repeated attempts of clients keep a component down that could serve the usual load.
//!
//! Discriminating test: as long as something below it is ill, attempts are repeated for a good reason, and that is the root.

use wellkept_model::{Cause, CauseKind};

use super::signals::suffering;
use crate::Situation;

/// Nothing below is ill any more.
const SCORE: f64 = 0.93;
/// Something below is still ill.
const SCORE_BELOW: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let storms = suffering(s).into_iter().filter(|x| x.is_high("retries"));
    let score = |below: bool| if below { SCORE_BELOW } else { SCORE };
    storms.map(|x| x.cause(s, CauseKind::RetryStorm, score(x.below))).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::signals::testing::case;

    #[test]
    fn attempts_that_go_on_although_all_below_is_well_are_a_storm() {
        assert_eq!(
            case("app needs db; db runs since 1", &["errors", "load", "retries"]).first(),
            "service:app retry_storm"
        );
    }

    #[test]
    fn while_what_it_needs_is_gone_that_is_the_root() {
        let words = "app needs db; db ended 9s at 100 began 10; db gone; app runs since 1";
        assert_eq!(case(words, &["errors", "retries"]).first(), "service:db process_crash");
    }
}
