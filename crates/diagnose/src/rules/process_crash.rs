//! The process ended unexpectedly, by a signal or an error.

use wellkept_model::observe::Exit;
use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::{cause, is_illness};
use crate::Situation;

/// The kernel told us the exit status.
const SCORE: f64 = 0.8;
/// It ends in error again and again.
const SCORE_LOOP: f64 = 0.82;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let aftermath = s.of_kind(FindingKind::HealthFailing).filter(|f| s.follows_an_end(f));
    let down =
        s.of_kind(FindingKind::ProcessGone).chain(s.of_kind(FindingKind::RestartingOften)).chain(aftermath);
    let mut found: Vec<Cause> = Vec::new();
    for finding in down {
        let entity = &finding.key.entity;
        let Some(end) = s.last_end(entity) else { continue };
        let looping = s.has(entity, FindingKind::RestartingOften);
        let in_error = end.exit != Exit::Unknown && !end.exit.in_order();
        if !(in_error || looping) || found.iter().any(|c| c.entity == *entity) {
            continue;
        }
        let own = s.about(entity).filter(|f| is_illness(f.key.kind));
        let mut crash =
            cause(entity, CauseKind::ProcessCrash, "", if looping { SCORE_LOOP } else { SCORE }, own);
        crash.detail = detail(end.exit, looping).with("name", &entity.name);
        found.push(crash);
    }
    found
}

fn detail(exit: Exit, looping: bool) -> Text {
    let key = if looping { "cause.process_crash.loop" } else { "cause.process_crash" };
    match exit {
        Exit::Signal(signal) => Text::new(&format!("{key}.signal")).with("signal", signal),
        Exit::Code(code) => Text::new(&format!("{key}.code")).with("code", code),
        Exit::Unknown => Text::new(&format!("{key}.unknown")),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::check;

    #[test]
    fn a_signal_or_an_error_is_a_crash() {
        check("app ended 9s at 100 began 10; app gone", "service:app process_crash 0.80");
        check("app ended 3 at 100 began 10; app gone", "service:app process_crash 0.80");
    }

    #[test]
    fn checks_that_fail_while_it_comes_back_belong_to_the_crash() {
        check(
            "app ended 9s at 100 began 10; app runs since 102; app unhealthy",
            "service:app process_crash 0.80",
        );
        check("app ended 9s at 60 began 10; app runs since 62; app unhealthy", "service:app unknown 0.20");
    }

    #[test]
    fn a_loop_without_a_change_stays_a_crash() {
        check("app ended 1 at 100 began 99; app gone; app restarting", "service:app process_crash 0.82");
    }
}
