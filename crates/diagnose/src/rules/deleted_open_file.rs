//! A deleted file still takes space because a process holds it open.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The kernel says so.
const SCORE: f64 = 0.93;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let deleted = s.of_kind(FindingKind::DeletedOpen).map(|finding| {
        let path = &finding.key.subject;
        let seen = s.seen.local.deleted.iter().find(|d| d.path == *path);
        // A file system that this file fills is full because of it.
        let full = s.findings.iter().filter(|f| {
            matches!(f.key.kind, FindingKind::FilesystemFull | FindingKind::FilesystemFilling)
                && seen.is_some_and(|d| d.mountpoint == f.key.entity.name)
        });
        let speaks = std::iter::once(finding).chain(full);
        let mut found = cause(&finding.key.entity, CauseKind::DeletedOpenFile, path, SCORE, speaks);
        found.detail = found.detail.with("path", path).with("bytes", seen.map_or(0, |d| d.bytes));
        found
    });
    deleted.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;

    #[test]
    fn the_service_that_holds_it_is_named_with_the_path() {
        let case = Case::new("app uses /var/log; app runs since 1; app holds deleted /var/log/app.log");
        assert_eq!(case.first(), "service:app deleted_open_file");
        assert_eq!(case.causes[0].subject, "/var/log/app.log");
    }
}
