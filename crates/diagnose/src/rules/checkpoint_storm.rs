//! The database writes checkpoints so often that other work waits, because its log is too small for the load. A kept file
//! of it that was changed before says why.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// A setting of it was changed before.
const SCORE_CHANGED: f64 = 0.96;
/// The server counted them; why is load or an old setting.
const SCORE: f64 = 0.88;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let storms = s.of_kind(FindingKind::CheckpointsForced).map(|finding| {
        let entity = &finding.key.entity;
        let changes = s.file_changes.iter().filter(|c| c.service == entity.name && c.now_sha256.is_some());
        let changed = changes.filter(|c| c.at <= finding.since).max_by_key(|c| c.at);
        let path = changed.map_or("", |c| c.path.as_str());
        let speaks = s.about(entity).filter(|f| {
            f.key == finding.key
                || is_illness(f.key.kind)
                || f.key.kind == FindingKind::FileChanged && f.key.subject == path
        });
        let score = if path.is_empty() { SCORE } else { SCORE_CHANGED };
        let mut found = cause(entity, CauseKind::CheckpointStorm, path, score, speaks);
        let count = s.seen.watched.databases.get(&entity.name).map_or(0, |d| d.care.checkpoints_forced);
        let shown = if path.is_empty() { "-" } else { path };
        found.detail = found.detail.with("count", count).with("path", shown);
        found
    });
    storms.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn a_setting_that_was_changed_before_is_named_with_it() {
        for (words, subject) in [
            ("db runs since 1; db changed at 100", "/srv/db/env"),
            ("db runs since 1; db changed at 109", ""),
        ] {
            let mut case = Case::new(words);
            Case::find(&mut case.situation, EntityId::service("db"), FindingKind::CheckpointsForced, "");
            let case = case.again();
            assert_eq!(case.first(), "service:db checkpoint_storm");
            assert_eq!(case.causes[0].subject, subject, "{words}");
        }
    }
}
