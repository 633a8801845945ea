//! A service sees another time than the host. The host's clock is what everything else on it agrees with, so it is the
//! service that is off: by its settings (a changed kept file says which), or by how it was started.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// It was measured.
const SCORE: f64 = 0.97;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let off = s.of_kind(FindingKind::ClockOff).map(|finding| {
        let entity = &finding.key.entity;
        let changes = s.file_changes.iter().filter(|c| c.service == entity.name && c.now_sha256.is_some());
        let changed = changes.max_by_key(|c| c.at);
        let path = changed.map_or("", |c| c.path.as_str());
        let speaks = s.about(entity).filter(|f| {
            f.key == finding.key
                || is_illness(f.key.kind)
                || f.key.kind == FindingKind::FileChanged && f.key.subject == path
        });
        let mut found = cause(entity, CauseKind::ClockSkew, path, SCORE, speaks);
        let seconds = s.seen.watched.clocks.get(&entity.name).map_or(0, |c| c.offset_ms / 1000);
        found.detail =
            found.detail.with("seconds", seconds).with("path", if path.is_empty() { "-" } else { path });
        found
    });
    off.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn the_changed_settings_are_named_and_explained_with_it() {
        let mut case = Case::new("app runs since 101; app changed at 100; app unhealthy");
        Case::find(&mut case.situation, EntityId::service("app"), FindingKind::ClockOff, "");
        let case = case.again();
        assert_eq!(case.first(), "service:app clock_skew");
        assert_eq!((case.causes[0].subject.as_str(), case.causes[0].explains.len()), ("/srv/app/env", 3));
    }

    #[test]
    fn without_a_change_it_is_how_it_was_started() {
        let case = Case::of(|s| Case::find(s, EntityId::service("app"), FindingKind::ClockOff, ""));
        assert_eq!((case.first().as_str(), case.causes[0].subject.as_str()), ("service:app clock_skew", ""));
    }
}
