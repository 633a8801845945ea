//! Processes that belong to no service: ends those that are named, a whole session at once, or makes them nice.
//!
//! The plan names them so that they cannot be mistaken: number and start, or session and owner. A session that forks
//! without end is frozen first: killing one by one loses the race against it, and what is stopped cannot fork.

use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal, getpriority_process, setpriority_process};
use tokio::time::{Duration, Instant, sleep};
use wellkept_model::keep::Keep;
use wellkept_model::{ProcessRef, ProcessSet, Text, TimestampMs, Undo};

use crate::Outcome;
use crate::cgroup;
use crate::identity::{owner_of, processes_of};
use crate::procs::{Process, all_pids, stat};
use crate::signals::{self, list};

/// Most processes of a session.
const SESSION_MAX: usize = 50_000;
/// How often the members of a session are looked for while it is frozen.
const FREEZES_MAX: usize = 100;
/// Time between two looks whether all have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How nice a whole session gets: both together would starve it, and it shall give way, not stand still.
const SESSION_NICE: i32 = 5;
/// The nicest that a process can be.
const NICEST: i32 = 19;

/// Ends the processes that the subject of an action names.
pub(crate) async fn kill(
    keep: &Keep,
    target: &str,
    subject: &str,
    now: TimestampMs,
    deadline: Instant,
) -> Outcome {
    match subject.parse::<ProcessSet>() {
        Err(e) => Outcome::failed(Text::new("outcome.no_target").with("target", target).with("error", e)),
        Ok(ProcessSet::Some(processes)) => match same(&processes) {
            Err(refused) => refused,
            Ok(pids) => signals::kill(keep, target, &pids, now, deadline).await,
        },
        Ok(ProcessSet::Session { id, uid }) => kill_session(keep, id, uid, deadline).await,
        Ok(ProcessSet::Cgroup(path)) => cgroup::kill(keep, target, &path, deadline).await,
    }
}

/// Those that still live. A number that belongs to another process now refuses the whole action.
fn same(processes: &[ProcessRef]) -> Result<Vec<u32>, Outcome> {
    let mut pids = Vec::new();
    for process in processes {
        match stat(process.pid) {
            Some(now) if now.start_ticks != process.start_ticks => {
                return Err(Outcome::failed(Text::new("outcome.pid_reused").with("pid", process.pid)));
            }
            Some(now) if now.lives() => pids.push(process.pid),
            _ => {}
        }
    }
    Ok(pids)
}

async fn kill_session(keep: &Keep, id: u32, uid: u32, deadline: Instant) -> Outcome {
    if let Some(text) = refuse_session(keep, id, uid) {
        return Outcome::failed(text);
    }
    let mut frozen = 0;
    for _ in 0..FREEZES_MAX {
        let running: Vec<u32> = members(id, uid, |state| state != 'T');
        if running.is_empty() {
            break;
        }
        frozen += running.len();
        running.into_iter().for_each(|pid| send(pid, id, uid, Signal::STOP));
        if Instant::now() >= deadline {
            break;
        }
    }
    let all = members(id, uid, |_| true).len();
    if all == 0 {
        return Outcome::failed(Text::new("outcome.no_process").with("target", format!("session {id}")));
    }
    loop {
        let left = members(id, uid, |_| true);
        if left.is_empty() {
            let text = Text::new("outcome.session_killed")
                .with("session", id)
                .with("count", all.max(frozen.min(all)));
            return Outcome::succeeded(text);
        }
        if Instant::now() >= deadline {
            return Outcome::unknown(
                Text::new("outcome.survived").with("pids", list(left.get(..10).unwrap_or(&left))),
            );
        }
        left.into_iter().for_each(|pid| send(pid, id, uid, Signal::KILL));
        sleep(LOOK_EVERY).await;
    }
}

/// Root's sessions, our own, and those in which a process of a declared service is are never ended.
fn refuse_session(keep: &Keep, id: u32, uid: u32) -> Option<Text> {
    let ours = stat(std::process::id()).map(|s| s.session);
    if id <= 1 || uid == 0 || ours == Some(id) {
        return Some(Text::new("outcome.refuse_session").with("session", id));
    }
    let of_service = keep.services.values().find(|service| {
        let sessions = processes_of(&service.identity).into_iter().filter_map(stat).map(|s| s.session);
        sessions.into_iter().any(|session| session == id)
    });
    of_service.map(|s| Text::new("outcome.refuse_service").with("pid", id).with("service", &s.name))
}

