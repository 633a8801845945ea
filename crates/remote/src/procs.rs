//! Processes by pidfd: a number may be given to another process at any time, a pidfd never is.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};
use wellkept_model::TimestampMs;

/// Kernel threads carry this flag in `/proc/<pid>/stat`.
const PF_KTHREAD: u64 = 0x0020_0000;
/// How much later than `now` a process may seem to have begun: the kernel gives the boot time in whole seconds.
const START_SLACK_MS: i64 = 2000;
/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) ppid: u32,
    pub(crate) session: u32,
    pub(crate) flags: u64,
    pub(crate) start_ticks: u64,
}

impl Stat {
    pub(crate) fn lives(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    pub(crate) fn is_kernel_thread(self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

/// `None` when there is no such process, or it cannot be read.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read_proc(&format!("/proc/{pid}/stat"), 4096).ok()?)
}

/// Who a process belongs to.
pub(crate) fn owner(pid: u32) -> Option<u32> {
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// The name may hold blanks and brackets, so counting begins after the last bracket.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// At most `max` bytes of a file below `/proc` or `/sys`.
pub(crate) fn read_proc(path: &str, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All process ids.
pub(crate) fn all_pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// When a process began; `None` when the boot time cannot be read.
fn started_at(stat: Stat) -> Option<TimestampMs> {
    let text = read_proc("/proc/stat", 1024 * 1024).ok()?;
    let text = String::from_utf8_lossy(&text);
    let boot: i64 = text.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks = i64::try_from(stat.start_ticks).ok()?;
    let per_second = i64::try_from(rustix::param::clock_ticks_per_second()).ok()?.max(1);
    Some(TimestampMs(boot.saturating_mul(1000).saturating_add(ticks.saturating_mul(1000) / per_second)))
}

/// A process that cannot be mistaken for another one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    fd: OwnedFd,
}

/// Why there is no handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoProcess {
    /// It has ended.
    Gone,
    /// The number belongs to a process that began after it was seen.
    Another,
    /// The kernel refused.
    Refused,
}

impl Process {
    /// The process that had this number at `seen_at`.
    pub(crate) fn open(pid: u32, seen_at: TimestampMs) -> Result<Self, NoProcess> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NoProcess::Gone)?;
        let before = stat(pid).filter(|s| s.lives()).ok_or(NoProcess::Gone)?;
        let fd = pidfd_open(raw, PidfdFlags::empty()).map_err(|e| match e {
            rustix::io::Errno::SRCH => NoProcess::Gone,
            _ => NoProcess::Refused,
        })?;
        // The same start before and after opening proves that the descriptor belongs to the process we read about.
        let after = stat(pid).ok_or(NoProcess::Gone)?;
        let late = started_at(before).is_some_and(|at| at.0 > seen_at.0.saturating_add(START_SLACK_MS));
        if before.start_ticks != after.start_ticks || late {
            return Err(NoProcess::Another);
        }
        Ok(Self { pid, fd })
    }

    /// Sends a signal; false when it has ended already.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits for its end, at most until `deadline`; true when it has ended.
    pub(crate) async fn ended_by(&self, deadline: Instant) -> bool {
        loop {
            if self.has_ended() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// A pidfd becomes readable when its process ends, before its parent takes the exit status.
    fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(ready) if ready > 0)
    }
}

/// Waits for the end of all, at most until `deadline`; those that still live.
pub(crate) async fn survivors(processes: &[Process], deadline: Instant) -> Vec<&Process> {
    let mut alive = Vec::new();
    for process in processes {
        if !process.ended_by(deadline).await {
            alive.push(process);
        }
    }
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let text = b"7 (a) b (c)) S 1 7 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let stat = parse_stat(text).expect("parses");
        assert_eq!((stat.state, stat.session, stat.start_ticks), ('S', 9, 4242));
        assert!(stat.lives() && !stat.is_kernel_thread());
    }

    #[test]
    fn cut_off_text_gives_nothing() {
        for text in [&b""[..], b"7 (x", b"7 (x) S 1 2"] {
            assert_eq!(parse_stat(text), None);
        }
    }

    #[test]
    fn a_process_that_began_after_it_was_seen_is_another_one() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("spawn");
        assert_eq!(Process::open(child.id(), TimestampMs(0)).expect_err("another"), NoProcess::Another);
        child.kill().expect("kill");
        child.wait().expect("reap");
        assert_eq!(Process::open(child.id(), TimestampMs(i64::MAX)).expect_err("gone"), NoProcess::Gone);
    }
}
