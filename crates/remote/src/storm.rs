//! A storm of processes that fork without end: freezes all of them, then ends them.
//!
//! Killing one by one loses the race against it; what is stopped cannot fork. New ones are looked for until nothing runs
//! any more.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rustix::process::Signal;
use tokio::time::{Duration, Instant, sleep};
use wellkept_model::keep::{Identity, Keep};
use wellkept_model::{Text, TimestampMs};

use crate::Outcome;
use crate::identity::{owner_of, processes_of};
use crate::procs::{Process, Stat, all_pids, owner, read_proc, stat};
use crate::signals::list;

/// Most processes of a storm.
const PROCESSES_MAX: usize = 50_000;
/// How often new ones are looked for while it is frozen.
const FREEZES_MAX: usize = 100;
/// Time between two looks whether all have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest list of control groups of a process, bytes.
const GROUPS_BYTES_MAX: u64 = 64 * 1024;
/// Generations that are followed upwards.
const ANCESTORS_MAX: usize = 64;

/// Which processes belong to it.
#[derive(Debug)]
pub(crate) enum Storm {
    /// All of a session that belong to this user.
    Session { id: u32, uid: u32 },
    /// All of a user in a control group and below it that began at this tick or later.
    Since { uid: u32, ticks: u64, group: String },
}

/// Freezes and ends it, unless something is in it that must not be touched.
pub(crate) async fn end(keep: &Keep, storm: &Storm, deadline: Instant) -> Outcome {
    if let Some(text) = storm.refusal(keep) {
        return Outcome::failed(text);
    }
    for _ in 0..FREEZES_MAX {
        let running = storm.members(|stat| stat.state != 'T');
        if running.is_empty() {
            break;
        }
        running.into_iter().for_each(|pid| storm.send(pid, Signal::STOP));
        if Instant::now() >= deadline {
            break;
        }
    }
    let all = storm.members(|_| true).len();
    if all == 0 {
        return Outcome::failed(Text::new("outcome.no_process").with("target", storm.name()));
    }
    loop {
        let left = storm.members(|_| true);
        if left.is_empty() {
            return Outcome::succeeded(storm.ended(all));
        }
        if Instant::now() >= deadline {
            return Outcome::unknown(
                Text::new("outcome.survived").with("pids", list(left.get(..10).unwrap_or(&left))),
            );
        }
        left.into_iter().for_each(|pid| storm.send(pid, Signal::KILL));
        sleep(LOOK_EVERY).await;
    }
}

impl Storm {
    fn name(&self) -> String {
        match self {
            Self::Session { id, .. } => format!("session {id}"),
            Self::Since { uid, group, .. } => format!("uid {uid} in {group}"),
        }
    }

    fn ended(&self, count: usize) -> Text {
        match self {
            Self::Session { id, .. } => {
                Text::new("outcome.session_killed").with("session", id).with("count", count)
            }
            Self::Since { uid, group, .. } => {
                Text::new("outcome.storm_killed").with("uid", uid).with("group", group).with("count", count)
            }
        }
    }

    /// Root's processes, our own, and those in which a process of a declared service is are never ended.
    fn refusal(&self, keep: &Keep) -> Option<Text> {
        match self {
            Self::Session { id, uid } => {
                let ours = stat(std::process::id()).map(|s| s.session);
                if *id <= 1 || *uid == 0 || ours == Some(*id) {
                    return Some(Text::new("outcome.refuse_session").with("session", id));
                }
                let of_service = keep.services.values().find(|service| {
                    let sessions = processes_of(&service.identity).into_iter().filter_map(stat);
                    sessions.into_iter().any(|s| s.session == *id)
                });
                of_service
                    .map(|s| Text::new("outcome.refuse_service").with("pid", id).with("service", &s.name))
            }
            Self::Since { uid, group, .. } => {
                let ours = std::process::id();
                if *uid == 0 || stat(ours).is_some_and(|s| self.holds(ours, s)) {
                    return Some(Text::new("outcome.refuse_storm").with("uid", uid).with("group", group));
                }
                let (pid, service) = of_service(keep, &self.members(|_| true))?;
                Some(Text::new("outcome.refuse_service").with("pid", pid).with("service", service))
            }
        }
    }

    /// Living processes of it.
    fn members(&self, wanted: impl Fn(Stat) -> bool) -> Vec<u32> {
        let is_member = |pid: &u32| stat(*pid).is_some_and(|s| wanted(s) && self.holds(*pid, s));
        all_pids().unwrap_or_default().into_iter().filter(is_member).take(PROCESSES_MAX).collect()
    }

    fn holds(&self, pid: u32, stat: Stat) -> bool {
        if !stat.lives() || stat.is_kernel_thread() {
            return false;
        }
        match self {
            Self::Session { id, uid } => stat.session == *id && owner(pid) == Some(*uid),
            Self::Since { uid, ticks, group } => {
                stat.start_ticks >= *ticks && owner(pid) == Some(*uid) && is_in(pid, group)
            }
        }
    }

