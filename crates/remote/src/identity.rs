//! Which processes belong to a declared service, as far as it can be told right now.

use std::path::Path;

use wellkept_model::keep::{Identity, Keep};

use crate::procs::{all_pids, owner, read_proc, stat};

/// Longest pid file, argument list and membership list that is read, bytes.
const PIDFILE_BYTES_MAX: u64 = 64;
const CMDLINE_BYTES_MAX: u64 = 128 * 1024;
const MEMBERS_BYTES_MAX: u64 = 1024 * 1024;

/// Living processes of a service; empty also when it cannot be told (a unit is systemd's to ask).
pub(crate) fn processes_of(identity: &Identity) -> Vec<u32> {
    let mut pids = match identity {
        Identity::Pidfile(path) => first_number(&path.to_string_lossy()).into_iter().collect(),
        Identity::Unit(_) => Vec::new(),
        Identity::Cgroup(path) => members(path),
        Identity::Program { exe, user, argument } => {
            // A user that does not exist owns no process.
            let uid = match user.as_deref().map(uid_of) {
                Some(None) => return Vec::new(),
                Some(found) => found,
                None => None,
            };
            let pids = all_pids().unwrap_or_default();
            pids.into_iter().filter(|pid| runs(*pid, exe, uid, argument.as_deref())).collect()
        }
    };
    pids.retain(|pid| stat(*pid).is_some_and(|s| s.lives()));
    pids
}

/// The declared service that a process belongs to.
pub(crate) fn owner_of(keep: &Keep, pid: u32) -> Option<&str> {
    let owns = |identity: &Identity| processes_of(identity).contains(&pid);
    keep.services.values().find(|s| owns(&s.identity) || in_unit(&s.identity, pid)).map(|s| s.name.as_str())
}

/// Systemd puts the processes of a unit into a control group of its name.
fn in_unit(identity: &Identity, pid: u32) -> bool {
    let Identity::Unit(unit) = identity else { return false };
    let text = read_proc(&format!("/proc/{pid}/cgroup"), 64 * 1024).unwrap_or_default();
    String::from_utf8_lossy(&text).split(['/', '\n']).any(|part| part == unit)
}

fn first_number(path: &str) -> Option<u32> {
    let text = read_proc(path, PIDFILE_BYTES_MAX).ok()?;
    String::from_utf8_lossy(&text).split_ascii_whitespace().next()?.parse().ok()
}

fn members(cgroup: &str) -> Vec<u32> {
    let path = Path::new("/sys/fs/cgroup").join(cgroup.trim_start_matches('/')).join("cgroup.procs");
    let text = read_proc(&path.to_string_lossy(), MEMBERS_BYTES_MAX).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|l| l.trim().parse().ok()).collect()
}

fn runs(pid: u32, exe: &Path, uid: Option<u32>, argument: Option<&str>) -> bool {
    let Ok(target) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    // After an upgrade the running program is the deleted one; a declared link names the program that it leads to.
    let target = target.to_string_lossy();
    let target = Path::new(target.trim_end_matches(" (deleted)"));
    if target != exe && !std::fs::canonicalize(exe).is_ok_and(|real| real == target) {
        return false;
    }
    if uid.is_some() && owner(pid) != uid {
        return false;
    }
    argument.is_none_or(|wanted| {
        let text = read_proc(&format!("/proc/{pid}/cmdline"), CMDLINE_BYTES_MAX).unwrap_or_default();
        text.split(|b| *b == 0).any(|arg| arg == wanted.as_bytes())
    })
}

fn uid_of(user: &str) -> Option<u32> {
    let text = read_proc("/etc/passwd", MEMBERS_BYTES_MAX).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_program_is_found_by_executable_and_argument() {
        let mut child = std::process::Command::new("sleep").arg("61.25").spawn().expect("spawn");
        let exe = std::fs::canonicalize("/bin/sleep").expect("sleep");
        let program = |argument: &str, user: Option<&str>| Identity::Program {
            exe: exe.clone(),
            user: user.map(str::to_owned),
            argument: Some(argument.to_owned()),
        };
        // Until the child has replaced itself by `sleep`, it is still this program.
        while !processes_of(&program("61.25", None)).contains(&child.id()) {
            std::thread::yield_now();
        }
        assert!(processes_of(&program("61.26", None)).is_empty());
        assert!(processes_of(&program("61.25", Some("no-such-user"))).is_empty());
        child.kill().expect("kill");
        // Before it is reaped it is a zombie, and no process of the service.
        while processes_of(&program("61.25", None)).contains(&child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("reap");
    }

    #[test]
    fn a_pid_file_with_anything_else_names_no_process() {
        let temp = tempfile::tempdir().expect("temp");
        let path: PathBuf = temp.path().join("x.pid");
        for text in ["", "x", "-1", "4294967296", "99999999"] {
            std::fs::write(&path, text).expect("write");
            assert!(processes_of(&Identity::Pidfile(path.clone())).is_empty(), "{text}");
        }
        std::fs::write(&path, format!("{}\n", std::process::id())).expect("write");
        assert_eq!(processes_of(&Identity::Pidfile(path)), [std::process::id()]);
    }
}
