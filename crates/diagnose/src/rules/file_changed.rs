//! A kept file was changed without a record, and the service is well (so far).

use wellkept_model::{Cause, CauseKind, EntityId, EntityKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Nothing is broken; it still needs somebody's eyes.
const SCORE: f64 = 0.6;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let changed = s.of_kind(FindingKind::FileChanged).filter_map(|finding| {
        let service = &finding.key.entity;
        if s.about(service).any(|f| is_illness(f.key.kind)) {
            return None;
        }
        let path = &finding.key.subject;
        s.file_changes.iter().find(|c| c.path == *path && c.now_sha256.is_some())?;
        let entity = EntityId::new(EntityKind::File, path);
        let mut found = cause(&entity, CauseKind::UnauthorisedFileChange, path, SCORE, [finding]);
        found.detail = found.detail.with("path", path).with("service", &service.name);
        Some(found)
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::Case;

    #[test]
    fn a_change_without_record_and_without_harm_is_an_offence_to_look_at() {
        let case = Case::new("app runs since 10; app changed at 100");
        assert_eq!(case.first(), "file:/srv/app/env unauthorised_file_change");
        assert_ne!(case.causes[0].entity, EntityId::service("app"));
    }
}
