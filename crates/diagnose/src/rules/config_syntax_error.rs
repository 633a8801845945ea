//! A configuration file cannot be parsed.
//!
//! Discriminating test against a mere bad setting or a crash: the declared test of the configuration fails. Which file
//! it is, is told by the test's words; else it is the one kept file that was changed.

use wellkept_model::{Cause, CauseKind, FileVersionChange, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// The program itself says so.
const SCORE: f64 = 0.98;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let failing = s.of_kind(FindingKind::ConfigInvalid).map(|finding| {
        let entity = &finding.key.entity;
        let seen = s.seen.watched.configs.get(&entity.name);
        let failure = seen.and_then(|c| c.failure.as_deref()).unwrap_or_default();
        let changed = guilty(s, &entity.name, failure);
        let path = changed.map_or("", |c| c.path.as_str());
        let speaks = s.about(entity).filter(|f| {
            f.key == finding.key
                || is_illness(f.key.kind)
                || f.key.kind == FindingKind::FileChanged && f.key.subject == path
        });
        let mut found = cause(entity, CauseKind::ConfigSyntaxError, path, SCORE, speaks);
        let recorded = changed.and_then(|c| c.recorded.as_ref()).map_or("-", |id| id.0.as_str());
        found.detail = found.detail.with("failure", failure).with("change", recorded);
        found
    });
    failing.collect()
}

/// The changed file that the test names, else the only one that was changed.
fn guilty<'a>(s: &'a Situation, service: &str, failure: &str) -> Option<&'a FileVersionChange> {
    let changed = || s.file_changes.iter().filter(|c| c.service == service && c.now_sha256.is_some());
    let only = || changed().next().filter(|_| changed().count() == 1);
    changed().find(|c| failure.contains(&c.path)).or_else(only)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::ConfigSeen;
    use wellkept_model::{EntityId, FindingKind};

    fn invalid(words: &str) -> Case {
        let mut case = Case::new(words);
        let failure = Some("unknown directive in /srv/web/env:3".to_owned());
        case.situation
            .seen
            .watched
            .configs
            .insert("web".into(), ConfigSeen { failure, ..ConfigSeen::default() });
        Case::find(&mut case.situation, EntityId::service("web"), FindingKind::ConfigInvalid, "");
        case.again()
    }

    #[test]
    fn it_outranks_the_crash_and_the_bad_setting_that_it_looks_like() {
        let case = invalid("web changed at 100; web ended 1 at 103 began 102; web gone");
        assert_eq!(case.first(), "service:web config_syntax_error");
        assert_eq!(case.causes[0].subject, "/srv/web/env");
    }

    #[test]
    fn without_a_changed_file_nobody_is_blamed() {
        let case = invalid("web runs since 10");
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:web config_syntax_error", "")
        );
    }
}
