//! The cache cannot write its content to disk. A file system that is full below it is why; without one a person must look.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The server says so itself.
const SCORE: f64 = 0.9;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let failing = s.of_kind(FindingKind::PersistenceFailing).map(|finding| {
        let entity = &finding.key.entity;
        let mut found = cause(entity, CauseKind::PersistenceFailed, "", SCORE, [finding]);
        let seen = s.seen.watched.caches.get(&entity.name);
        found.detail = found.detail.with("what", seen.map_or("", |c| c.unsaved_what.as_str()));
        found
    });
    failing.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn first(words: &str) -> String {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("cache"), FindingKind::PersistenceFailing, "");
        case.again().first()
    }

    #[test]
    fn a_full_disk_below_it_is_the_root() {
        assert_eq!(first("cache runs since 1"), "service:cache persistence_failed");
        let full = "cache runs since 1; cache uses /data; /data full by /data/x-* of b";
        assert_eq!(first(full), "filesystem:/data disk_full");
    }
}
