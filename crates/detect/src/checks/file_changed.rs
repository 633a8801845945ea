//! A kept file differs from its last good version and nobody recorded a change.

use std::time::Duration;

use wellkept_model::{EntityId, FileOrigin, FileVersionChange, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must last, milliseconds: tools write first and record just after.
const HOLD_MS: u64 = 1500;

/// A single file of a release that changes alone waits for nobody, milliseconds.
const MANIFEST_HOLD_MS: u64 = 700;

/// The same while a release is being made current: its files may still be on their way, milliseconds.
const RELEASE_HOLD_MS: u64 = 15_000;
/// How long after the switch that is.
const RELEASE_GRACE: Duration = Duration::from_secs(15);

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let unrecorded = round.file_changes.iter().filter(|c| c.recorded.is_none());
    unrecorded.map(|change| state(change, round)).collect()
}

fn state(change: &FileVersionChange, round: &Round<'_>) -> Finding {
    let entity = EntityId::service(&change.service);
    let mut f =
        finding(entity, FindingKind::FileChanged, &change.path, Severity::Warning, change.at, round.now);
    f.text = f.text.with("path", &change.path);
    f.hold_ms = match change.origin {
        FileOrigin::Release if just_released(change, round) => RELEASE_HOLD_MS,
        FileOrigin::Release => MANIFEST_HOLD_MS,
        FileOrigin::Kept => HOLD_MS,
    };
    f.evidence.push(seen_at(change.modified_at.unwrap_or(change.at), describe(change)));
    f
}

fn just_released(change: &FileVersionChange, round: &Round<'_>) -> bool {
    let release = round.seen.local.releases.get(&change.service);
    release.is_some_and(|r| round.now.since(r.since) <= RELEASE_GRACE)
}

/// What differs, by names of keys; values may be secrets and are never shown.
fn describe(change: &FileVersionChange) -> Text {
    let lists = [
        ("evidence.keys_removed", &change.keys_removed),
        ("evidence.keys_changed", &change.keys_changed),
        ("evidence.keys_added", &change.keys_added),
    ];
    if change.now_sha256.is_none() {
        return Text::new("evidence.file_missing").with("path", &change.path);
    }
    if change.only_metadata {
        return Text::new("evidence.file_metadata").with("path", &change.path);
    }
    let first = lists.into_iter().find(|(_, keys)| !keys.is_empty());
    let (key, keys) = first.map_or(("evidence.file_content", String::new()), |(k, v)| (k, v.join(", ")));
    Text::new(key).with("path", &change.path).with("keys", keys)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, changed};
    use wellkept_model::{ChangeId, FindingKind};

    #[test]
    fn a_recorded_change_is_no_finding() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.files = vec![changed("app", "/srv/env", None)];
        assert_eq!(w.kinds(), [FindingKind::FileChanged]);
        w.files = vec![changed("app", "/srv/env", Some(ChangeId("c7".into())))];
        assert!(w.kinds().is_empty());
    }
}
