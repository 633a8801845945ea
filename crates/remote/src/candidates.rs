//! What the declared rules of a file system would let go: the list before anything is removed.
//!
//! Only regular files with one name, directly in the directory that a rule names, on the file system itself. No link
//! is followed on the way, no other mount is entered, and nothing below a `never_touch` path is ever listed,
//! whatever name leads there.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat, StatxFlags, fstat, statat, statx};
use serde::Serialize;
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Filesystem, FreeSpaceRule};

use crate::place::{open_child, open_dir};

/// Most entries that are looked at in one directory.
const ENTRIES_MAX: usize = 200_000;
/// Most files that one action may remove.
const CANDIDATES_MAX: usize = 5_000;

/// One file that may go.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Candidate {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) bytes_on_disk: u64,
    pub(crate) uid: u32,
    pub(crate) modified_at: i64,
    #[serde(skip)]
    pub(crate) dir: usize,
    #[serde(skip)]
    pub(crate) name: OsString,
    #[serde(skip)]
    pub(crate) mark: Mark,
}

/// What a file must still be when it is removed: the same one, unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: i64,
    modified: (i64, u64),
}

impl Mark {
    /// The mark of a regular file with one name; `None` for anything else.
    pub(crate) fn of(stat: &Stat) -> Option<Self> {
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (regular && stat.st_nlink == 1).then_some(Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        })
    }
}

/// All candidates, oldest first, with the directories that hold them.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) files: Vec<Candidate>,
    pub(crate) dirs: Vec<OwnedFd>,
}

/// A rule that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    /// Its pattern is not one that we follow.
    #[error("use an absolute pattern below the mount point, with wildcards in its last part only")]
    Pattern,
    /// Anything that the system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for RuleError {
    fn from(e: rustix::io::Errno) -> Self {
        Self::Io(e.into())
    }
}

/// Lists the candidates of all rules. On an error, the rule's pattern is named with it.
pub(crate) fn list(
    filesystem: &Filesystem,
    mount: &OwnedFd,
    now: TimestampMs,
) -> Result<Candidates, (String, RuleError)> {
    let mut found = Candidates::default();
    let untouchable = Untouchable::of(filesystem).map_err(|e| (filesystem.mountpoint.clone(), e.into()))?;
    for rule in &filesystem.free_space {
        add(&mut found, rule, filesystem, mount, &untouchable, now).map_err(|e| (rule.glob.clone(), e))?;
    }
    found.files.sort_by(|a, b| (a.mark.modified, &a.path).cmp(&(b.mark.modified, &b.path)));
    found.files.dedup_by(|a, b| (a.mark.dev, a.mark.ino) == (b.mark.dev, b.mark.ino));
    found.files.truncate(CANDIDATES_MAX);
    Ok(found)
}

fn add(
    found: &mut Candidates,
    rule: &FreeSpaceRule,
    filesystem: &Filesystem,
    mount: &OwnedFd,
    untouchable: &Untouchable,
    now: TimestampMs,
) -> Result<(), RuleError> {
    let (parent, pattern) = split(&rule.glob, &filesystem.mountpoint)?;
    if untouchable.holds_path(&parent) {
        return Ok(());
    }
    let Some(dir) = open_below(&filesystem.mountpoint, mount, &parent, untouchable)? else { return Ok(()) };
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let index = found.dirs.len();
    for entry in rustix::fs::Dir::read_from(&dir)?.take(ENTRIES_MAX) {
        let entry = entry?;
        // A name that is no UTF-8 cannot be written in the list that a person reads; it stays.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if !pattern.matches_with(name, options) {
            continue;
        }
        let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(e) => return Err(e.into()),
        };
        let path = parent.join(name);
        let Some(mark) = Mark::of(&stat) else { continue };
        let age = now.since(TimestampMs(stat.st_mtime.saturating_mul(1000)));
        let stays = mark.dev != fstat(mount)?.st_dev
            || rule.older_than.is_some_and(|least| age < least)
            || untouchable.holds_path(&path)
            || untouchable.ids.contains(&(mark.dev, mark.ino));
        if stays {
            continue;
        }
        found.files.push(Candidate {
            path: path.to_string_lossy().into_owned(),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            bytes_on_disk: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            uid: stat.st_uid,
            modified_at: stat.st_mtime.saturating_mul(1000),
            dir: index,
            name: OsString::from(name),
            mark,
        });
    }
    found.dirs.push(dir);
    Ok(())
}

