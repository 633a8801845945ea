//! Which files any process has open.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev};

/// Descriptors that are looked at in one go; more than that is not provable in reasonable time.
const FDS_MAX: usize = 4_000_000;

/// Answers for one set of files.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// Device and inode of those among the wanted ones that are open.
    pub(super) open: HashSet<(u64, u64)>,
    /// False when some process did not show its files, so that anything may be open.
    pub(super) proven: bool,
}

/// Which of `wanted` (device and inode) are open in any process below `proc`, or are the program of one.
pub(super) fn among(proc: &Path, wanted: &HashSet<(u64, u64)>) -> OpenFiles {
    let mut result = OpenFiles { open: HashSet::new(), proven: true };
    if wanted.is_empty() {
        return result;
    }
    let Ok(processes) = fs::read_dir(proc) else {
        result.proven = false;
        return result;
    };
    let mut left = FDS_MAX;
    for entry in processes.flatten() {
        let is_process = entry.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !is_process {
            continue;
        }
        let dir = entry.path();
        let fds = match fs::read_dir(dir.join("fd")) {
            Ok(fds) => fds,
            // It ended while we looked: it has nothing open.
            Err(e) if has_ended(&e) => continue,
            Err(_) => {
                result.proven = false;
                continue;
            }
        };
        let links = fds.flatten().map(|fd| fd.path()).chain([dir.join("exe")]);
        for link in links {
            left = left.saturating_sub(1);
            match identity(&link) {
                Ok(id) if wanted.contains(&id) => {
                    result.open.insert(id);
                }
                Err(e) if !has_ended(&e) => result.proven = false,
                _ => {}
            }
        }
        if left == 0 {
            result.proven = false;
            break;
        }
    }
    result
}

/// Device and inode of what a link leads to, from memory: a file on a dead network server must not hold us up.
fn identity(link: &Path) -> io::Result<(u64, u64)> {
    let flags = AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(CWD, link, flags, StatxFlags::INO)?;
    Ok((makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
}

fn has_ended(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn id(path: &Path) -> (u64, u64) {
        let meta = fs::metadata(path).expect("it is there");
        (meta.dev(), meta.ino())
    }

    /// A /proc with one process that has `open` open, and the two files.
    fn world() -> (tempfile::TempDir, HashSet<(u64, u64)>, (u64, u64)) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (open, closed) = (dir.path().join("open"), dir.path().join("closed"));
        fs::write(&open, "").expect("it can be written");
        fs::write(&closed, "").expect("it can be written");
        fs::create_dir_all(dir.path().join("proc/42/fd")).expect("it can be made");
        fs::create_dir_all(dir.path().join("proc/sys")).expect("it can be made");
        std::os::unix::fs::symlink(&open, dir.path().join("proc/42/fd/3")).expect("a link can be made");
        let wanted = HashSet::from([id(&open), id(&closed)]);
        (dir, wanted, id(&open))
    }

    #[test]
    fn an_open_file_is_found_and_a_closed_one_is_not() {
        let (dir, wanted, open) = world();
        let got = among(&dir.path().join("proc"), &wanted);
        assert_eq!((got.open, got.proven), (HashSet::from([open]), true));
    }

    #[test]
    fn a_process_that_hides_its_files_leaves_nothing_proven() {
        let (dir, wanted, _) = world();
        fs::create_dir(dir.path().join("proc/43")).expect("it can be made");
        // Anything that is not "there is no such process" counts, here "is not a directory".
        fs::write(dir.path().join("proc/43/fd"), "").expect("it can be written");
        assert!(!among(&dir.path().join("proc"), &wanted).proven);
        assert!(!among(Path::new("/nonexistent"), &wanted).proven);
    }

    #[test]
    fn a_process_that_ended_meanwhile_hides_nothing() {
        let (dir, wanted, _) = world();
        fs::create_dir(dir.path().join("proc/43")).expect("it can be made");
        assert!(among(&dir.path().join("proc"), &wanted).proven);
    }

    #[test]
    fn a_file_of_this_test_is_open_in_the_real_proc() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let wanted = HashSet::from([id(file.path())]);
        assert_eq!(among(Path::new("/proc"), &wanted).open, wanted);
    }
}
