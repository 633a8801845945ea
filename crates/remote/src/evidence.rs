//! What is kept before an action changes the world: `evidence/<action id>/`, at most 1 MiB each.
//!
//! Without it there is no action: an action destroys what would have told the reason. The directories are for the
//! operator's eyes (mode 0700); only the newest [`DIRS_MAX`] stay.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::command::last_bytes;
use crate::procs::read_proc;

/// Most bytes that one action keeps.
const ACTION_BYTES_MAX: usize = 1024 * 1024;
/// How many actions' evidence stays.
const DIRS_MAX: usize = 500;
/// Most processes that are described, and bytes of each of their files.
const PROCESSES_MAX: usize = 16;
const PROC_BYTES_MAX: u64 = 8 * 1024;
/// What is kept of a service's output, bytes.
const LOG_BYTES: u64 = 64 * 1024;
/// Of a process: state and figures. Its arguments and environment may hold secrets and are left out.
const PROC_FILES: [&str; 6] = ["status", "stat", "wchan", "io", "limits", "cgroup"];

/// The evidence of one action.
#[derive(Debug)]
pub(crate) struct Evidence {
    dir: PathBuf,
    left: usize,
}

impl Evidence {
    /// Makes the directory `name` (an action id, or that with `-undo`).
    pub(crate) fn open(data_dir: &Path, name: &str) -> io::Result<Self> {
        let all = data_dir.join("evidence");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
        forget_old(&all)?;
        let dir = all.join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        File::open(&all)?.sync_all()?;
        Ok(Self { dir, left: ACTION_BYTES_MAX })
    }

    /// The name that it was opened with.
    pub(crate) fn name(&self) -> &str {
        self.dir.file_name().and_then(|n| n.to_str()).unwrap_or("evidence")
    }

    /// Where a kept file lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// How many bytes may still be kept.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Keeps a file, cut to what is left; on disk when this returns.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let content = content.get(..self.left).unwrap_or(content);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(self.dir.join(name))?;
        file.write_all(content)?;
        file.sync_all()?;
        self.left -= content.len();
        File::open(&self.dir)?.sync_all()
    }

    /// Keeps what `/proc` says of processes; one that has ended meanwhile is left out.
    pub(crate) fn add_processes(&mut self, pids: &[u32]) -> io::Result<()> {
        let mut text = Vec::new();
        for pid in pids.iter().take(PROCESSES_MAX) {
            for name in PROC_FILES {
                if let Ok(content) = read_proc(&format!("/proc/{pid}/{name}"), PROC_BYTES_MAX) {
                    text.extend_from_slice(format!("== {pid} {name}\n").as_bytes());
                    text.extend_from_slice(&content);
                    text.push(b'\n');
                }
            }
        }
        if text.is_empty() { Ok(()) } else { self.add("processes.txt", &text) }
    }

    /// Keeps the last lines of a log; one that is not there is left out.
    pub(crate) fn add_log(&mut self, log: &Path) -> io::Result<()> {
        match last_bytes(log, 0, LOG_BYTES) {
            Ok((bytes, _)) => self.add("output.txt", &bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Reads a file of an earlier action's evidence.
pub(crate) fn read(data_dir: &Path, action: &str, name: &str) -> Option<Vec<u8>> {
    let path = data_dir.join("evidence").join(action).join(name);
    read_proc(&path.to_string_lossy(), ACTION_BYTES_MAX as u64).ok()
}

fn forget_old(all: &Path) -> io::Result<()> {
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(all)? {
        let entry = entry?;
        let name = entry.file_name();
        // Only what we made: `<incident>-<number>` with or without `-undo`.
        let ours = name.to_str().is_some_and(|n| {
            let n = n.strip_suffix("-undo").unwrap_or(n);
            n.split_once('-').is_some_and(|(a, b)| a.parse::<u64>().is_ok() && b.parse::<u32>().is_ok())
        });
        if ours && entry.file_type()?.is_dir() {
            dirs.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    dirs.sort();
    let too_many = (dirs.len() + 1).saturating_sub(DIRS_MAX);
    for (_, dir) in dirs.into_iter().take(too_many) {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_all_and_private() {
        use std::os::unix::fs::MetadataExt;
        let temp = tempfile::tempdir().expect("temp");
        let mut evidence = Evidence::open(temp.path(), "1-1").expect("open");
        evidence.add("a", &vec![b'x'; 700_000]).expect("add");
        evidence.add("b", &vec![b'x'; 700_000]).expect("add");
        let path = temp.path().join("evidence/1-1/b");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 1_048_576 - 700_000);
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert_eq!(evidence.left(), 0);
    }

    #[test]
    fn only_the_newest_stay_and_nothing_that_is_not_ours_goes() {
        let temp = tempfile::tempdir().expect("temp");
        let all = temp.path().join("evidence");
        std::fs::create_dir_all(all.join("notes-of-ann")).expect("dir");
        for n in 0..DIRS_MAX + 20 {
            std::fs::create_dir_all(all.join(format!("7-{n}"))).expect("dir");
        }
        Evidence::open(temp.path(), "8-1").expect("open");
        assert_eq!(std::fs::read_dir(&all).expect("read").count(), DIRS_MAX + 1);
        assert!(all.join("notes-of-ann").exists() && all.join("8-1").exists());
    }

    #[test]
    fn a_process_is_described_without_its_arguments() {
        let temp = tempfile::tempdir().expect("temp");
        let mut evidence = Evidence::open(temp.path(), "1-1").expect("open");
        evidence.add_processes(&[std::process::id(), 4_000_000_000]).expect("add");
        let text = String::from_utf8(read(temp.path(), "1-1", "processes.txt").expect("kept")).expect("text");
        assert!(text.contains("State:"), "{text}");
        assert!(!text.contains("cmdline"));
    }
}
