//! Deleted files that a service still writes to: their space stays taken and nobody can read them any more.
//!
//! Only the processes of declared services are looked at, the seldomer the more it costs, and each within a bound. A file that
//! is open for reading and writing and deleted is a scratch file, as databases and proxies make them on purpose; one
//! that is only appended to was a log.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use wellkept_model::local::DeletedOpenSeen;
use wellkept_model::observe::{FilesystemSeen, ServiceSeen};

use crate::pace::Pace;
use crate::source::read_once;

/// Fewest and most rounds between two looks.
const ROUNDS: (u64, u64) = (3, 60);
/// What looks may cost, spread over the rounds: 0.02 % of a core at one round a second.
const COST_A_ROUND: Duration = Duration::from_micros(200);
/// Looks between two looks at processes with many descriptors.
const LOOKS_MANY: u64 = 10;
/// From here on descriptors are many.
const FDS_MANY: u64 = 1000;
/// Descriptors of one process that are looked at.
const FDS_MAX: usize = 65_536;
/// Processes of one service that are looked at.
const PROCESSES_MAX: usize = 32;
/// Smaller files are not worth a word, bytes.
const BYTES_MIN: u64 = 1 << 20;
/// Files that are told.
const FILES_MAX: usize = 20;

const O_ACCMODE: u32 = 0o3;
const O_WRONLY: u32 = 0o1;
const O_APPEND: u32 = 0o2000;

/// What the last look found.
#[derive(Debug)]
pub(crate) struct Deleted {
    pace: Pace,
    looks: u64,
    last: Vec<DeletedOpenSeen>,
}

impl Default for Deleted {
    fn default() -> Self {
        Self { pace: Pace::new(ROUNDS, COST_A_ROUND), looks: 0, last: Vec::new() }
    }
}

impl Deleted {
    pub(crate) fn read(
        &mut self,
        services: &BTreeMap<String, ServiceSeen>,
        filesystems: &[FilesystemSeen],
    ) -> Vec<DeletedOpenSeen> {
        if self.pace.is_due(false) {
            let also_many = self.looks.is_multiple_of(LOOKS_MANY);
            self.last = self.pace.measure(|| look(services, filesystems, also_many));
            self.looks += 1;
        }
        self.last.clone()
    }
}

fn look(
    services: &BTreeMap<String, ServiceSeen>,
    filesystems: &[FilesystemSeen],
    also_many: bool,
) -> Vec<DeletedOpenSeen> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for (service, seen) in services {
        let worth = |fds: Option<u64>| also_many || fds.is_some_and(|n| n <= FDS_MANY);
        for process in seen.processes.iter().take(PROCESSES_MAX).filter(|p| worth(p.open_fds)) {
            of_process(process.pid, &mut |fd, path, bytes, file| {
                // Workers share what their master opened.
                if known.insert(file) {
                    let mountpoint = mountpoint(filesystems, &path);
                    let service = service.clone();
                    found.push(DeletedOpenSeen { service, pid: process.pid, fd, path, bytes, mountpoint });
                }
            });
        }
    }
    found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    found.truncate(FILES_MAX);
    found
}

/// Calls `tell` with descriptor, former path, space and identity of each.
fn of_process(pid: u32, tell: &mut dyn FnMut(u32, String, u64, (u64, u64))) {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for entry in fds.flatten().take(FDS_MAX) {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let Some(path) = link.to_str().and_then(former_path) else { continue };
        let Some(fd) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let Ok(meta) = fs::metadata(entry.path()) else { continue };
        let bytes = meta.blocks().saturating_mul(512);
        if meta.is_file() && meta.nlink() == 0 && bytes >= BYTES_MIN && only_written(pid, fd) {
            tell(fd, path.to_owned(), bytes, (meta.dev(), meta.ino()));
        }
    }
}

/// The path of a deleted file; memory that looks like a file is none.
fn former_path(link: &str) -> Option<&str> {
    let path = link.strip_suffix(" (deleted)")?;
    let memory = ["/memfd:", "/dev/", "/SYSV", "/[aio]"];
    (path.starts_with('/') && !memory.iter().any(|m| path.starts_with(m))).then_some(path)
}

fn only_written(pid: u32, fd: u32) -> bool {
    let Ok(text) = read_once(format!("/proc/{pid}/fdinfo/{fd}")) else { return false };
    let flags = text.lines().find_map(|l| u32::from_str_radix(l.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|f| f & O_ACCMODE == O_WRONLY || f & O_APPEND != 0)
}

fn mountpoint(filesystems: &[FilesystemSeen], path: &str) -> String {
    let holds = |m: &str| m == "/" || path.strip_prefix(m).is_some_and(|rest| rest.starts_with('/'));
    let longest = filesystems.iter().map(|f| &f.mountpoint).filter(|m| holds(m)).max_by_key(|m| m.len());
    longest.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn ours() -> Vec<(String, u64)> {
        let mut found = Vec::new();
        of_process(std::process::id(), &mut |_, path, bytes, _| found.push((path, bytes)));
        found
    }

    #[test]
    fn a_deleted_log_is_found_and_a_deleted_scratch_file_is_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (log, scratch) = (dir.path().join("app.log"), dir.path().join("scratch"));
        let mut a = fs::File::options().append(true).create(true).open(&log).expect("it can be made");
        let mut b = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&scratch)
            .expect("it can be made");
        for file in [&mut a, &mut b] {
            file.write_all(&vec![1; 2 << 20]).and_then(|()| file.sync_all()).expect("it can be written");
        }
        let is = |path: &std::path::Path| {
            ours().iter().any(|(p, bytes)| path == std::path::Path::new(p) && *bytes >= 2 << 20)
        };
        assert!(!is(&log), "it is still there");
        fs::remove_file(&log).and_then(|()| fs::remove_file(&scratch)).expect("they are ours");
        assert!(is(&log) && !is(&scratch));
    }

    #[test]
    fn memory_is_no_deleted_file() {
        assert_eq!(former_path("/var/log/app.log (deleted)"), Some("/var/log/app.log"));
        for other in ["/memfd:x (deleted)", "/dev/shm/x (deleted)", "/var/log/app.log", "socket:[1]"] {
            assert_eq!(former_path(other), None, "{other}");
        }
    }
}
