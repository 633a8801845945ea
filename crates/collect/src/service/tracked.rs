//! What is known of one service: its processes, its last end, its starts.

use std::collections::VecDeque;

use wellkept_model::TimestampMs;
use wellkept_model::observe::{LimitsSeen, ProcessEnd, STARTS_MAX, ServiceSeen};

use super::cgroup::Group;
use super::process::Process;

/// A start and an end nearer than this are in the order in which the kernel's clock ticks (10 ms) cannot tell them.
const TICK_MS: i64 = 20;

/// State of one service.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    /// Main process first.
    processes: Vec<Process>,
    last_end: Option<ProcessEnd>,
    starts: VecDeque<TimestampMs>,
    starts_total: u64,
    down_since: Option<TimestampMs>,
    ever_seen: bool,
    looked: bool,
    /// CPU time of processes that are gone, seconds: so the sum over all processes never falls.
    ended_cpu_seconds: f64,
    problem: Option<String>,
    group: Option<Group>,
    pub(super) limits: LimitsSeen,
}

impl Tracked {
    /// A main process was found that began at `started_at`; `None` when it ended before its numbers could be read.
    /// True when it began while we watched: then it counts as a start.
    pub(super) fn began(&mut self, started_at: TimestampMs, main: Option<Process>) -> bool {
        // Another process of the same service can become the main one; it began before the last one ended.
        let is_new = match &self.last_end {
            Some(end) => started_at.0 + TICK_MS >= end.at.0,
            None => self.down_since.is_some() || self.ever_seen,
        };
        let counts = self.looked && is_new;
        if counts {
            self.count_start(started_at);
        }
        if let Some(main) = main {
            self.group = Group::of(main.seen.pid);
            let narrowest = self.group.as_ref().and_then(|g| g.pids.clone());
            let pids_group = narrowest.or_else(|| crate::facts::table::pids_group(main.seen.pid));
            self.limits = LimitsSeen { fds: fds_limit(main.seen.pid), pids_group, ..LimitsSeen::default() };
            self.processes.retain(|p| p.seen.pid != main.seen.pid);
            self.processes.insert(0, main);
            self.down_since = None;
        }
        self.ever_seen = true;
        self.looked = true;
        counts
    }

    /// The main process ended. `all`: without it the others are no service any more.
    pub(super) fn ended(&mut self, end: ProcessEnd, all: bool) {
        self.fold(|p| all || p.seen.pid == end.pid);
        if self.processes.is_empty() {
            self.down_since = Some(end.at);
        }
        self.last_end = Some(end);
    }

    /// A main process began and ended between two looks.
    pub(super) fn missed(&mut self, end: ProcessEnd) {
        self.count_start(end.at);
        self.ever_seen = true;
        self.last_end = Some(end);
    }

    /// No main process was found.
    pub(super) fn absent(&mut self, now: TimestampMs) {
        self.fold(|_| true);
        self.down_since.get_or_insert(now);
        self.looked = true;
    }

    /// Which processes belong to the service now, besides the main one.
    pub(super) fn set_members(&mut self, pids: &[u32], now: TimestampMs) {
        let main = self.processes.first().map(|p| p.seen.pid);
        self.fold(|p| Some(p.seen.pid) != main && !pids.contains(&p.seen.pid));
        for &pid in pids {
            if !self.processes.iter().any(|p| p.seen.pid == pid) {
                self.processes.extend(Process::new(pid, now));
            }
        }
    }

    /// Reads all processes again; those that are gone leave their CPU time behind. The main process stays, with its
    /// last numbers, until its end is told by the pidfd: otherwise it would be gone without having ended.
    pub(super) fn refresh(&mut self, now: TimestampMs) {
        let mut gone = Vec::new();
        for (at, process) in self.processes.iter_mut().enumerate() {
            if !process.refresh(now) && at > 0 {
                gone.push(process.seen.pid);
            }
        }
        if !gone.is_empty() {
            self.fold(|p| gone.contains(&p.seen.pid));
        }
    }

    /// Reads the numbers of a main process that has just ended, as long as it is a zombie.
    pub(super) fn note_last_numbers(&mut self) {
        if let Some(main) = self.processes.first_mut() {
            let now = main.seen.state_since;
            main.refresh(now);
        }
    }