/// The directory and the pattern of a rule. Checked again here, because here it matters.
fn split(rule: &str, mountpoint: &str) -> Result<(PathBuf, glob::Pattern), RuleError> {
    let (parent, last) = rule.rsplit_once('/').ok_or(RuleError::Pattern)?;
    let parent = Path::new(if parent.is_empty() { "/" } else { parent });
    let plain = parent.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let literal = !parent.to_string_lossy().contains(['*', '?', '[']);
    if last.is_empty() || !parent.is_absolute() || !plain || !literal || !parent.starts_with(mountpoint) {
        return Err(RuleError::Pattern);
    }
    Ok((parent.to_owned(), glob::Pattern::new(last).map_err(|_| RuleError::Pattern)?))
}

/// Walks from the mount point to `parent`; `None` when it is not there or must not be touched.
fn open_below(
    mountpoint: &str,
    mount: &OwnedFd,
    parent: &Path,
    untouchable: &Untouchable,
) -> Result<Option<OwnedFd>, RuleError> {
    let home = mount_of(mount)?;
    let mut dir = mount.try_clone()?;
    for part in parent.strip_prefix(mountpoint).map_err(|_| RuleError::Pattern)?.iter() {
        dir = match open_child(dir.as_fd(), part) {
            Ok(child) => child,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let stat = fstat(&dir)?;
        if mount_of(&dir)? != home {
            return Err(io::Error::from(rustix::io::Errno::XDEV).into());
        }
        if untouchable.ids.contains(&(stat.st_dev, stat.st_ino)) {
            return Ok(None);
        }
    }
    Ok(Some(dir))
}

/// Device and mount of a directory. A kernel before 5.8 does not tell the mount; there the device alone counts.
fn mount_of(dir: &OwnedFd) -> io::Result<(u64, Option<u64>)> {
    let dev = fstat(dir)?.st_dev;
    let told = statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    let id = told.ok().filter(|s| s.stx_mask & StatxFlags::MNT_ID.bits() != 0).map(|s| s.stx_mnt_id);
    Ok((dev, id))
}

/// Opens the root of a file system without following a link.
pub(crate) fn open_mount(filesystem: &Filesystem) -> io::Result<OwnedFd> {
    open_dir(Path::new(&filesystem.mountpoint))
}

/// What is never touched, by path and by what the path leads to.
struct Untouchable {
    paths: Vec<PathBuf>,
    ids: Vec<(u64, u64)>,
}

impl Untouchable {
    fn of(filesystem: &Filesystem) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let mut this = Self { paths: filesystem.never_touch.clone(), ids: Vec::new() };
        for path in &filesystem.never_touch {
            match std::fs::metadata(path) {
                Ok(meta) => this.ids.push((meta.dev(), meta.ino())),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
            // The path may be a link: where it leads must not be touched by its other name either.
            this.paths.push(std::fs::canonicalize(path)?);
        }
        Ok(this)
    }

    fn holds_path(&self, path: &Path) -> bool {
        self.paths.iter().any(|never| path.starts_with(never))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_could_lead_elsewhere_is_refused() {
        for rule in [
            "tmp/x-*",
            "/data",
            "/data/",
            "/other/x-*",
            "/data/../etc/x-*",
            "/data/*/x",
            "/data/t?p/x",
            "/data2/x-*",
            "/data/[ab]/x",
            "/data/x-[",
        ] {
            assert!(matches!(split(rule, "/data"), Err(RuleError::Pattern)), "{rule}");
        }
        let (parent, pattern) = split("/data/tmp/export-*.bin", "/data").expect("good");
        assert_eq!(parent, Path::new("/data/tmp"));
        assert!(pattern.matches("export-1.bin") && !pattern.matches("export-1.bin.old"));
        split("/x-*", "/").expect("the root");
    }
}
