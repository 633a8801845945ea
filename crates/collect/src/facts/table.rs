//! All processes of the host, summed up: unreaped children, crowds of one program, who uses the processors.
//!
//! One file per process is read, so the more there are, the longer we wait until the next look: the cost a round stays
//! the same. Only sums are told, and of processes that stand out.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use wellkept_model::local::{ConsumerSeen, ProcessTableSeen, TasksSeen, ZombiesSeen};
use wellkept_model::observe::{LimitsSeen, ServiceSeen};
use wellkept_model::{ProcessRef, TimestampMs};

use super::crowds::{crowds, swarms};
use crate::accounts::Accounts;
use crate::clock;
use crate::pace::Pace;
use crate::proc_stat;
use crate::source::{Source, read_once};

/// Fewest and most rounds between two looks: two minutes at one a second.
const ROUNDS: (u64, u64) = (3, 120);
/// What a look may cost, spread over the rounds: 0.05 % of a core at one round a second.
const COST_A_ROUND: Duration = Duration::from_micros(500);
/// Processes that are read in one look.
const PROCESSES_MAX: usize = 100_000;
/// Least use of processors that is told.
const CORES_MIN: f64 = 0.1;
/// Pressure from which it is looked at who waits.
const PRESSURE_MIN: f64 = 0.05;
/// Processes of services, and threads of each, whose waiting is looked at.
const OWNED_MAX: usize = 256;
const THREADS_MAX: usize = 64;
/// Entries of each list.
pub(super) const LIST_MAX: usize = 10;

/// The process table, with what the last look gave.
#[derive(Debug)]
pub(crate) struct Table {
    pressure: Source,
    waited: Option<f64>,
    cpu: HashMap<ProcessRef, u64>,
    waits: HashMap<u32, (f64, f64)>,
    looked: Option<Instant>,
    pace: Pace,
    last: Option<ProcessTableSeen>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            pressure: Source::new("/proc/pressure/cpu"),
            waited: None,
            cpu: HashMap::new(),
            waits: HashMap::new(),
            looked: None,
            pace: Pace::new(ROUNDS, COST_A_ROUND),
            last: None,
        }
    }
}

/// One process as a look finds it.
pub(super) struct Row {
    pub(super) process: ProcessRef,
    pub(super) comm: String,
    pub(super) state: char,
    pub(super) ppid: u32,
    pub(super) session: u32,
    pub(super) nice: i32,
    pub(super) cpu_ticks: u64,
}

impl Table {
    /// The last look; a new one when its time has come.
    pub(crate) fn read(
        &mut self,
        now: TimestampMs,
        services: &BTreeMap<String, ServiceSeen>,
        tasks: Option<TasksSeen>,
    ) -> Option<ProcessTableSeen> {
        let crowded = services.values().any(|s| is_crowded(&s.limits))
            || tasks.is_some_and(|t| is_nearly(t.used, t.limit));
        if self.pace.is_due(crowded) {
            let mut pace = self.pace;
            self.last = pace.measure(|| self.look(now, clock::monotonic(), services, crowded));
            if self.is_pressed() {
                pace.hurry();
            }
            self.pace = pace;
        }
        self.last.clone()
    }

    /// True while tasks wait for processors: then it matters soon who takes them.
    fn is_pressed(&self) -> bool {
        self.last.as_ref().is_some_and(|t| t.cpu_pressure.is_some_and(|p| p >= PRESSURE_MIN))
    }

