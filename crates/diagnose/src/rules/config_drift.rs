//! The active configuration is older than the file that it was loaded from.
//!
//! Neighbours: a file that cannot be parsed could not be loaded, which is its own cause; a change that nobody recorded is
//! not loaded by us before a person has seen it.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// Times were compared.
const SCORE: f64 = 0.9;
/// It cannot be parsed either, or nobody recorded the change: those come first.
const SCORE_BEHIND: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let stale = s.of_kind(FindingKind::ConfigStale).map(|finding| {
        let entity = &finding.key.entity;
        let behind = s.has(entity, FindingKind::ConfigInvalid) || s.has(entity, FindingKind::FileChanged);
        let score = if behind { SCORE_BEHIND } else { SCORE };
        let mut found = cause(entity, CauseKind::ConfigDrift, "", score, [finding]);
        found.detail = found.detail.with("path", finding.text.arg("path").unwrap_or("-"));
        found
    });
    stale.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str, other: Option<FindingKind>) -> Case {
        let mut case = Case::new(words);
        for kind in [FindingKind::ConfigStale].into_iter().chain(other) {
            Case::find(&mut case.situation, EntityId::service("web"), kind, "");
        }
        case.again()
    }

    #[test]
    fn a_file_that_can_be_parsed_and_was_not_loaded_is_a_drift() {
        assert_eq!(case("web runs since 1", None).first(), "service:web config_drift");
    }

    #[test]
    fn one_that_cannot_be_parsed_or_nobody_recorded_is_something_else_first() {
        let broken = case("web runs since 1", Some(FindingKind::ConfigInvalid));
        assert_eq!(broken.first(), "service:web config_syntax_error");
        let unrecorded = case("web runs since 1; web changed at 100", None);
        assert!(unrecorded.causes.iter().any(|c| c.kind.word() == "config_drift" && c.score < 0.6));
    }
}
