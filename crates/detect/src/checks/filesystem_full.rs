//! A file system has (nearly) no space or inodes left.
//!
//! Used space is counted as `df` does: what root alone may use is not available. A finding ends a little below
//! where it began, so that a value on the border does not flap.

use std::collections::BTreeSet;

use wellkept_model::keep::{FULL_AT_DEFAULT, Keep};
use wellkept_model::observe::FilesystemSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::Round;

/// How far use must fall below the limit to end the finding.
const HYSTERESIS: f64 = 0.02;
/// Share of used inodes that counts as full.
const INODES_FULL_AT: f64 = 0.98;
/// How long it must last, milliseconds: scratch files come and go.
const HOLD_MS: u64 = 900;

/// Subject of a finding about inodes.
pub(crate) const INODES: &str = "inodes";

/// Remembers which file systems are full, for the hysteresis.
#[derive(Debug, Default)]
pub(crate) struct Full {
    full: BTreeSet<(String, &'static str)>,
}

impl Full {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for fs in round.seen.filesystems.iter().filter(|fs| !fs.read_only && fs.size_bytes > 0) {
            let limit = keep.filesystems.get(&fs.mountpoint).map_or(FULL_AT_DEFAULT, |f| f.full_at);
            for (subject, used, limit) in
                [("", used_share(fs), limit), (INODES, used_inodes(fs), INODES_FULL_AT)]
            {
                if self.is_full(&fs.mountpoint, subject, used, limit) {
                    found.push(state(fs, subject, used, round));
                }
            }
        }
        found
    }

    fn is_full(&mut self, mountpoint: &str, subject: &'static str, used: f64, limit: f64) -> bool {
        let key = (mountpoint.to_owned(), subject);
        let limit = if self.full.contains(&key) { limit - HYSTERESIS } else { limit };
        if used >= limit {
            self.full.insert(key);
            return true;
        }
        self.full.remove(&key);
        false
    }
}

fn state(fs: &FilesystemSeen, subject: &str, used: f64, round: &Round<'_>) -> Finding {
    let entity = EntityId::filesystem(&fs.mountpoint);
    let mut f =
        finding(entity, FindingKind::FilesystemFull, subject, Severity::Critical, round.now, round.now);
    let what = if subject == INODES { "inodes" } else { "space" };
    f.text =
        Text::new(&format!("finding.filesystem_full.{what}")).with("name", &fs.mountpoint).with("used", used);
    f.hold_ms = HOLD_MS;
    let metric = if subject == INODES { "node_filesystem_files_free" } else { "node_filesystem_avail_bytes" };
    f.evidence.push(seen_in(
        round.now,
        Text::new(&format!("evidence.filesystem_full.{what}"))
            .with("avail", fs.avail_bytes)
            .with("size", fs.size_bytes)
            .with("free", fs.files_free)
            .with("files", fs.files),
        format!("{metric}{{mountpoint={:?}}}", fs.mountpoint),
    ));
    f
}

/// Share of used space as `df` shows it, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "sizes below 2^53 bytes are exact; above, 1 part in 10^15")]
pub(crate) fn used_share(fs: &FilesystemSeen) -> f64 {
    let used = fs.size_bytes.saturating_sub(fs.free_bytes) as f64;
    let all = used + fs.avail_bytes as f64;
    if all > 0.0 { used / all } else { 1.0 }
}

#[expect(clippy::cast_precision_loss, reason = "inode counts stay below 2^53")]
fn used_inodes(fs: &FilesystemSeen) -> f64 {
    if fs.files == 0 { 0.0 } else { 1.0 - fs.files_free as f64 / fs.files as f64 }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    #[test]
    fn full_begins_at_the_limit_and_ends_below_it() {
        let mut w = World::new(&[]);
        for (avail, full) in [(10, false), (5, true), (6, true), (8, false), (6, false)] {
            w.filesystem("/data", 100, avail);
            assert_eq!(w.kinds() == [FindingKind::FilesystemFull], full, "avail {avail}");
        }
    }

    #[test]
    fn inodes_run_out_on_their_own() {
        let mut w = World::new(&[]);
        w.filesystem("/data", 100, 90);
        (w.seen.filesystems[0].files, w.seen.filesystems[0].files_free) = (1000, 3);
        assert_eq!(w.findings()[0].key.subject, "inodes");
    }

    #[test]
    fn a_file_system_without_a_fixed_number_of_inodes_never_runs_out_of_them() {
        let mut w = World::new(&[]);
        w.filesystem("/data", 100, 90);
        (w.seen.filesystems[0].files, w.seen.filesystems[0].files_free) = (0, 0);
        assert!(w.kinds().is_empty());
    }
}
