//! A service runs and has stopped listening, so that those who need it ask in vain.
//!
//! Discriminating tests: it is not gone or stopped, nobody else holds its port, and its configuration can be parsed; each of
//! these says more about why. A setting that was changed before it stopped listening is likelier than a mere silence.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::{cause, is_illness};
use crate::Situation;

/// Refusals were counted, and nobody listens.
const SCORE: f64 = 0.82;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let refused = s.of_kind(FindingKind::ConnectionsRefused).filter_map(|finding| {
        let entity = &finding.key.entity;
        let better = [
            FindingKind::ProcessGone,
            FindingKind::ProcessStopped,
            FindingKind::PortTaken,
            FindingKind::ConfigInvalid,
        ];
        if better.iter().any(|kind| s.has(entity, *kind)) || s.follows_an_end(finding) {
            return None;
        }
        let own = s.about(entity).filter(|f| {
            is_illness(f.key.kind)
                || matches!(f.key.kind, FindingKind::ConnectionsRefused | FindingKind::HealthUnsteady)
        });
        let mut found = cause(entity, CauseKind::Down, "", SCORE, own);
        found.detail = Text::new("cause.down.refused")
            .with("name", &entity.name)
            .with("address", &finding.key.subject)
            .with("by", finding.text.arg("by").unwrap_or("-"));
        Some(found)
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn refusing(words: &str) -> Case {
        let mut case = Case::new(words);
        let (cache, kind) = (EntityId::service("cache"), FindingKind::ConnectionsRefused);
        Case::find(&mut case.situation, cache, kind, "127.0.0.1:6379");
        case.again()
    }

    #[test]
    fn one_that_no_longer_listens_is_the_root_of_those_who_need_it() {
        let case = refusing("app needs cache; app runs since 10; cache runs since 10; app unhealthy");
        assert_eq!((case.first().as_str(), case.causes.len()), ("service:cache down", 1));
        assert_eq!(case.causes[0].explains.len(), 2);
    }

    #[test]
    fn its_end_its_stop_a_stolen_port_and_a_bad_setting_say_more() {
        for (words, first) in [
            ("cache ended 9s at 100 began 10; cache gone", "service:cache process_crash"),
            ("cache runs since 10; cache stopped", "service:cache process_stopped"),
            ("cache runs since 10; 77 of batch holds 127.0.0.1:6379 of cache", "service:cache port_conflict"),
            ("cache changed at 60; cache runs since 62; cache unhealthy", "service:cache bad_setting"),
            ("cache changed at 60; cache runs since 10", "service:cache bad_setting"),
            ("cache changed at 109; cache runs since 10", "service:cache down"),
        ] {
            assert_eq!(refusing(words).first(), first, "{words}");
        }
    }
}
