//! A file system that should be mounted is not, or one became read-only.
//!
//! Neither is a full disk: there is room, and nothing can be freed. What uses it is a symptom.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The table of mounts says so.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let missing = s
        .of_kind(FindingKind::MountMissing)
        .map(|f| cause(&f.key.entity, CauseKind::MountMissing, "", SCORE, [f]));
    let read_only = s.of_kind(FindingKind::FilesystemReadOnly).map(|f| {
        let mut found = cause(&f.key.entity, CauseKind::DiskReadOnly, "", SCORE, [f]);
        let device = f.evidence.iter().find_map(|e| e.text.arg("device")).unwrap_or("-");
        found.detail = found.detail.with("device", device);
        found
    });
    missing.chain(read_only).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn with(kind: FindingKind) -> Case {
        let mut case = Case::new("app uses /data; app runs since 1; app unhealthy");
        Case::find(&mut case.situation, EntityId::filesystem("/data"), kind, "");
        case.again()
    }

    #[test]
    fn what_uses_it_is_a_symptom_and_the_disk_is_not_full() {
        for (kind, expected) in [
            (FindingKind::MountMissing, "filesystem:/data mount_missing"),
            (FindingKind::FilesystemReadOnly, "filesystem:/data disk_read_only"),
        ] {
            let case = with(kind);
            assert_eq!((case.first().as_str(), case.causes[0].explains.len()), (expected, 2));
            assert_eq!(case.causes[0].entity.component(), "host");
            assert!(!case.kinds().contains(&"disk_full".to_owned()));
        }
        assert_eq!(with(FindingKind::FilesystemFull).first(), "filesystem:/data disk_full");
    }

    #[test]
    fn a_file_system_without_inodes_is_not_full_of_bytes() {
        let case = Case::of(|s| {
            Case::find(s, EntityId::filesystem("/data"), FindingKind::FilesystemFull, "inodes");
        });
        assert_eq!(case.kinds(), ["inode_exhaustion"]);
    }
}
