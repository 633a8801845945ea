//! A declared file system is not mounted, or one that was writable is read-only.

use std::collections::BTreeSet;

use wellkept_model::keep::{Keep, Mounted};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must be gone, milliseconds: a mount may be made anew.
const GONE_HOLD_MS: u64 = 3_000;
/// The kernel makes it read-only at once, and does not take that back.
const READ_ONLY_HOLD_MS: u64 = 1_000;

/// Remembers which file systems were writable.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    writable: BTreeSet<String>,
}

impl Mounts {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mut read_only: Vec<(&str, &str, &str)> = Vec::new();
        for fs in &round.seen.filesystems {
            if !fs.read_only {
                self.writable.insert(fs.mountpoint.clone());
            } else if self.writable.contains(&fs.mountpoint) {
                read_only.push((&fs.mountpoint, &fs.device, &fs.fstype));
            }
        }
        let mut found = Vec::new();
        for (mountpoint, mount) in round.seen.local.mounts.iter().flatten() {
            let Some(mounted) = keep.filesystems.get(mountpoint).and_then(|f| f.mounted) else { continue };
            match mount {
                None => found.push(missing(mountpoint, round)),
                Some(m) if m.read_only && mounted == Mounted::Writable => {
                    read_only.retain(|(known, ..)| known != mountpoint);
                    read_only.push((mountpoint, &m.device, &m.fstype));
                }
                Some(_) => {}
            }
        }
        found.extend(read_only.into_iter().map(|of| is_read_only(of, round)));
        found
    }
}

fn missing(mountpoint: &str, round: &Round<'_>) -> Finding {
    let entity = EntityId::filesystem(mountpoint);
    let mut f = finding(entity, FindingKind::MountMissing, "", Severity::Critical, round.now, round.now);
    f.hold_ms = GONE_HOLD_MS;
    f.evidence.push(seen_at(round.now, Text::new("evidence.mount_missing")));
    f
}

fn is_read_only((mountpoint, device, fstype): (&str, &str, &str), round: &Round<'_>) -> Finding {
    let entity = EntityId::filesystem(mountpoint);
    let mut f =
        finding(entity, FindingKind::FilesystemReadOnly, "", Severity::Critical, round.now, round.now);
    f.hold_ms = READ_ONLY_HOLD_MS;
    let text = Text::new("evidence.filesystem_read_only").with("device", device).with("fstype", fstype);
    f.evidence.push(seen_at(round.now, text));
    f
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::keep::{Filesystem, Mounted};
    use wellkept_model::observe::MountSeen;

    fn read_only(w: &mut World, yes: bool) -> Vec<FindingKind> {
        w.filesystem("/data", 100, 50);
        w.seen.filesystems[0].read_only = yes;
        w.kinds()
    }

    #[test]
    fn one_that_turns_read_only_is_ill_and_one_that_always_was_is_not() {
        let mut w = World::new(&[]);
        assert!(read_only(&mut w, true).is_empty());
        assert!(read_only(&mut w, false).is_empty());
        assert_eq!(read_only(&mut w, true), [FindingKind::FilesystemReadOnly]);
        assert!(read_only(&mut w, false).is_empty());
    }

    fn declared(mounted: Mounted, mount: Option<bool>) -> Vec<FindingKind> {
        let mut w = World::new(&[]);
        let fs = Filesystem { mountpoint: "/nfs".into(), mounted: Some(mounted), ..Filesystem::default() };
        w.keep.filesystems.insert("/nfs".into(), fs);
        let seen = mount.map(|read_only| MountSeen { read_only, ..MountSeen::default() });
        w.seen.local.mounts = Some([("/nfs".to_owned(), seen)].into());
        w.kinds()
    }

    #[test]
    fn what_is_declared_holds_from_the_first_round_on() {
        assert_eq!(declared(Mounted::Anyhow, None), [FindingKind::MountMissing]);
        assert!(declared(Mounted::Anyhow, Some(true)).is_empty());
        assert_eq!(declared(Mounted::Writable, Some(true)), [FindingKind::FilesystemReadOnly]);
        assert!(declared(Mounted::Writable, Some(false)).is_empty());
    }
}
