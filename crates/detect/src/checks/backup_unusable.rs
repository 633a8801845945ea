//! The newest backup is empty or too small, too old, or there is none.

use wellkept_model::keep::{Backup, Keep};
use wellkept_model::observe::BackupSeen;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at};
use crate::Round;

/// Ways in which a backup is none; the subject of the finding.
const EMPTY: &str = "empty";
const OLD: &str = "old";
const NONE: &str = "none";

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let declared = keep.watched.backups.values();
    let found = declared.filter_map(|backup| {
        let seen = round.seen.watched.backups.get(&backup.name).filter(|s| s.problem.is_none())?;
        let way = way(backup, seen, round.now)?;
        let entity = EntityId::new(EntityKind::Backup, &backup.name);
        let since = if way == EMPTY { seen.modified_at } else { seen.at };
        let mut f = finding(entity, FindingKind::BackupUnusable, way, Severity::Critical, since, round.now);
        f.text.key = format!("{}.{way}", f.text.key);
        let path = seen.newest.as_deref().unwrap_or(&backup.glob);
        f.text = f.text.with("path", path).with("bytes", seen.size);
        let text = Text::new("evidence.backup_file")
            .with("path", path)
            .with("bytes", seen.size)
            .with("content", seen.content.map_or_else(|| "?".to_owned(), |c| c.to_string()));
        f.evidence.push(seen_at(seen.modified_at, text));
        if let Some(line) = &seen.refused_login {
            f.evidence.push(seen_at(seen.at, Text::new("evidence.job_refused").with("line", line)));
        }
        Some(f)
    });
    found.collect()
}

fn way(backup: &Backup, seen: &BackupSeen, now: TimestampMs) -> Option<&'static str> {
    if seen.newest.is_none() {
        return Some(NONE);
    }
    if seen.size < backup.min_size || seen.content == Some(0) {
        return Some(EMPTY);
    }
    backup.max_age.is_some_and(|age| now.since(seen.modified_at) > age).then_some(OLD)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::checks::testing::{World, backup};
    use wellkept_model::TimestampMs;
    use wellkept_model::observe::BackupSeen;

    fn keys(seen: BackupSeen) -> Vec<String> {
        let mut w = World::new(&[]);
        let declared =
            wellkept_model::keep::Backup { max_age: Some(Duration::from_secs(100)), ..backup("b") };
        w.keep.watched.backups.insert("b".into(), declared);
        w.seen.watched.backups.insert("b".into(), seen);
        w.findings().into_iter().map(|f| f.text.key).collect()
    }

    #[test]
    fn a_whole_and_fresh_file_is_a_backup() {
        let good = BackupSeen {
            newest: Some("/b/1".into()),
            size: 5000,
            content: Some(90_000),
            modified_at: TimestampMs(990_000),
            ..BackupSeen::default()
        };
        assert!(keys(good.clone()).is_empty());
        let small = BackupSeen { size: 20, ..good.clone() };
        assert_eq!(keys(small), ["finding.backup_unusable.empty"]);
        let hollow = BackupSeen { content: Some(0), ..good.clone() };
        assert_eq!(keys(hollow), ["finding.backup_unusable.empty"]);
        let old = BackupSeen { modified_at: TimestampMs(800_000), ..good.clone() };
        assert_eq!(keys(old), ["finding.backup_unusable.old"]);
        let none = BackupSeen { newest: None, ..good };
        assert_eq!(keys(none), ["finding.backup_unusable.none"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_says_nothing() {
        let seen = BackupSeen { problem: Some("denied".into()), ..BackupSeen::default() };
        assert!(keys(seen).is_empty());
    }
}
