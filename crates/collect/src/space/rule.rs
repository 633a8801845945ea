//! What a `free_space` rule matches.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType};
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Filesystem, FreeSpaceRule};

use super::glob;
use super::open_files;
use super::way::{Protected, Step, open_chain};

/// Most files that are considered of one file system. What is beyond stays; the result says so.
pub const CANDIDATES_MAX: usize = 100_000;

/// A file that a rule matches.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Number of the rule in the keep file, from 0.
    pub rule: usize,
    /// The whole path.
    pub path: PathBuf,
    /// Its directory, opened without following any symbolic link: remove `name` in here, not `path`.
    pub directory: Arc<OwnedFd>,
    /// Its name in the directory.
    pub name: OsString,
    /// Device.
    pub dev: u64,
    /// Inode; together with `dev` the identity to compare again just before removing.
    pub ino: u64,
    /// Bytes that removing it gives back: 0 while it has another name elsewhere.
    pub blocks_bytes: u64,
    /// Owner.
    pub uid: u32,
    /// Modification time.
    pub modified_at: TimestampMs,
    /// True when a process has it open, or when that cannot be ruled out. It stays.
    pub open: bool,
}

/// What the rules of one file system match.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// In order of rule and name; a file that several rules match belongs to the first one.
    pub files: Vec<Candidate>,
    /// True when a bound was hit, or a directory that a rule names could not be read.
    pub incomplete: bool,
}

/// A file system whose rules cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// The mount point itself cannot be opened without following symbolic links.
    #[error(
        "failed to open mount point {mountpoint}; it must be a directory, with no symbolic link on the way"
    )]
    Mountpoint {
        /// As the keep file names it.
        mountpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path that must never be touched cannot be looked at, so nothing can be shown to lie outside it.
    #[error("failed to look at {path}, which must never be touched; nothing is removed until that works")]
    NeverTouch {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A pattern that is not absolute, leaves its place, or has wildcards before the last part.
    #[error("`{glob}` must be an absolute path without `..`, with wildcards in its last part only")]
    Pattern {
        /// The pattern.
        glob: String,
    },
}

/// Everything that the rules of `fs` match now, open files included (marked). Removes nothing.
///
/// # Errors
/// [`SpaceError`] when the mount point, a rule or a protected path makes a safe answer impossible. A rule's directory
/// that does not exist matches nothing.
pub fn candidates(fs: &Filesystem, now: TimestampMs) -> Result<Matches, SpaceError> {
    candidates_with(fs, now, Path::new("/proc"))
}

/// As [`candidates`], with the processes of another /proc.
pub(super) fn candidates_with(fs: &Filesystem, now: TimestampMs, proc: &Path) -> Result<Matches, SpaceError> {
    let mountpoint = Path::new(&fs.mountpoint);
    let root_error = |source| SpaceError::Mountpoint { mountpoint: fs.mountpoint.clone(), source };
    let chain = open_chain(mountpoint).map_err(root_error)?;
    let device = chain.last().map_or(0, |d| d.stat.st_dev);
    let protected = Protected::new(&fs.never_touch)?;
    let mut matches = Matches::default();
    let mut seen = HashSet::new();
    for (nth, rule) in fs.free_space.iter().enumerate() {
        let (directory, pattern) = split(&rule.glob)?;
        if !directory.starts_with(mountpoint) {
            continue;
        }
        let chain = match open_chain(&directory) {
            Ok(chain) => chain,
            Err(e) => {
                matches.incomplete |= e.kind() != io::ErrorKind::NotFound;
                continue;
            }
        };
        let crosses = chain.last().is_none_or(|d| d.stat.st_dev != device);
        if crosses || protected.covers(&directory, &chain) {
            continue;
        }
        let scan =
            Scan { nth, rule, directory: &directory, pattern: &pattern, device, now, protected: &protected };
        matches.incomplete |= !scan.collect(chain, &mut seen, &mut matches.files);
    }
    mark_open(proc, &mut matches.files);
    Ok(matches)
}

/// Directory and pattern for the names in it.
fn split(glob: &str) -> Result<(PathBuf, Vec<u8>), SpaceError> {
    let refuse = || SpaceError::Pattern { glob: glob.to_owned() };
    let (directory, pattern) = glob.rsplit_once('/').ok_or_else(refuse)?;
    let directory = Path::new(if directory.is_empty() { "/" } else { directory });
    let is_plain = directory.is_absolute()
        && directory.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && !directory.as_os_str().as_bytes().iter().any(|b| matches!(b, b'*' | b'?' | b'['));
    if !is_plain || pattern.is_empty() || pattern == "." || pattern == ".." {
        return Err(refuse());
    }
    Ok((directory.components().collect(), pattern.as_bytes().to_vec()))
}

/// One rule in its directory.
struct Scan<'a> {
    nth: usize,
    rule: &'a FreeSpaceRule,
    directory: &'a Path,
    pattern: &'a [u8],
    device: u64,
    now: TimestampMs,
    protected: &'a Protected,
}

