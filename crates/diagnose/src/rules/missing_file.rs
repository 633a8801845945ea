//! A file that belongs to the service is absent.

use wellkept_model::{Cause, CauseKind, EntityId, FileOrigin, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// An absent file is a fact and not a guess.
const SCORE: f64 = 0.92;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    // A file of a release that its deployment took away is on its way out.
    let missing = s
        .file_changes
        .iter()
        .filter(|c| c.now_sha256.is_none() && (c.origin == FileOrigin::Kept || c.recorded.is_none()));
    let causes = missing.filter_map(|change| {
        let entity = EntityId::service(&change.service);
        let speaks = s.about(&entity).filter(|f| {
            is_illness(f.key.kind)
                || f.key.kind == FindingKind::HealthUnsteady
                || f.key.kind == FindingKind::FileChanged && f.key.subject == change.path
        });
        let mut found = cause(&entity, CauseKind::MissingFile, &change.path, SCORE, speaks);
        found.detail = found.detail.with("path", &change.path);
        (!found.explains.is_empty()).then_some(found)
    });
    causes.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::check;

    #[test]
    fn a_kept_file_that_is_gone_is_named_also_when_nothing_else_is_wrong() {
        check("app runs since 10; app lost its file at 100", "service:app missing_file 0.92");
    }
}
