//! Numbers of one process, read each round.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use wellkept_model::TimestampMs;
use wellkept_model::observe::ProcessSeen;

use crate::clock;
use crate::proc_stat;
use crate::source::{Source, read_once};

/// Most descriptors that are counted one by one on kernels before 6.2.
const FDS_MAX: usize = 1_000_000;

/// One process of a service. Identity is pid and start time together: a pid alone is given out again.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) start_ticks: u64,
    pub(super) seen: ProcessSeen,
    stat: Source,
    /// The folder `/proc/<pid>/fd`, open; its size is the number of descriptors since Linux 6.2.
    fds: Option<File>,
}

/// What identifies a process and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identified {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) state: char,
}

/// The process that has this number now; `None` when there is none.
pub(super) fn identify(pid: u32) -> Option<Identified> {
    let text = read_once(format!("/proc/{pid}/stat")).ok()?;
    let stat = proc_stat::parse(&text)?;
    Some(Identified { pid, start_ticks: stat.start_ticks, state: stat.state })
}

/// Wall-clock time of a moment that the kernel counts in ticks since the host's start.
pub(super) fn at_ticks(start_ticks: u64, now: TimestampMs) -> TimestampMs {
    let since_start = clock::since_boot().saturating_sub(ticks(start_ticks));
    now - since_start
}

fn ticks(count: u64) -> std::time::Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    std::time::Duration::from_millis(count.saturating_mul(1000) / per_second)
}

/// Effective user of a process.
pub(super) fn uid(pid: u32) -> Option<u32> {
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

impl Process {
    /// Reads a process for the first time; `None` when it is gone.
    pub(super) fn new(pid: u32, now: TimestampMs) -> Option<Self> {
        let mut process = Self {
            start_ticks: 0,
            seen: ProcessSeen {
                pid,
                started_at: now,
                state: ' ',
                state_since: now,
                cpu_seconds: 0.0,
                rss_bytes: 0,
                open_fds: None,
                threads: 0,
                uid: uid(pid)?,
                comm: String::new(),
            },
            stat: Source::new(format!("/proc/{pid}/stat")),
            fds: File::open(format!("/proc/{pid}/fd")).ok(),
        };
        process.start_ticks = identify(pid)?.start_ticks;
        process.seen.started_at = at_ticks(process.start_ticks, now);
        process.refresh(now).then_some(process)
    }

    /// Reads it again. False when it is gone or its number belongs to another process now; its numbers then stay
    /// what they were last.
    pub(super) fn refresh(&mut self, now: TimestampMs) -> bool {
        let Some(stat) = self.stat.read().ok().and_then(proc_stat::parse) else { return false };
        if stat.start_ticks != self.start_ticks {
            return false;
        }
        let seen = &mut self.seen;
        if stat.state != seen.state && !(is_active(stat.state) && is_active(seen.state)) {
            seen.state_since = now;
        }
        seen.state = stat.state;
        seen.cpu_seconds = ticks(stat.cpu_ticks).as_secs_f64();
        seen.rss_bytes = stat.rss_pages.saturating_mul(rustix::param::page_size() as u64);
        seen.threads = stat.threads;
        if seen.comm != stat.comm {
            stat.comm.clone_into(&mut seen.comm);
        }
        seen.open_fds = self.fds.as_ref().and_then(|dir| count_fds(dir, seen.pid));
        true
    }
}

/// Running and sleeping alternate thousands of times a second; that is one state to a person.
fn is_active(state: char) -> bool {
    matches!(state, 'R' | 'S')
}

fn count_fds(dir: &File, pid: u32) -> Option<u64> {
    match dir.metadata() {
        Ok(meta) if meta.size() > 0 => Some(meta.size()),
        Ok(_) => {
            let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            u64::try_from(entries.take(FDS_MAX).count()).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn this_process_has_sane_numbers() {
        let now = clock::wall();
        let process = Process::new(std::process::id(), now).expect("we are there");
        let seen = &process.seen;
        assert!(seen.rss_bytes > 100_000 && seen.threads >= 1 && seen.open_fds.expect("our own") >= 3);
        assert!(seen.started_at <= now && now.since(seen.started_at) < Duration::from_secs(3600));
        assert_eq!(Some(seen.uid), uid(std::process::id()));
    }

    #[test]
    fn a_number_that_belongs_to_another_process_now_is_not_ours() {
        let now = clock::wall();
        let mut process = Process::new(std::process::id(), now).expect("we are there");
        process.start_ticks += 1;
        assert!(!process.refresh(now));
    }
}