impl Scan<'_> {
    /// Adds what matches, sorted by name. False when not everything could be looked at.
    fn collect(&self, chain: Vec<Step>, seen: &mut HashSet<(u64, u64)>, out: &mut Vec<Candidate>) -> bool {
        let Some(Step { fd, .. }) = chain.into_iter().next_back() else { return false };
        let directory = Arc::new(fd);
        let Ok(entries) = Dir::read_from(&directory) else { return false };
        let mut complete = true;
        let first = out.len();
        for entry in entries {
            let Ok(entry) = entry else {
                complete = false;
                break;
            };
            let name = entry.file_name().to_bytes();
            if !glob::matches(self.pattern, name) {
                continue;
            }
            if out.len() >= CANDIDATES_MAX {
                complete = false;
                break;
            }
            let name = OsString::from_vec(name.to_vec());
            if let Some(candidate) = self.candidate(&directory, name)
                && seen.insert((candidate.dev, candidate.ino))
            {
                out.push(candidate);
            }
        }
        if let Some(new) = out.get_mut(first..) {
            new.sort_by(|a, b| a.name.cmp(&b.name));
        }
        complete
    }

    fn candidate(&self, directory: &Arc<OwnedFd>, name: OsString) -> Option<Candidate> {
        let stat =
            rustix::fs::statat(directory, name.as_os_str() as &OsStr, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let path = self.directory.join(&name);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || stat.st_dev != self.device || self.protected.covers_file(&path, &stat) {
            return None;
        }
        let modified_at =
            TimestampMs(stat.st_mtime.saturating_mul(1000) + stat.st_mtime_nsec as i64 / 1_000_000);
        if self.rule.older_than.is_some_and(|age| self.now.since(modified_at) < age) {
            return None;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        Some(Candidate {
            rule: self.nth,
            path,
            directory: Arc::clone(directory),
            name,
            dev: stat.st_dev,
            ino: stat.st_ino,
            blocks_bytes: if stat.st_nlink > 1 { 0 } else { blocks },
            uid: stat.st_uid,
            modified_at,
            open: true,
        })
    }
}

fn mark_open(proc: &Path, files: &mut [Candidate]) {
    let wanted = files.iter().map(|c| (c.dev, c.ino)).collect();
    let found = open_files::among(proc, &wanted);
    for file in files {
        file.open = !found.proven || found.open.contains(&(file.dev, file.ino));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    struct World {
        dir: tempfile::TempDir,
        fs: Filesystem,
    }

    impl World {
        fn new(patterns: &[&str]) -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let root = dir.path().to_string_lossy().into_owned();
            let rule =
                |p: &&str| FreeSpaceRule { glob: format!("{root}/{p}"), unless_open: true, older_than: None };
            let free_space = patterns.iter().map(rule).collect();
            let fs = Filesystem { mountpoint: root, full_at: 0.9, free_space, ..Filesystem::default() };
            Self { dir, fs }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn file(&self, name: &str) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(&path, vec![1; 10_000]).expect("it can be written");
            path
        }

        fn names(&self) -> Vec<String> {
            let found = candidates(&self.fs, crate::clock::wall()).expect("rules that can be followed");
            found.files.iter().map(|c| c.name.to_string_lossy().into_owned()).collect()
        }
    }

    #[test]
    fn only_regular_files_that_match_are_found() {
        let world = World::new(&["tmp/*.bin"]);
        world.file("tmp/a.bin");
        world.file("tmp/b.bin");
        world.file("tmp/b.txt");
        world.file("tmp/deep/c.bin");
        fs::create_dir(world.path("tmp/d.bin")).expect("it can be made");
        symlink(world.file("keep/e.bin"), world.path("tmp/e.bin")).expect("a link can be made");
        assert_eq!(world.names(), ["a.bin", "b.bin"]);
    }

    #[test]
    fn no_link_on_the_way_is_followed() {
        let world = World::new(&["tmp/*.bin", "gone/*.bin"]);
        world.file("uploads/precious.bin");
        symlink(world.path("uploads"), world.path("tmp")).expect("a link can be made");
        let found = candidates(&world.fs, crate::clock::wall()).expect("rules that can be followed");
        assert!(found.files.is_empty() && found.incomplete);
    }

    #[test]
    fn what_is_never_touched_is_protected_by_name_and_by_identity() {
        let mut world = World::new(&["tmp/*.bin", "tmp/uploads/*.bin"]);
        world.file("tmp/a.bin");
        world.file("tmp/uploads/precious.bin");
        world.fs.never_touch = vec![world.path("tmp/uploads")];
        assert_eq!(world.names(), ["a.bin"]);
        // The protected path is a link to the very directory that a rule names.
        symlink(world.path("tmp"), world.path("alias")).expect("a link can be made");
        world.fs.never_touch = vec![world.path("alias")];
        assert_eq!(world.names(), [""; 0]);
        world.fs.never_touch = vec![world.path("tmp/a.bin")];
        assert_eq!(world.names(), ["precious.bin"]);
        world.fs.never_touch = vec![world.path("not/there/yet")];
        assert_eq!(world.names().len(), 2);
    }

    #[test]
    fn open_files_are_marked() {
        let world = World::new(&["tmp/*.bin"]);
        let path = world.file("tmp/open.bin");
        world.file("tmp/closed.bin");
        let proc = world.path("proc");
        fs::create_dir_all(proc.join("42/fd")).expect("it can be made");
        symlink(path, proc.join("42/fd/3")).expect("a link can be made");
        let marked = |proc: &Path| -> Vec<(String, bool)> {
            let found =
                candidates_with(&world.fs, crate::clock::wall(), proc).expect("rules that can be followed");
            found.files.iter().map(|c| (c.name.to_string_lossy().into_owned(), c.open)).collect()
        };
        assert_eq!(marked(&proc), [("closed.bin".to_owned(), false), ("open.bin".to_owned(), true)]);
        assert!(marked(Path::new("/nonexistent")).iter().all(|(_, open)| *open), "nothing can be proven");
    }

    #[test]
    fn young_files_stay_where_a_rule_says_so() {
        let mut world = World::new(&["tmp/*.bin"]);
        let old = fs::File::create(world.file("tmp/old.bin")).expect("it can be written");
        old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000)).expect("it is ours");
        world.file("tmp/young.bin");
        world.fs.free_space[0].older_than = Some(Duration::from_secs(3600));
        assert_eq!(world.names(), ["old.bin"]);
    }

    #[test]
    fn a_file_with_a_second_name_gives_nothing_back() {
        let world = World::new(&["tmp/*.bin"]);
        fs::hard_link(world.file("tmp/a.bin"), world.path("other")).expect("a second name can be made");
        let found = candidates(&world.fs, crate::clock::wall()).expect("rules that can be followed");
        assert_eq!(found.files[0].blocks_bytes, 0);
    }

    #[test]
    fn a_file_belongs_to_the_first_rule_that_matches() {
        let world = World::new(&["tmp/a*", "tmp/*"]);
        world.file("tmp/a1");
        world.file("tmp/b1");
        let found = candidates(&world.fs, crate::clock::wall()).expect("rules that can be followed");
        assert_eq!(found.files.iter().map(|c| c.rule).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn patterns_that_could_wander_are_refused() {
        for bad in ["x", "/a/../b/*", "/a*/b", "/a/", "/a/..", "tmp/*"] {
            assert!(matches!(split(bad), Err(SpaceError::Pattern { .. })), "{bad}");
        }
        assert!(split("/data/tmp/x[ab]*.bin").is_ok());
    }

    #[test]
    fn rules_outside_the_mount_point_match_nothing() {
        let mut world = World::new(&[]);
        let other = World::new(&["tmp/*"]);
        other.file("tmp/x");
        world.fs.free_space = other.fs.free_space.clone();
        assert!(world.names().is_empty());
    }
}
