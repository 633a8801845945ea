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
                    None => hidden += u32::from(is_hidden(pid)),
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

/// True for a process (not a kernel thread, which has no executable) whose executable we may not know.
fn is_hidden(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
        && read_once(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
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
        let mut child = std::process::Command::new("sleep").arg("61.25").spawn().expect("sleep starts");
        let me = uid(std::process::id()).expect("we are there").to_string();
        let path = exe(child.id());
        let scan = |user: Option<&str>, argument: &str| {
            let sleep = Path::new("/usr/bin/sleep");
            Program::default().scan(sleep, user, Some(argument)).unwrap_or_default()
        };
        // Between fork and exec the child still is this test; wait until it is what we asked for.
        while exe(child.id()) == exe(std::process::id()) {
            std::thread::yield_now();
        }
        let (found, other_argument, other_user) =
            (scan(Some(&me), "61.25"), scan(Some(&me), "61"), scan(Some("54321"), "61.25"));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert_eq!(found, [child.id()], "{path:?}");
        assert!(other_argument.is_empty() && other_user.is_empty());
    }

    #[test]
    fn an_unknown_user_is_said_and_not_taken_for_nobody_running() {
        let got = Program::default().scan(Path::new("/bin/x"), Some("no-such-user"), None);
        assert_eq!(got, Err("user no-such-user is not in /etc/passwd".to_owned()));
    }
}
