//! Which files processes hold open or have mapped, as far as `/proc` tells.
//!
//! A cheap look before the sure one of `lease`. It is blind where the kernel hides processes from us (we are not
//! root, or a container keeps some apart) and says so; "not open" is then only believed when a lease proves it.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};

use crate::procs::all_pids;

/// Longest list of mappings of one process that is read, bytes; a longer one cannot be judged.
const MAPS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Files in use.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles {
    /// Device and inode of everything that a descriptor refers to.
    open: HashSet<(u64, u64)>,
    /// Inodes of mapped files. Some file systems report another device for mappings, so the inode alone counts;
    /// an equal number on another device only makes us leave one file more.
    mapped: HashSet<u64>,
    /// Why not every process could be asked; `None` when all were.
    blind: Option<io::Error>,
}

impl OpenFiles {
    /// Asks all processes.
    pub(crate) fn now() -> Self {
        let mut files = Self::default();
        let pids = all_pids().unwrap_or_else(|e| {
            files.blind = Some(e);
            Vec::new()
        });
        for pid in pids {
            let asked = files.add_descriptors(pid).and_then(|()| files.add_mappings(pid));
            if let Err(e) = ended_is_fine(asked) {
                files.blind = Some(e);
            }
        }
        files
    }

    /// Why not every process could be asked.
    pub(crate) fn blind(&self) -> Option<&io::Error> {
        self.blind.as_ref()
    }

    /// Whether some process uses this file.
    pub(crate) fn uses(&self, dev: u64, ino: u64) -> bool {
        self.open.contains(&(dev, ino)) || self.mapped.contains(&ino)
    }

    fn add_descriptors(&mut self, pid: u32) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(format!("/proc/{pid}/fd"), flags, Mode::empty())?;
        for entry in rustix::fs::Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes().first() == Some(&b'.') {
                continue;
            }
            match statat(&dir, name, AtFlags::empty()) {
                Ok(stat) => {
                    self.open.insert((stat.st_dev, stat.st_ino));
                }
                // Closed meanwhile.
                Err(rustix::io::Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn add_mappings(&mut self, pid: u32) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = openat(rustix::fs::CWD, format!("/proc/{pid}/maps"), flags, Mode::empty())?;
        let mut text = Vec::new();
        std::fs::File::from(fd).take(MAPS_BYTES_MAX).read_to_end(&mut text)?;
        if text.len() as u64 == MAPS_BYTES_MAX {
            return Err(io::Error::other(format!("process {pid} has too many mappings to be judged")));
        }
        for line in text.split(|b| *b == b'\n') {
            let field = line.split(|b| *b == b' ').nth(4).and_then(|f| std::str::from_utf8(f).ok());
            let inode = field.and_then(|f| f.parse::<u64>().ok());
            self.mapped.extend(inode.filter(|i| *i != 0));
        }
        Ok(())
    }
}

/// A process that has ended holds nothing.
fn ended_is_fine(asked: io::Result<()>) -> io::Result<()> {
    match asked {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_counts_as_used_while_a_process_has_it_open() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("x");
        std::fs::write(&path, "x").expect("write");
        let meta = std::fs::metadata(&path).expect("there");
        assert!(!OpenFiles::now().uses(meta.dev(), meta.ino()));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdin(std::fs::File::open(&path).expect("open"))
            .spawn()
            .expect("spawn");
        assert!(OpenFiles::now().uses(meta.dev(), meta.ino()));
        child.kill().expect("kill");
        child.wait().expect("reap");
        assert!(!OpenFiles::now().uses(meta.dev(), meta.ino()));
    }

    #[test]
    fn a_program_that_runs_is_in_use_by_its_mapping() {
        let meta = std::fs::metadata("/proc/self/exe").expect("there");
        assert!(OpenFiles::now().uses(meta.dev(), meta.ino()));
    }
}
