//! Finding the main process of a service, and the processes that belong to it.
//!
//! | identity | main process | others |
//! |---|---|---|
//! | pidfile | the number on its first line | descendants |
//! | unit | what systemd says | descendants |
//! | cgroup | the one that began first | all of the group |
//! | program | the one that began first | all that match |
//!
//! **A pidfile that lies.** A number is given out again after its process ended, and a pidfile can survive its
//! process. So a process that began more than [`PIDFILE_LATE`] after the pidfile was written, *and* runs as another
//! user than declared or with another executable than the one we knew, is not the service.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wellkept_model::keep::{Identity, Service};

use super::cgroup;
use super::process::{Identified, at_ticks, identify, uid};
use super::program::Program;
use super::systemd;
use crate::accounts::Accounts;
use crate::clock;
use crate::source::{Source, read_once};

/// How much later than its pidfile a process may have begun and still be taken for the service without question.
const PIDFILE_LATE: Duration = Duration::from_secs(10);

/// Longest pidfile, bytes. PostgreSQL's has eight lines.
const PIDFILE_MAX: u64 = 4096;

/// Processes that one service may have in our eyes.
const MEMBERS_MAX: usize = 512;

/// What a look for the main process gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It runs. Starts that ended before we could look come before it.
    Runs { main: Identified, missed: u32 },
    /// It does not run; so many starts ended since the last look, the last one with this number.
    Absent { missed: u32, pid: Option<u32> },
    /// It cannot be known; why.
    Unclear(String),
}

/// Looks for the processes of one service.
#[derive(Debug)]
pub(super) struct Finder {
    service: Service,
    /// What the last look at a pidfile or unit named.
    named: Option<u32>,
    /// Executable of the last main process.
    exe: Option<PathBuf>,
    /// The main process that ended last: its zombie is not a new one.
    ended: Option<(u32, u64)>,
    first: bool,
    group: Option<Source>,
    program: Program,
    unit_restarts: Option<u64>,
}

impl Finder {
    pub(super) fn new(service: Service) -> Self {
        Self {
            service,
            named: None,
            exe: None,
            ended: None,
            first: true,
            group: None,
            program: Program::default(),
            unit_restarts: None,
        }
    }

    /// Looks for the main process.
    pub(super) async fn look(&mut self) -> Look {
        let look = match self.service.identity.clone() {
            Identity::Pidfile(path) => self.look_at_pidfile(&path),
            Identity::Unit(unit) => self.look_at_unit(&unit).await,
            Identity::Cgroup(_) | Identity::Program { .. } => match self.matching() {
                Ok(pids) => self.oldest(&pids),
                Err(message) => Look::Unclear(message),
            },
        };
        self.first = false;
        if let Look::Runs { main, .. } = &look {
            self.exe = exe(main.pid).or(self.exe.take());
        }
        look
    }

    /// The main process ended; what is left of it is not the service.
    pub(super) fn ended(&mut self, main: Identified) {
        self.ended = Some((main.pid, main.start_ticks));
    }

    /// Processes that belong to the running service, the main one among them.
    pub(super) fn members(&mut self, main: u32) -> Vec<u32> {
        match self.service.identity {
            Identity::Pidfile(_) | Identity::Unit(_) => descendants(main),
            Identity::Cgroup(_) | Identity::Program { .. } => self.matching().unwrap_or_else(|_| vec![main]),
        }
    }

    /// True when the others are the service as much as the main process is.
    pub(super) fn others_carry_on(&self) -> bool {
        matches!(self.service.identity, Identity::Cgroup(_) | Identity::Program { .. })
    }

    /// True when the pidfile names another living process than `main` now.
    pub(super) fn is_replaced(&self, main: Identified) -> bool {
        let Identity::Pidfile(path) = &self.service.identity else { return false };
        let other = read_pidfile(path).ok().flatten().map(|(pid, _)| pid).filter(|pid| *pid != main.pid);
        other.and_then(identify).is_some_and(|p| p.state != 'Z')
    }

    fn look_at_pidfile(&mut self, path: &Path) -> Look {
        let (pid, written_ago) = match read_pidfile(path) {
            Ok(Some(named)) => named,
            Ok(None) => return Look::Absent { missed: 0, pid: None },
            Err(message) => return Look::Unclear(message),
        };
        let before = self.named.replace(pid);
        match self.alive(pid).filter(|p| self.is_ours(*p, written_ago)) {
            Some(main) => Look::Runs { main, missed: 0 },
            // At the first look a number without process is a leftover of long ago.
            None => Look::Absent { missed: u32::from(!self.first && before != Some(pid)), pid: Some(pid) },
        }
    }

    async fn look_at_unit(&mut self, unit: &str) -> Look {
        let state = match systemd::show(unit).await {
            Ok(state) => state,
            Err(message) => return Look::Unclear(message),
        };
        let restarts = state.restarts.saturating_sub(self.unit_restarts.unwrap_or(state.restarts));
        self.unit_restarts = Some(state.restarts);
        let restarts = u32::try_from(restarts).unwrap_or(u32::MAX);
        match state.main_pid.and_then(|pid| self.alive(pid)) {
            Some(main) => Look::Runs { main, missed: restarts.saturating_sub(1) },
            None => Look::Absent { missed: restarts, pid: None },
        }
    }