    /// Sets or clears what keeps us from knowing.
    pub(super) fn set_problem(&mut self, problem: Option<String>) {
        self.problem = problem;
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// True after the first look that could tell.
    pub(super) fn looked(&self) -> bool {
        self.looked
    }

    pub(super) fn processes(&self) -> &[Process] {
        &self.processes
    }

    pub(super) fn starts_total(&self) -> u64 {
        self.starts_total
    }

    /// The control group and the limits that are read from it.
    pub(super) fn group(&mut self) -> Option<(&mut Group, &mut LimitsSeen)> {
        self.group.as_mut().map(|group| (group, &mut self.limits))
    }

    /// CPU time of all processes that the service ever had under our eyes, seconds. Never falls.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.ended_cpu_seconds + self.processes.iter().map(|p| p.seen.cpu_seconds).sum::<f64>()
    }

    /// As the detectors get it.
    pub(super) fn seen(&self) -> ServiceSeen {
        ServiceSeen {
            processes: self.processes.iter().map(|p| p.seen.clone()).collect(),
            last_end: self.last_end.clone(),
            starts: self.starts.iter().copied().collect(),
            down_since: self.down_since,
            ever_seen: self.ever_seen,
            limits: self.limits.clone(),
        }
    }

    fn count_start(&mut self, at: TimestampMs) {
        if self.starts.len() == STARTS_MAX {
            self.starts.pop_front();
        }
        self.starts.push_back(at);
        self.starts_total += 1;
    }

    fn fold(&mut self, is_gone: impl Fn(&Process) -> bool) {
        let ended = &mut self.ended_cpu_seconds;
        self.processes.retain(|p| {
            let gone = is_gone(p);
            if gone {
                *ended += p.seen.cpu_seconds;
            }
            !gone
        });
        if self.processes.is_empty() {
            self.group = None;
            self.limits = LimitsSeen::default();
        }
    }
}

/// The soft limit of open descriptors; `None` for none.
fn fds_limit(pid: u32) -> Option<u64> {
    let text = crate::source::read_once(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::observe::Exit;

    fn us(now: i64) -> Process {
        Process::new(std::process::id(), TimestampMs(now)).expect("we are there")
    }

    fn end(at: i64) -> ProcessEnd {
        ProcessEnd { pid: std::process::id(), started_at: None, at: TimestampMs(at), exit: Exit::Code(1) }
    }

    fn began_at(t: &mut Tracked, now: i64) -> bool {
        let us = us(now);
        t.began(us.seen.started_at, Some(us))
    }

    #[test]
    fn a_service_that_ran_before_us_was_not_started_under_our_eyes() {
        let mut t = Tracked::default();
        assert!(!t.began(TimestampMs(10_000_000), Some(us(10_000_000))));
        assert_eq!((t.starts_total(), t.seen().ever_seen, t.seen().down_since), (0, true, None));
    }

    #[test]
    fn a_start_after_we_saw_it_down_counts() {
        let mut t = Tracked::default();
        t.absent(TimestampMs(1));
        assert_eq!((t.seen().ever_seen, t.seen().down_since), (false, Some(TimestampMs(1))));
        assert!(t.began(TimestampMs(10_000_000), Some(us(10_000_000))));
        assert_eq!((t.starts_total(), t.seen().down_since), (1, None));
    }

    #[test]
    fn a_process_that_already_ran_when_the_main_one_ended_is_no_new_start() {
        let mut t = Tracked::default();
        let now = 1_000_000_000;
        began_at(&mut t, now);
        t.ended(end(now + 500_000_000), true);
        assert!(!began_at(&mut t, now));
    }

    #[test]
    fn processor_time_does_not_fall_when_a_process_ends() {
        let mut t = Tracked::default();
        t.began(TimestampMs(10_000_000), Some(us(10_000_000)));
        t.processes[0].seen.cpu_seconds = 7.5;
        t.ended(end(10_000_001), true);
        assert!((t.cpu_seconds() - 7.5).abs() < 1e-9);
        assert_eq!(t.seen().down_since, Some(TimestampMs(10_000_001)));
    }

    #[test]
    fn starts_are_bounded_and_their_count_is_not() {
        let mut t = Tracked::default();
        for at in 0..100 {
            t.missed(end(at));
        }
        let seen = t.seen();
        assert_eq!((seen.starts.len(), t.starts_total()), (STARTS_MAX, 100));
        assert_eq!(seen.starts.last(), Some(&TimestampMs(99)));
    }
}