    /// Through a pidfd, after a look at what it belongs to: the number may have gone to somebody else meanwhile.
    fn send(&self, pid: u32, signal: Signal) {
        let Ok(process) = Process::open(pid, TimestampMs(i64::MAX)) else { return };
        if stat(pid).is_some_and(|s| self.holds(pid, s)) {
            // One that has ended meanwhile is what we want; one that may not be signalled is found alive at the end.
            let _ = process.signal(signal);
        }
    }
}

/// Whether a process is in this control group or below it: in version 1 in the hierarchy that limits process numbers.
fn is_in(pid: u32, group: &str) -> bool {
    if group == "/" {
        return true;
    }
    let text = read_proc(&format!("/proc/{pid}/cgroup"), GROUPS_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let counts = controllers.is_empty() || controllers.split(',').any(|c| c == "pids");
        counts.then(|| Path::new(path).starts_with(group))
    };
    text.lines().filter_map(of).any(|inside| inside)
}

/// A process among these that belongs to a declared service, as far as it can be told: it is one of those that the keep
/// file names, or a descendant of one with the same owner or session.
fn of_service<'a>(keep: &'a Keep, members: &[u32]) -> Option<(u32, &'a str)> {
    let mains: HashMap<u32, &str> = keep
        .services
        .values()
        .flat_map(|s| processes_of(&s.identity).into_iter().map(|pid| (pid, s.name.as_str())))
        .collect();
    let has_units = keep.services.values().any(|s| matches!(s.identity, Identity::Unit(_)));
    let mut strangers = HashSet::new();
    members.iter().find_map(|pid| {
        let service = descends(*pid, &mains, &mut strangers);
        let service = service.or_else(|| has_units.then(|| owner_of(keep, *pid)).flatten());
        Some((*pid, service?))
    })
}

/// `strangers`: processes that are known to belong to nobody, with all that is above them.
fn descends<'a>(pid: u32, mains: &HashMap<u32, &'a str>, strangers: &mut HashSet<u32>) -> Option<&'a str> {
    let (mine, uid) = (stat(pid)?, owner(pid));
    let mut above = pid;
    for _ in 0..ANCESTORS_MAX {
        if let Some(service) = mains.get(&above) {
            let is_theirs = stat(above).is_some_and(|s| s.session == mine.session) || owner(above) == uid;
            return is_theirs.then_some(service);
        }
        if strangers.contains(&above) {
            break;
        }
        above = match stat(above) {
            Some(s) if s.ppid > 0 => s.ppid,
            _ => break,
        };
    }
    strangers.insert(pid);
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn key(storm: &Storm) -> Option<String> {
        storm.refusal(&Keep::default()).map(|text| text.key)
    }

    #[test]
    fn roots_processes_are_refused_whether_any_is_seen_or_not() {
        let since = |uid, ticks| Storm::Since { uid, ticks, group: "/".to_owned() };
        assert_eq!(key(&since(0, u64::MAX)).as_deref(), Some("outcome.refuse_storm"));
        assert_eq!(key(&since(65_000, 0)), None, "nobody has this number");
        let session = |id, uid| Storm::Session { id, uid };
        assert_eq!(key(&session(u32::MAX, 0)).as_deref(), Some("outcome.refuse_session"));
        assert_eq!(key(&session(1, 65_000)).as_deref(), Some("outcome.refuse_session"));
        assert_eq!(key(&session(0, 65_000)).as_deref(), Some("outcome.refuse_session"));
        assert_eq!(key(&session(u32::MAX, 65_000)), None);
        let ours = stat(std::process::id()).expect("we live").session;
        assert_eq!(key(&session(ours, 65_000)).as_deref(), Some("outcome.refuse_session"));
    }

    #[test]
    fn who_belongs_is_told_by_owner_group_and_start() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("spawn");
        let (pid, uid) = (child.id(), owner(child.id()).expect("it lives"));
        let seen = stat(pid).expect("it lives");
        let holds =
            |uid, ticks, group: &str| Storm::Since { uid, ticks, group: group.to_owned() }.holds(pid, seen);
        assert!(holds(uid, seen.start_ticks, "/") && holds(uid, 0, "/"));
        assert!(!holds(uid, seen.start_ticks + 1, "/"), "it began before");
        assert!(!holds(uid + 1, 0, "/"), "somebody else's");
        assert!(!holds(uid, 0, "/no-such-group"));
        let session = |id, uid| Storm::Session { id, uid }.holds(pid, seen);
        assert!(session(seen.session, uid));
        assert!(!session(seen.session + 1, uid) && !session(seen.session, uid + 1));
        child.kill().and_then(|()| child.wait()).expect("ours");
    }

    #[test]
    fn a_storm_has_a_name_for_people() {
        assert_eq!(Storm::Session { id: 42, uid: 7 }.name(), "session 42");
        let since = Storm::Since { uid: 7, ticks: 1, group: "/batch".to_owned() };
        assert_eq!(since.name(), "uid 7 in /batch");
    }
}
