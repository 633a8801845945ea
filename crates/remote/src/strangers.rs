//! Processes that belong to no service: ends those that are named, a storm of them at once, or makes them nice.
//!
//! The plan names them so that they cannot be mistaken: number and start, session and owner, or owner, group and start.

use rustix::process::{Pid, getpriority_process, setpriority_process};
use tokio::time::Instant;
use wellkept_model::keep::Keep;
use wellkept_model::{ProcessRef, ProcessSet, Text, TimestampMs, Undo};

use crate::Outcome;
use crate::cgroup;
use crate::identity::owner_of;
use crate::procs::stat;
use crate::signals::{self, list};
use crate::storm::{self, Storm};

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
        Ok(ProcessSet::Cgroup(path)) => cgroup::kill(keep, target, &path, deadline).await,
        Ok(ProcessSet::Session { id, uid }) => storm::end(keep, &Storm::Session { id, uid }, deadline).await,
        Ok(ProcessSet::Since { uid, ticks, group }) => {
            storm::end(keep, &Storm::Since { uid, ticks, group }, deadline).await
        }
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