    fn look(
        &mut self,
        now: TimestampMs,
        began: Instant,
        services: &BTreeMap<String, ServiceSeen>,
        crowded: bool,
    ) -> Option<ProcessTableSeen> {
        let elapsed = self.looked.replace(began).map(|before| (began - before).as_secs_f64());
        let rows = rows()?;
        let owners = owners(&rows, services);
        let waited = self.pressure.read().ok().and_then(waited_seconds);
        let waited_before = std::mem::replace(&mut self.waited, waited);
        let cpu_pressure = elapsed.and_then(|e| Some(((waited? - waited_before?) / e).clamp(0.0, 1.0)));
        let seen = ProcessTableSeen {
            at: now,
            cores: u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1),
            cpu_pressure,
            services_wait: self.services_wait(&owners, cpu_pressure),
            zombies: zombies(&rows, &owners),
            crowds: crowds(&rows, &owners),
            swarms: if crowded { swarms(&rows, &owners) } else { Vec::new() },
            consumers: elapsed.map(|e| self.consumers(&rows, &owners, e)).unwrap_or_default(),
        };
        self.cpu = rows.iter().map(|r| (r.process, r.cpu_ticks)).collect();
        Some(seen)
    }

    /// Compares threads that were there at the look before; `None` when nobody waits, or nothing can be compared.
    fn services_wait(&mut self, owners: &Owners, pressure: Option<f64>) -> Option<f64> {
        if pressure.is_none_or(|p| p < PRESSURE_MIN) {
            self.waits.clear();
            return None;
        }
        let threads = owners.keys().take(OWNED_MAX).flat_map(|pid| threads(*pid));
        let now: HashMap<u32, (f64, f64)> =
            threads.filter_map(|tid| Some((tid, run_and_wait(tid)?))).collect();
        let (mut run, mut wait) = (0.0, 0.0);
        for (tid, (ran, waited)) in &now {
            if let Some((ran_before, waited_before)) = self.waits.get(tid) {
                run += ran - ran_before;
                wait += waited - waited_before;
            }
        }
        self.waits = now;
        (run + wait > 0.0).then(|| wait / (run + wait))
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of a few seconds")]
    fn consumers(&self, rows: &[Row], owners: &Owners, elapsed: f64) -> Vec<ConsumerSeen> {
        let per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
        let used = |r: &Row| {
            // One that began since then used all it has; what is not known yet counts from its beginning.
            let ticks = r.cpu_ticks.saturating_sub(self.cpu.get(&r.process).copied().unwrap_or(0));
            ticks as f64 / per_second / elapsed.max(0.1)
        };
        let mut busy: Vec<(f64, &Row)> =
            rows.iter().map(|r| (used(r), r)).filter(|(cores, _)| *cores >= CORES_MIN).collect();
        busy.sort_by(|a, b| b.0.total_cmp(&a.0));
        busy.truncate(LIST_MAX);
        let accounts = if busy.is_empty() { Accounts::default() } else { Accounts::read() };
        let seen = |(cores, r): (f64, &Row)| {
            let uid = uid(r.process.pid)?;
            Some(ConsumerSeen {
                process: r.process,
                comm: r.comm.clone(),
                user: accounts.name(uid),
                nice: r.nice,
                service: owners.get(&r.process.pid).cloned(),
                cores,
            })
        };
        busy.into_iter().filter_map(seen).collect()
    }
}

/// True when process numbers run out: then it matters who has them.
fn is_crowded(limits: &LimitsSeen) -> bool {
    is_nearly(limits.pids_used.unwrap_or(0), limits.pids.unwrap_or(u64::MAX))
}

fn is_nearly(used: u64, limit: u64) -> bool {
    used.saturating_mul(10) >= limit.saturating_mul(8)
}

/// Service by process.
pub(super) type Owners = HashMap<u32, String>;

/// A descendant of a service's main process belongs to it when it shares its session or its user: what a scheduler
/// or a login daemon starts for somebody else does not.
fn owners(rows: &[Row], services: &BTreeMap<String, ServiceSeen>) -> Owners {
    let sessions: HashMap<u32, u32> = rows.iter().map(|r| (r.process.pid, r.session)).collect();
    let mut owners = Owners::new();
    for (name, service) in services {
        let Some(main) = service.processes.first() else { continue };
        for process in &service.processes {
            let same_session = sessions.get(&process.pid) == sessions.get(&main.pid);
            if process.uid == main.uid || same_session {
                owners.insert(process.pid, name.clone());
            }
        }
    }
    owners
}

