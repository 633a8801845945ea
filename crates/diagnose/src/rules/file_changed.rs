//! A kept file was changed without a record, and the service is well (so far); or a file of a release differs from
//! the release's manifest, which says for certain how it should be.

use wellkept_model::{Cause, CauseKind, EntityId, EntityKind, FileOrigin, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Nothing is broken; it still needs somebody's eyes.
const SCORE: f64 = 0.6;
/// The manifest is an authority.
const SCORE_MANIFEST: f64 = 0.92;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let changed = s.of_kind(FindingKind::FileChanged).filter_map(|finding| {
        let service = &finding.key.entity;
        let path = &finding.key.subject;
        let change = s.file_changes.iter().find(|c| c.path == *path && c.now_sha256.is_some())?;
        let certain = change.origin == FileOrigin::Release;
        let ill = s.about(service).any(|f| is_illness(f.key.kind));
        if ill && !certain {
            return None;
        }
        let entity = EntityId::new(EntityKind::File, path);
        let mut found = cause(
            &entity,
            CauseKind::UnauthorisedFileChange,
            path,
            if certain { SCORE_MANIFEST } else { SCORE },
            [finding],
        );
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
    fn a_file_that_differs_from_the_manifest_is_an_offence_also_when_the_service_is_ill() {
        let case = Case::new("app runs since 10; app unhealthy; a file of app differs from its manifest");
        assert_eq!(case.first(), "file:/srv/app/releases/1/a unauthorised_file_change");
    }

    #[test]
    fn a_change_without_record_and_without_harm_is_an_offence_to_look_at() {
        let case = Case::new("app runs since 10; app changed at 100");
        assert_eq!(case.first(), "file:/srv/app/env unauthorised_file_change");
        assert_ne!(case.causes[0].entity, EntityId::service("app"));
    }
}
