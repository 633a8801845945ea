//! A service writes to a file that was deleted: the space stays taken, and what it writes is lost.

use wellkept_model::local::DeletedOpenSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Share of its file system from which such a file counts.
const SHARE: f64 = 0.05;
/// Where the file system's size is not known, the file counts from this size on, bytes.
const BYTES: u64 = 100 << 20;
/// How long it must last, milliseconds: rotation deletes first and has the service reopen then.
const HOLD_MS: u64 = 2500;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    round.seen.local.deleted.iter().filter(|d| counts(d, round)).map(|d| state(d, round)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share of sizes")]
fn counts(deleted: &DeletedOpenSeen, round: &Round<'_>) -> bool {
    let size =
        round.seen.filesystems.iter().find(|f| f.mountpoint == deleted.mountpoint).map(|f| f.size_bytes);
    match size {
        Some(size) if size > 0 => deleted.bytes as f64 / size as f64 >= SHARE,
        _ => deleted.bytes >= BYTES,
    }
}

fn state(deleted: &DeletedOpenSeen, round: &Round<'_>) -> Finding {
    let entity = EntityId::service(&deleted.service);
    let mut f =
        finding(entity, FindingKind::DeletedOpen, &deleted.path, Severity::Warning, round.now, round.now);
    f.text = f.text.with("path", &deleted.path).with("bytes", deleted.bytes);
    f.hold_ms = HOLD_MS;
    let text = Text::new("evidence.deleted_open")
        .with("path", &deleted.path)
        .with("pid", deleted.pid)
        .with("fd", deleted.fd)
        .with("bytes", deleted.bytes);
    f.evidence.push(seen_at(round.now, text));
    f
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::local::DeletedOpenSeen;

    #[test]
    fn it_counts_by_its_share_of_the_file_system() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.filesystem("/var/log", 64 << 20, 40 << 20);
        for (bytes, expected) in [(1 << 20, false), (40 << 20, true)] {
            w.seen.local.deleted = vec![DeletedOpenSeen {
                service: "app".to_owned(),
                pid: 1,
                fd: 3,
                path: "/var/log/app.log".to_owned(),
                bytes,
                mountpoint: "/var/log".to_owned(),
            }];
            assert_eq!(w.kinds() == [FindingKind::DeletedOpen], expected, "{bytes}");
        }
    }
}
