//! A resolver gives wrong answers, or runs and gives none.
//!
//! Discriminating test against a resolver that is down: it answers. What it does not answer at all may be its end,
//! which other rules name better.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Its answers were compared.
const SCORE_WRONG: f64 = 0.94;
/// It runs and is silent.
const SCORE_SILENT: f64 = 0.75;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let wrong = s.of_kind(FindingKind::NamesWrong).filter_map(|finding| {
        let entity = &finding.key.entity;
        let seen = s.seen.watched.names.get(&entity.name)?;
        let own = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let changed = s.file_changes.iter().filter(|c| c.service == entity.name && c.now_sha256.is_some());
        let path = changed.max_by_key(|c| c.at).map_or("", |c| c.path.as_str());
        let names: Vec<&str> = seen.wrong.keys().take(3).map(String::as_str).collect();
        if !seen.silent {
            let mut found = cause(entity, CauseKind::WrongAnswers, path, SCORE_WRONG, own);
            found.detail = found.detail.with("names", names.join(", "));
            return Some(found);
        }
        let gone = [FindingKind::ProcessGone, FindingKind::ProcessStopped, FindingKind::ConfigInvalid];
        if gone.iter().any(|kind| s.has(entity, *kind)) || s.follows_an_end(finding) {
            return None;
        }
        Some(cause(entity, CauseKind::Down, "", SCORE_SILENT, own))
    });
    wrong.collect()
}

/// A silent resolver that is gone explains its own silence.
pub(crate) fn belongs_to_its_end(s: &Situation, found: &mut Cause) {
    if matches!(
        found.kind,
        CauseKind::ProcessDown | CauseKind::DaemonDown | CauseKind::ProcessCrash | CauseKind::ProcessStopped
    ) {
        let silent = s.of_kind(FindingKind::NamesWrong).filter(|f| f.key.entity == found.entity);
        let keys: Vec<_> = silent.map(|f| f.key.clone()).filter(|k| !found.explains.contains(k)).collect();
        found.explains.extend(keys);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::NamesSeen;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str, silent: bool) -> Case {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("dns"), FindingKind::NamesWrong, "");
        let wrong = [("db".to_owned(), "NXDOMAIN".to_owned())].into();
        case.situation
            .seen
            .watched
            .names
            .insert("dns".into(), NamesSeen { wrong, silent, ..NamesSeen::default() });
        case.again()
    }

    #[test]
    fn wrong_answers_point_at_the_changed_configuration() {
        let case = case(
            "app needs dns; app runs since 1; app unhealthy; dns runs since 1; dns changed at 100",
            false,
        );
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:dns wrong_answers", "/srv/dns/env")
        );
    }

    #[test]
    fn a_resolver_that_has_ended_is_down_and_its_silence_is_explained() {
        let case = case(
            "app needs dns; dns ended 0 at 100 began 10; dns gone; app runs since 1; app unhealthy",
            true,
        );
        assert_eq!(case.kinds(), ["process_down"]);
        assert_eq!(case.causes[0].explains.len(), 3);
    }

    #[test]
    fn one_that_runs_and_is_silent_is_down_too() {
        assert_eq!(case("dns runs since 1", true).first(), "service:dns down");
    }
}
