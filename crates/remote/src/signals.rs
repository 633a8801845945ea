//! Resume, stop and kill: signals to processes that are proven to be the ones meant.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use wellkept_model::keep::Keep;
use wellkept_model::{Text, TimestampMs, Undo};

use crate::Outcome;
use crate::identity::owner_of;
use crate::procs::{NoProcess, Process, stat, survivors};

/// How long a process gets between SIGTERM and SIGKILL.
pub(crate) const TERM_WAIT: Duration = Duration::from_secs(10);
/// How long the kernel gets to end a process after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Most processes that one action may signal.
const TARGETS_MAX: usize = 64;

/// Lets stopped processes go on.
pub(crate) fn resume(target: &str, pids: &[u32], now: TimestampMs) -> Outcome {
    let stopped: Vec<u32> =
        pids.iter().copied().filter(|p| stat(*p).is_some_and(|s| s.state == 'T')).collect();
    if pids.is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", target));
    }
    if stopped.is_empty() {
        return Outcome::failed(Text::new("outcome.not_stopped").with("target", target));
    }
    match signal_all(&stopped, now, Signal::CONT) {
        Ok(()) => Outcome::succeeded(
            Text::new("outcome.resumed").with("target", target).with("pids", list(&stopped)),
        )
        .with_undo(Undo::Stop),
        Err(refused) => refused,
    }
}

/// Sends processes into the stopped state: the undo of [`resume`].
pub(crate) fn stop_again(target: &str, pids: &[u32], now: TimestampMs) -> Outcome {
    if pids.is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", target));
    }
    match signal_all(pids, now, Signal::STOP) {
        Ok(()) => Outcome::succeeded(
            Text::new("outcome.stopped_again").with("target", target).with("pids", list(pids)),
        ),
        Err(refused) => refused,
    }
}

/// Ends processes that belong to no declared service: SIGTERM, then SIGKILL to what is left. All or none.
pub(crate) async fn kill(
    keep: &Keep,
    target: &str,
    pids: &[u32],
    now: TimestampMs,
    deadline: Instant,
) -> Outcome {
    if pids.is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", target));
    }
    if let Some(text) = refusal(pids) {
        return Outcome::failed(text);
    }
    for pid in pids {
        if let Some(service) = owner_of(keep, *pid) {
            let text = Text::new("outcome.refuse_service").with("pid", pid).with("service", service);
            return Outcome::failed(text);
        }
    }
    let processes = match open_all(pids, now) {
        Ok(processes) => processes,
        Err(refused) => return refused,
    };
    if processes.is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", target));
    }
    let killed = end_all(&processes, deadline).await;
    match killed {
        Ok(forced) if forced.is_empty() => {
            Outcome::succeeded(Text::new("outcome.killed").with("pids", list(pids)))
        }
        Ok(forced) => Outcome::succeeded(
            Text::new("outcome.killed_by_force").with("pids", list(pids)).with("forced", list(&forced)),
        ),
        Err(text) => Outcome::unknown(text),
    }
}

/// SIGTERM (and SIGCONT, because a stopped process does not hear it), wait, SIGKILL, wait. Gives the processes that
/// needed SIGKILL; an error names those that live on.
pub(crate) async fn end_all(processes: &[Process], deadline: Instant) -> Result<Vec<u32>, Text> {
    for process in processes {
        let sent = process.signal(Signal::TERM).and_then(|_| process.signal(Signal::CONT));
        if let Err(e) = sent {
            return Err(signal_failed(process.pid, &e));
        }
    }
    let patience = (Instant::now() + TERM_WAIT).min(deadline);
    let stubborn = survivors(processes, patience).await;
    for process in &stubborn {
        if let Err(e) = process.signal(Signal::KILL) {
            return Err(signal_failed(process.pid, &e));
        }
    }
    let forced: Vec<u32> = stubborn.iter().map(|p| p.pid).collect();
    let alive = survivors(processes, Instant::now() + KILL_WAIT).await;
    if alive.is_empty() {
        return Ok(forced);
    }
    let alive: Vec<u32> = alive.iter().map(|p| p.pid).collect();
    Err(Text::new("outcome.survived").with("pids", list(&alive)))
}

/// Why these processes must never be signalled; `None` when they may be.
pub(crate) fn refusal(pids: &[u32]) -> Option<Text> {
    if pids.len() > TARGETS_MAX {
        return Some(Text::new("outcome.too_many").with("count", pids.len()).with("max", TARGETS_MAX));
    }
    pids.iter().find_map(|&pid| {
        let why = if pid <= 1 {
            "outcome.refuse_init"
        } else if pid == std::process::id() {
            "outcome.refuse_own"
        } else if stat(pid).is_some_and(|s| s.is_kernel_thread()) {
            "outcome.refuse_kernel"
        } else {
            return None;
        };
        Some(Text::new(why).with("pid", pid))
    })
}

/// Handles of those that still live. A number that belongs to another process now refuses the whole action: what the
/// plan saw is no longer so.
pub(crate) fn open_all(pids: &[u32], now: TimestampMs) -> Result<Vec<Process>, Outcome> {
    let mut processes = Vec::with_capacity(pids.len());
    for &pid in pids {
        match Process::open(pid, now) {
            Ok(process) => processes.push(process),
            Err(NoProcess::Gone) => {}
            Err(NoProcess::Another) => {
                return Err(Outcome::failed(Text::new("outcome.pid_reused").with("pid", pid)));
            }
            Err(NoProcess::Refused) => {
                return Err(Outcome::failed(Text::new("outcome.pid_refused").with("pid", pid)));
            }
        }
    }
    Ok(processes)
}

fn signal_all(pids: &[u32], now: TimestampMs, signal: Signal) -> Result<(), Outcome> {
    if let Some(text) = refusal(pids) {
        return Err(Outcome::failed(text));
    }
    let processes = open_all(pids, now)?;
    if processes.is_empty() {
        return Err(Outcome::failed(Text::new("outcome.no_process").with("target", list(pids))));
    }
    for process in &processes {
        if let Err(e) = process.signal(signal) {
            return Err(Outcome::failed(signal_failed(process.pid, &e)));
        }
    }
    Ok(())
}

fn signal_failed(pid: u32, error: &std::io::Error) -> Text {
    Text::new("outcome.signal_failed").with("pid", pid).with("error", error)
}

pub(crate) fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
