//! Processes that run one executable.
//!
//! Looking ten times a second at every process of a host would cost more than the service itself. A process is
//! looked at only while it is young (it may still become another program by `exec`); what did not match then is
//! passed over for as long as it lives.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cgroup::PROCESSES_MAX;
use super::find::exe;
use super::process::uid;
use crate::accounts::Accounts;
use crate::clock;
use crate::source::read_once;

/// How long a new process may take to become the program.
const YOUNG: Duration = Duration::from_secs(5);

/// How long a refusal is trusted. A number that was given out again is found after this time at the latest.
const TRUSTED: Duration = Duration::from_secs(60);

/// Longest argument list that is read, characters; more cannot hold the script's name first.
const ARGUMENTS_MAX: usize = 1 << 20;

/// Longest command name that the kernel keeps, bytes.
const COMM_MAX: usize = 15;

/// Remembers which processes are something else.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Number, first seen, last looked at.
    others: HashMap<u32, (Instant, Instant)>,
}

impl Program {
    /// All processes with this executable and, when given, this user and this argument.
    pub(super) fn scan(
        &mut self,
        wanted: &Path,
        user: Option<&str>,
        argument: Option<&str>,
    ) -> Result<Vec<u32>, String> {
        let uid_wanted = match user {
            None => None,
            Some(user) => {
                Some(Accounts::read().uid(user).ok_or_else(|| format!("user {user} is not in /etc/passwd"))?)
            }
        };
        let real = fs::canonicalize(wanted).ok();
        let now = clock::monotonic();
        let mut others = HashMap::with_capacity(self.others.len());
        let (mut found, mut hidden) = (Vec::new(), 0_u32);
        for pid in pids()? {
            let known = self.others.get(&pid).copied();
            if let Some((first, last)) = known
                && now - first > YOUNG
                && now - last < TRUSTED
            {
                others.insert(pid, (first, last));
                continue;
            }
            if uid_wanted.is_none_or(|wanted| uid(pid) == Some(wanted)) {
                match exe(pid) {
                    Some(exe) if exe == wanted || Some(&exe) == real.as_ref() => {
                        if argument.is_none_or(|a| has_argument(pid, a)) {
                            found.push(pid);
                            continue;
                        }
                    }
                    Some(_) => {}
                    None => hidden += u32::from(could_be(pid, wanted, real.as_deref())),
                }
            }
            others.insert(pid, (known.map_or(now, |(first, _)| first), now));
        }
        self.others = others;
        found.truncate(PROCESSES_MAX);
        if found.is_empty() && hidden > 0 {
            return Err(format!(
                "{hidden} processes do not show us their executable; run as root or as their user"
            ));
        }
        Ok(found)
    }
}

fn pids() -> Result<impl Iterator<Item = u32>, String> {
    let dir = fs::read_dir("/proc").map_err(|e| format!("/proc: {e}"))?;
    Ok(dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// True for a process whose executable we may not know and whose name is that of the program. All others are
/// somebody else, so that one guarded process of the host (its first one, often) does not blind us.
fn could_be(pid: u32, wanted: &Path, real: Option<&Path>) -> bool {
    let is_guarded = fs::read_link(format!("/proc/{pid}/exe"))
        .is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
    let Ok(comm) = read_once(format!("/proc/{pid}/comm")) else { return false };
    is_guarded && [Some(wanted), real].into_iter().flatten().any(|path| is_named_after(comm.trim_end(), path))
}

/// The kernel keeps the first 15 bytes of a program's file name.
fn is_named_after(comm: &str, path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    !comm.is_empty() && name.as_bytes().get(..name.len().min(COMM_MAX)) == Some(comm.as_bytes())
}

fn has_argument(pid: u32, wanted: &str) -> bool {
    read_once(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.len() <= ARGUMENTS_MAX && line.split('\0').any(|a| a == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_executable_user_and_argument() {
        let argument = format!("{}.25", 200_000 + std::process::id());
        let mut child = std::process::Command::new("sleep").arg(&argument).spawn().expect("sleep starts");
        let me = uid(std::process::id()).expect("we are there").to_string();
        let sleep = Path::new("/usr/bin/sleep");
        let mut program = Program::default();
        // The kernel shows the new program a moment before its arguments: the scan looks again while it is young.
        let mut found = Ok(vec![]);
        while found == Ok(vec![]) {
            found = program.scan(sleep, Some(&me), Some(&argument));
        }
        let scan = |user: &str, argument: &str| Program::default().scan(sleep, Some(user), Some(argument));
        let (other_argument, other_user) = (scan(&me, "no such argument"), scan("54321", &argument));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert_eq!(found, Ok(vec![child.id()]));
        assert_eq!((other_argument, other_user), (Ok(vec![]), Ok(vec![])));
    }

    #[test]
    fn a_guarded_process_is_feared_only_under_the_name_of_the_program() {
        assert!(is_named_after("python3", Path::new("/usr/bin/python3")));
        assert!(is_named_after("a-very-long-nam", Path::new("/opt/a-very-long-name")));
        assert!(!is_named_after("init", Path::new("/usr/bin/python3")));
        assert!(!is_named_after("", Path::new("/")));
    }

    #[test]
    fn an_unknown_user_is_said_and_not_taken_for_nobody_running() {
        let got = Program::default().scan(Path::new("/bin/x"), Some("no-such-user"), None);
        assert_eq!(got, Err("user no-such-user is not in /etc/passwd".to_owned()));
    }
}