fn rows() -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten().take(PROCESSES_MAX) {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        // A process that ends while we look is simply left out.
        let Ok(text) = read_once(format!("/proc/{pid}/stat")) else { continue };
        let Some(stat) = proc_stat::parse(&text) else { continue };
        rows.push(Row {
            process: ProcessRef { pid, start_ticks: stat.start_ticks },
            comm: stat.comm.to_owned(),
            state: stat.state,
            ppid: stat.ppid,
            session: stat.session,
            nice: stat.nice,
            cpu_ticks: stat.cpu_ticks,
        });
    }
    Some(rows)
}

fn zombies(rows: &[Row], owners: &Owners) -> Vec<ZombiesSeen> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for row in rows.iter().filter(|r| r.state == 'Z') {
        *counts.entry(row.ppid).or_default() += 1;
    }
    let comm = |pid: u32| rows.iter().find(|r| r.process.pid == pid).map(|r| r.comm.clone());
    let seen = |(parent, count): (u32, u32)| {
        let service = owners.get(&parent).cloned();
        ZombiesSeen { parent, comm: comm(parent).unwrap_or_default(), service, count }
    };
    let mut found: Vec<ZombiesSeen> = counts.into_iter().map(seen).collect();
    found.sort_by_key(|z| (std::cmp::Reverse(z.count), z.parent));
    found.truncate(LIST_MAX);
    found
}

pub(super) fn uid(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// The control group in which processes are counted; in version 2 there is only one.
pub(crate) fn pids_group(pid: u32) -> Option<String> {
    let text = read_once(format!("/proc/{pid}/cgroup")).ok()?;
    let of = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let is_it = parts.next()?.split(',').any(|c| c == wanted);
            is_it.then(|| parts.next().map(str::to_owned))?
        })
    };
    of("pids").or_else(|| of(""))
}

fn threads(pid: u32) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).take(THREADS_MAX)
}

/// Time on a processor and in line for one, nanoseconds.
fn run_and_wait(tid: u32) -> Option<(f64, f64)> {
    let text = read_once(format!("/proc/{tid}/schedstat")).ok()?;
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Total time in which a task waited, seconds.
fn waited_seconds(text: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.starts_with("some "))?;
    let total: f64 = line.rsplit_once("total=")?.1.trim().parse().ok()?;
    Some(total / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn look(table: &mut Table) -> ProcessTableSeen {
        table.pace = Pace::new(ROUNDS, COST_A_ROUND);
        table.read(TimestampMs(1), &BTreeMap::new(), None).expect("there is /proc")
    }

    #[test]
    fn a_child_that_nobody_waited_for_is_counted_with_its_parent() {
        let mut table = Table::default();
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().expect("it can be started");
        let ours =
            |seen: ProcessTableSeen| seen.zombies.iter().find(|z| z.parent == std::process::id()).cloned();
        while ours(look(&mut table)).is_none() {
            std::thread::yield_now();
        }
        child.wait().expect("it ended");
    }

    #[test]
    fn a_process_that_uses_a_processor_is_named_with_its_owner() {
        let mut table = Table::default();
        look(&mut table);
        let mut child =
            Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("it can be started");
        let found = loop {
            let seen = look(&mut table);
            if let Some(c) = seen.consumers.iter().find(|c| c.process.pid == child.id()) {
                break c.clone();
            }
        };
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        assert_eq!((found.comm.as_str(), found.service), ("sh", None));
        assert!(found.cores >= CORES_MIN && found.process.start_ticks > 0);
    }

    #[test]
    fn waiting_time_is_in_seconds() {
        assert_eq!(waited_seconds("some avg10=0.00 avg60=0.10 avg300=0.00 total=2500000\n"), Some(2.5));
        assert_eq!(waited_seconds("full avg10=0.00 total=1\n"), None);
    }
}
