//! Listening sockets, the processes that hold them, and files that hold process ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use procfs::ProcResult;
use procfs::net::TcpState;
use procfs::process::{FDPermissions, FDTarget, Process};

/// Most processes that are looked at.
const PROCESSES_MAX: usize = 50_000;
/// Most descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 65_536;
/// Most logs of one process.
const LOGS_MAX: usize = 32;
/// Most entries of `/run` that are looked at.
const RUN_ENTRIES_MAX: usize = 5000;
/// A file that holds a process id is short.
const PIDFILE_BYTES_MAX: u64 = 32;
/// Most bytes of `/etc/passwd` that are read.
const PASSWD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A process that holds listening sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) exe: PathBuf,
    /// The short name the kernel keeps, at most 15 bytes.
    pub(crate) short_name: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) user: String,
    /// Its systemd unit, where systemd runs.
    pub(crate) unit: Option<String>,
    /// Its listening sockets.
    pub(crate) inodes: Vec<u64>,
    /// Logs that it writes.
    pub(crate) logs: Vec<String>,
}

/// Addresses that anything in our network namespace listens on, by the inode of the socket.
pub(crate) fn listening() -> ProcResult<BTreeMap<u64, SocketAddr>> {
    let mut sockets = procfs::net::tcp()?;
    // A kernel without IPv6 has no such table.
    sockets.extend(procfs::net::tcp6().unwrap_or_default());
    Ok(sockets
        .into_iter()
        .filter(|s| s.state == TcpState::Listen)
        .map(|s| (s.inode, s.local_address))
        .collect())
}

/// The processes that hold any of the sockets.
pub(crate) fn with_sockets(sockets: &BTreeMap<u64, SocketAddr>, leave_out: &[i32]) -> ProcResult<Vec<Seen>> {
    let users = users();
    let systemd = Path::new("/run/systemd/system").is_dir();
    let processes = procfs::process::all_processes()?.take(PROCESSES_MAX).flatten();
    Ok(processes
        .filter(|p| !leave_out.contains(&p.pid()))
        .filter_map(|p| seen(&p, sockets, &users, systemd))
        .collect())
}

/// `None` when it holds none, ended meanwhile, or belongs to someone else.
fn seen(
    process: &Process,
    sockets: &BTreeMap<u64, SocketAddr>,
    users: &BTreeMap<u32, String>,
    systemd: bool,
) -> Option<Seen> {
    let (mut inodes, mut logs) = (BTreeSet::new(), BTreeSet::new());
    for fd in process.fd().ok()?.take(DESCRIPTORS_MAX).flatten() {
        let writes = fd.mode().contains(FDPermissions::WRITE);
        match fd.target {
            FDTarget::Socket(inode) if sockets.contains_key(&inode) => {
                inodes.insert(inode);
            }
            FDTarget::Path(path) if writes && is_log(&path) && logs.len() < LOGS_MAX => {
                logs.insert(path.to_string_lossy().into_owned());
            }
            _ => {}
        }
    }
    if inodes.is_empty() {
        return None;
    }
    let uid = process.uid().ok()?;
    let stat = process.stat().ok()?;
    Some(Seen {
        pid: process.pid(),
        parent: stat.ppid,
        short_name: stat.comm,
        exe: without_deleted(process.exe().ok()?),
        arguments: process.cmdline().ok()?,
        user: users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        unit: if systemd { unit(process) } else { None },
        inodes: inodes.into_iter().collect(),
        logs: logs.into_iter().collect(),
    })
}

/// A file by whose name or place people know that it is a log, and that is still there.
fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let named = name.ends_with(".log") || path.starts_with("/var/log");
    named && path.is_absolute() && path.is_file()
}

/// After an upgrade the kernel marks the path of the program that still runs.
fn without_deleted(exe: PathBuf) -> PathBuf {
    exe.to_str().and_then(|s| s.strip_suffix(" (deleted)")).map(PathBuf::from).unwrap_or(exe)
}

fn unit(process: &Process) -> Option<String> {
    process.cgroups().ok()?.into_iter().find_map(|group| unit_of_path(&group.pathname))
}

/// The service in a path such as `/system.slice/system-postgresql.slice/postgresql@15-main.service`.
pub(crate) fn unit_of_path(path: &str) -> Option<String> {
    let below = path.strip_prefix("/system.slice/")?;
    below.split('/').find(|part| part.ends_with(".service")).map(str::to_owned)
}

/// Names of users by id; `/etc/passwd` only, no directory service is asked.
fn users() -> BTreeMap<u32, String> {
    let text = read_start(Path::new("/etc/passwd"), PASSWD_BYTES_MAX).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            Some((uid, name.to_owned()))
        })
        .collect()
}

/// Files `*.pid` in `/run` and the folders in it, by the process id they hold. The shortest path wins.
pub(crate) fn pidfiles() -> BTreeMap<i32, String> {
    let mut found: BTreeMap<i32, String> = BTreeMap::new();
    for path in run_files() {
        let pid = read_start(&path, PIDFILE_BYTES_MAX).and_then(|t| t.trim().parse::<i32>().ok());
        let (Some(pid), Some(path)) = (pid.filter(|p| *p > 1), path.to_str()) else { continue };
        let shorter = |known: &String| (path.len(), path) < (known.len(), known.as_str());
        if found.get(&pid).is_none_or(shorter) {
            found.insert(pid, path.to_owned());
        }
    }
    found
}

fn run_files() -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().take(RUN_ENTRIES_MAX);
    let mut files = Vec::new();
    for entry in entries(Path::new("/run")) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                files.extend(entries(&entry.path()).filter(is_pidfile).map(|e| e.path()))
            }
            Ok(kind) if kind.is_file() && is_pidfile(&entry) => files.push(entry.path()),
            _ => {}
        }
        if files.len() > RUN_ENTRIES_MAX {
            break;
        }
    }
    files
}

/// A plain file: opening a pipe could wait for ever.
fn is_pidfile(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|e| e == "pid") && entry.file_type().is_ok_and(|t| t.is_file())
}

fn read_start(path: &Path, bytes: u64) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(bytes).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_from_control_groups() {
        for (path, unit) in [
            ("/system.slice/nginx.service", Some("nginx.service")),
            (
                "/system.slice/system-postgresql.slice/postgresql@15-main.service",
                Some("postgresql@15-main.service"),
            ),
            ("/system.slice/docker.service/sub", Some("docker.service")),
            ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", None),
            ("/system.slice", None),
            ("/", None),
        ] {
            assert_eq!(unit_of_path(path).as_deref(), unit, "{path}");
        }
    }

    #[test]
    fn a_program_that_was_replaced_keeps_its_path() {
        assert_eq!(without_deleted("/usr/sbin/x (deleted)".into()), PathBuf::from("/usr/sbin/x"));
        assert_eq!(without_deleted("/usr/sbin/x".into()), PathBuf::from("/usr/sbin/x"));
    }
}