    fn alive(&self, pid: u32) -> Option<Identified> {
        identify(pid).filter(|p| self.ended != Some((p.pid, p.start_ticks)))
    }

    /// See the head of this module.
    fn is_ours(&self, process: Identified, written_ago: Duration) -> bool {
        let now = clock::wall();
        let age = now.since(at_ticks(process.start_ticks, now));
        if written_ago.saturating_sub(age) <= PIDFILE_LATE {
            return true;
        }
        let declared = self.service.user.as_deref().and_then(|user| Accounts::read().uid(user));
        let other_user = declared.is_some() && uid(process.pid) != declared;
        let other_exe = self.exe.is_some() && exe(process.pid).is_some_and(|e| Some(e) != self.exe);
        !(other_user || other_exe)
    }

    /// Processes of a group or with a program, in no order.
    fn matching(&mut self) -> Result<Vec<u32>, String> {
        match &self.service.identity {
            Identity::Cgroup(group) => {
                if self.group.is_none() {
                    self.group = cgroup::procs_file(group).map(Source::new);
                }
                let Some(source) = &mut self.group else { return Ok(Vec::new()) };
                let pids = cgroup::processes(source);
                if pids.is_err() {
                    // A group can be removed and made again, in another hierarchy too.
                    self.group = None;
                }
                Ok(pids.unwrap_or_default())
            }
            Identity::Program { exe, user, argument } => {
                self.program.scan(exe, user.as_deref(), argument.as_deref())
            }
            Identity::Pidfile(_) | Identity::Unit(_) => Ok(Vec::new()),
        }
    }

    fn oldest(&self, pids: &[u32]) -> Look {
        let alive = pids.iter().filter_map(|pid| self.alive(*pid)).filter(|p| p.state != 'Z');
        match alive.min_by_key(|p| (p.start_ticks, p.pid)) {
            Some(main) => Look::Runs { main, missed: 0 },
            None => Look::Absent { missed: 0, pid: None },
        }
    }
}

/// The number on the first line, and how long ago the file was written; `None` when there is no file or no number
/// in it yet.
fn read_pidfile(path: &Path) -> Result<Option<(u32, Duration)>, String> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("pidfile {}: {e}", path.display())),
    };
    if !meta.is_file() || meta.size() > PIDFILE_MAX {
        return Err(format!(
            "pidfile {}: must be a regular file of at most {PIDFILE_MAX} bytes",
            path.display()
        ));
    }
    let text = match read_once(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("pidfile {}: {e}", path.display())),
    };
    let written_at = wellkept_model::TimestampMs(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000);
    let pid = text.lines().next().and_then(|l| l.trim().parse().ok()).filter(|pid| *pid > 0);
    Ok(pid.map(|pid| (pid, clock::wall().since(written_at))))
}

/// The executable of a process, when we may know it.
pub(super) fn exe(pid: u32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // A program that was replaced on disk while it runs keeps its old name with this ending.
    match path.to_str().and_then(|p| p.strip_suffix(" (deleted)")) {
        Some(replaced) => Some(PathBuf::from(replaced)),
        None => Some(path),
    }
}

/// A process and everything that it started, nearest first, at most [`MEMBERS_MAX`].
///
/// Read from the `children` files of the main threads; children that another thread started are missed, as are all
/// children on kernels without these files. That costs completeness of the sums, never the service.
fn descendants(main: u32) -> Vec<u32> {
    let mut found = vec![main];
    let mut todo = VecDeque::from([main]);
    while let Some(pid) = todo.pop_front() {
        let text = read_once(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in text.split_ascii_whitespace().filter_map(|w| w.parse().ok()) {
            if found.len() >= MEMBERS_MAX {
                return found;
            }
            if !found.contains(&child) {
                found.push(child);
                todo.push_back(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_may_have_further_lines() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.pid");
        assert_eq!(read_pidfile(&path), Ok(None), "no file");
        for (content, expected) in [
            ("42\n", Some(42)),
            ("42\n/var/lib/pg\n5432\n", Some(42)),
            ("", None),
            ("x\n", None),
            ("0\n", None),
            ("-4\n", None),
        ] {
            std::fs::write(&path, content).expect("it can be written");
            assert_eq!(read_pidfile(&path).map(|p| p.map(|(pid, _)| pid)), Ok(expected), "{content:?}");
        }
        std::fs::write(&path, "1".repeat(5000)).expect("it can be written");
        assert!(read_pidfile(&path).is_err());
        assert!(read_pidfile(dir.path()).is_err(), "a folder");
    }

    #[test]
    fn a_started_process_is_among_the_descendants() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let found = descendants(std::process::id());
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        // The test's thread is not the main thread, so on this path only the main process is certain.
        assert_eq!(found[0], std::process::id());
    }
}
