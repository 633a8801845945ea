//! A backup was written without content, or one that was due was never made.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::cause;
use crate::Situation;

/// The file itself was looked at.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let unusable = s.of_kind(FindingKind::BackupUnusable).map(|finding| {
        let entity = &finding.key.entity;
        let empty = finding.key.subject == "empty";
        let kind = if empty { CauseKind::EmptyDump } else { CauseKind::BackupMissing };
        let mut found = cause(entity, kind, "", SCORE, [finding]);
        let seen = s.seen.watched.backups.get(&entity.name);
        let path = seen.and_then(|b| b.newest.clone()).unwrap_or_default();
        found.detail = found.detail.with("path", path);
        if empty && let Some(line) = seen.and_then(|b| b.refused_login.as_ref()) {
            let args = found.detail.args;
            found.detail = Text { key: "cause.empty_dump.refused".to_owned(), args }.with("line", line);
        }
        found
    });
    unusable.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::BackupSeen;
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    #[test]
    fn a_refused_login_of_its_job_is_told_as_the_reason() {
        let case = Case::of(|s| {
            let entity = EntityId::new(EntityKind::Backup, "nightly");
            Case::find(s, entity, FindingKind::BackupUnusable, "empty");
            let refused_login = Some("password authentication failed".to_owned());
            s.seen
                .watched
                .backups
                .insert("nightly".into(), BackupSeen { refused_login, ..BackupSeen::default() });
        });
        assert_eq!(case.first(), "backup:nightly empty_dump");
        assert_eq!(case.causes[0].detail.key, "cause.empty_dump.refused");
        assert_eq!(case.causes[0].entity.component(), "nightly");
    }

    #[test]
    fn one_that_is_only_old_is_missing() {
        let case = Case::of(|s| {
            let entity = EntityId::new(EntityKind::Backup, "nightly");
            Case::find(s, entity, FindingKind::BackupUnusable, "old");
        });
        assert_eq!(case.first(), "backup:nightly backup_missing");
    }
}
