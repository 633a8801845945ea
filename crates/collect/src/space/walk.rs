//! The biggest directories of a file system, by a walk with a bound.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::Budget;
use crate::clock;

/// How deep the walk goes; every level holds one descriptor open.
const DEPTH_MAX: usize = 64;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Directories directly below the root and their size on disk, biggest first.
    pub(super) biggest: Vec<(String, u64)>,
    pub(super) incomplete: bool,
}

/// Adds up sizes on disk below `root`, on its device only, following no link. Files with several names count for
/// each of them.
pub(super) fn biggest(root: &Path, budget: Budget) -> Walked {
    let mut walk =
        Walk { left: budget.entries, ends: clock::monotonic() + budget.time, device: 0, incomplete: false };
    let mut sizes: BTreeMap<OsString, u64> = BTreeMap::new();
    if walk.top(root, &mut sizes).is_err() {
        walk.incomplete = true;
    }
    let path = |name: &OsStr| root.join(name).to_string_lossy().into_owned();
    let mut biggest: Vec<(String, u64)> = sizes.iter().map(|(name, bytes)| (path(name), *bytes)).collect();
    biggest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Walked { biggest, incomplete: walk.incomplete }
}

struct Walk {
    left: usize,
    ends: std::time::Instant,
    device: u64,
    incomplete: bool,
}

/// An entry of a directory that counts: on our device, not a link.
enum Entry {
    Directory(OwnedFd, u64),
    Other(u64),
}

impl Walk {
    fn top(&mut self, root: &Path, sizes: &mut BTreeMap<OsString, u64>) -> io::Result<()> {
        let fd = rustix::fs::open(root, FLAGS, Mode::empty())?;
        self.device = rustix::fs::fstat(&fd)?.st_dev;
        for name in self.names(&fd) {
            if let Some(Entry::Directory(below, own)) = self.entry(&fd, &name) {
                let size = own.saturating_add(self.below(&below, 1));
                sizes.insert(name, size);
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn below(&mut self, fd: &OwnedFd, depth: usize) -> u64 {
        if depth >= DEPTH_MAX {
            self.incomplete = true;
            return 0;
        }
        let mut sum = 0_u64;
        for name in self.names(fd) {
            match self.entry(fd, &name) {
                Some(Entry::Directory(below, own)) => {
                    sum = sum.saturating_add(own).saturating_add(self.below(&below, depth + 1));
                }
                Some(Entry::Other(bytes)) => sum = sum.saturating_add(bytes),
                None => {}
            }
            if self.is_over() {
                break;
            }
        }
        sum
    }

    fn is_over(&mut self) -> bool {
        let over = self.left == 0 || clock::monotonic() >= self.ends;
        self.incomplete |= over;
        over
    }

    /// Names in a directory, at most as many as the budget still allows to look at.
    fn names(&mut self, fd: &OwnedFd) -> Vec<OsString> {
        let Ok(dir) = Dir::read_from(fd) else {
            self.incomplete = true;
            return Vec::new();
        };
        let names = dir.flatten().map(|e| e.file_name().to_bytes().to_vec());
        names.filter(|n| n != b"." && n != b"..").take(self.left).map(OsString::from_vec).collect()
    }

    fn entry(&mut self, fd: &OwnedFd, name: &OsStr) -> Option<Entry> {
        self.left = self.left.saturating_sub(1);
        let stat = rustix::fs::statat(fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if stat.st_dev != self.device {
            return None;
        }
        let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Some(Entry::Other(bytes));
        }
        match rustix::fs::openat(fd.as_fd(), name, FLAGS, Mode::empty()) {
            Ok(below) => Some(Entry::Directory(below, bytes)),
            Err(_) => {
                self.incomplete = true;
                Some(Entry::Other(bytes))
            }
        }
    }
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (name, len) in [("small/a", 10_000), ("big/deep/b", 400_000), ("top", 900_000)] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, vec![1; len]).expect("it can be written");
        }
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).expect("a link can be made");
        dir
    }

    #[test]
    fn the_biggest_directory_comes_first_and_links_are_not_followed() {
        let dir = tree();
        let got = biggest(dir.path(), Budget::default());
        let names: Vec<&str> = got.biggest.iter().filter_map(|(n, _)| n.rsplit('/').next()).collect();
        assert_eq!(names, ["big", "small"]);
        assert!(got.biggest[0].1 >= 400_000 && !got.incomplete);
    }

    #[test]
    fn a_walk_that_stops_at_its_bound_says_so() {
        let dir = tree();
        assert!(biggest(dir.path(), Budget { entries: 2, time: Duration::from_secs(60) }).incomplete);
        assert!(biggest(dir.path(), Budget { entries: 1000, time: Duration::ZERO }).incomplete);
        assert!(biggest(Path::new("/nonexistent"), Budget::default()).incomplete);
    }
}