/// Living processes of a session that belong to this user.
fn members(id: u32, uid: u32, wanted: impl Fn(char) -> bool) -> Vec<u32> {
    let pids = all_pids().unwrap_or_default();
    let is_member = |pid: &u32| {
        stat(*pid).is_some_and(|s| s.session == id && s.lives() && !s.is_kernel_thread() && wanted(s.state))
            && owner(*pid) == Some(uid)
    };
    pids.into_iter().filter(is_member).take(SESSION_MAX).collect()
}

fn owner(pid: u32) -> Option<u32> {
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// Through a pidfd, after a look at what it belongs to: the number may have gone to somebody else meanwhile.
fn send(pid: u32, session: u32, uid: u32, signal: Signal) {
    let Ok(process) = Process::open(pid, TimestampMs(i64::MAX)) else { return };
    if stat(pid).is_some_and(|s| s.session == session) && owner(pid) == Some(uid) {
        // One that has ended meanwhile is what we want; one that may not be signalled is found alive at the end.
        let _ = process.signal(signal);
    }
}

/// Makes processes as nice as can be, with all their threads; gives the old values for the undo.
pub(crate) fn slow_down(keep: &Keep, target: &str, subject: &str) -> Outcome {
    let Ok(ProcessSet::Some(processes)) = subject.parse::<ProcessSet>() else {
        return Outcome::failed(Text::new("outcome.no_target").with("target", target).with("error", subject));
    };
    let pids = match same(&processes) {
        Ok(pids) => pids,
        Err(refused) => return refused,
    };
    if pids.is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", target));
    }
    if let Some(text) = signals::refusal(&pids) {
        return Outcome::failed(text);
    }
    if let Some((pid, service)) = pids.iter().find_map(|p| Some((*p, owner_of(keep, *p)?))) {
        return Outcome::failed(
            Text::new("outcome.refuse_service").with("pid", pid).with("service", service),
        );
    }
    let mut before = Vec::new();
    for process in processes.iter().filter(|p| pids.contains(&p.pid)) {
        let old = pid_of(process.pid).and_then(|p| getpriority_process(Some(p)).ok()).unwrap_or(0);
        before.push((process.to_string(), old));
        if let Err(e) = renice(process.pid, NICEST) {
            let text = Text::new("outcome.signal_failed").with("pid", process.pid).with("error", e);
            return Outcome::failed(text).with_undo(Undo::Renice { before });
        }
    }
    Outcome::succeeded(Text::new("outcome.slowed_down").with("pids", list(&pids)))
        .with_undo(Undo::Renice { before })
}

/// Gives processes their old priority back; those that have ended need none.
pub(crate) fn renice_back(target: &str, before: &[(String, i32)]) -> Outcome {
    for (process, nice) in before {
        let Ok(process) = process.parse::<ProcessRef>() else {
            return Outcome::failed(
                Text::new("outcome.no_target").with("target", target).with("error", process),
            );
        };
        if stat(process.pid).is_some_and(|s| s.start_ticks == process.start_ticks)
            && let Err(e) = renice(process.pid, *nice)
        {
            return Outcome::failed(
                Text::new("outcome.signal_failed").with("pid", process.pid).with("error", e),
            );
        }
    }
    Outcome::succeeded(Text::new("outcome.reniced_back").with("target", target))
}

/// Nice values belong to threads. Where the kernel groups tasks by session, the session's weight must follow, or the
/// nice value has no effect on others.
fn renice(pid: u32, nice: i32) -> std::io::Result<()> {
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let thread = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(pid_of);
        match thread.map(|t| setpriority_process(Some(t), nice)) {
            Some(Err(rustix::io::Errno::SRCH)) | Some(Ok(())) | None => {}
            Some(Err(e)) => return Err(e.into()),
        }
    }
    // Kernels without this grouping have no such file.
    let _ = std::fs::write(format!("/proc/{pid}/autogroup"), nice.min(SESSION_NICE).to_string());
    Ok(())
}

fn pid_of(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}
