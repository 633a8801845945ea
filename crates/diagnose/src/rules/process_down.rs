//! The process was stopped or has ended in order, and nothing started it again.
//!
//! Of a daemon of the system (declared so, or as the one that keeps the time or runs the jobs) nobody may notice the end
//! for long: that is a kind of its own. One that crashed is a crash, whatever it is.

use std::collections::BTreeSet;

use wellkept_model::observe::Exit;
use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// It ended in order, or has never run.
const SCORE: f64 = 0.8;
/// The kernel did not tell how it ended.
const SCORE_UNKNOWN: f64 = 0.7;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let aftermath = s.of_kind(FindingKind::HealthFailing).filter(|f| s.follows_an_end(f));
    let mut named = BTreeSet::new();
    let gone = s.of_kind(FindingKind::ProcessGone).chain(aftermath).filter_map(|finding| {
        let entity = &finding.key.entity;
        if !named.insert(entity.clone()) {
            return None;
        }
        let score = match s.last_end(entity).map(|e| e.exit) {
            None => SCORE,
            Some(Exit::Unknown) => SCORE_UNKNOWN,
            Some(exit) if exit.in_order() => SCORE,
            Some(_) => return None,
        };
        let own = s.about(entity).filter(|f| is_illness(f.key.kind));
        let kind = if s.seen.local.daemons.contains(&entity.name) {
            CauseKind::DaemonDown
        } else {
            CauseKind::ProcessDown
        };
        Some(cause(entity, kind, "", score, own))
    });
    gone.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{Case, check};

    #[test]
    fn the_end_of_a_daemon_is_told_apart_and_its_crash_is_not() {
        for (words, kind) in [
            ("cron ended 0 at 100 began 10; cron gone", "daemon_down"),
            ("cron gone", "daemon_down"),
            ("cron ended 9s at 100 began 10; cron gone", "process_crash"),
            ("cache gone", "process_down"),
        ] {
            let mut case = Case::new(words);
            case.situation.seen.local.daemons = ["cron".to_owned()].into();
            assert_eq!(case.again().kinds()[0], kind, "{words}");
        }
    }

    #[test]
    fn an_end_in_order_that_nobody_follows_is_down() {
        check("cache ended 0 at 100 began 10; cache gone", "service:cache process_down 0.80");
        check("cache gone", "service:cache process_down 0.80");
        check("cache ended ? at 100 began 10; cache gone", "service:cache process_down 0.70");
    }
}
