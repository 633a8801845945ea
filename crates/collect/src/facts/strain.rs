//! How strained this host is: memory, disks, connection tracking, time; and whether declared mounts are there.
//!
//! All of it are counters of the kernel, of which the change since the look before is told. Who reads and writes is
//! only looked at while a disk is busy or memory is short, because that reads one file per process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wellkept_model::TimestampMs;
use wellkept_model::keep::Keep;
use wellkept_model::observe::{DiskSeen, DiskUserSeen, MountSeen, MountsSeen, StrainSeen, TimeSeen};

use crate::clock;
use crate::host::mounts;
use crate::pace::Pace;
use crate::source::{Source, number, read_once};

/// Fewest and most rounds between two looks.
const ROUNDS: (u64, u64) = (2, 30);
/// What looks may cost, spread over the rounds: 0.01 % of a core at one round a second.
const COST_A_ROUND: Duration = Duration::from_micros(100);
/// Disks and users of disks that are told.
const DISKS_MAX: usize = 10;
const USERS_MAX: usize = 5;
/// Share of the time from which a disk is told.
const BUSY_MIN: f64 = 0.5;
/// Share of the time in which all wait for memory from which it is looked at who reads and writes.
const MEMORY_MIN: f64 = 0.1;
/// Processes that are looked at.
const PROCESSES_MAX: usize = 10_000;
/// Longest time that two looks may be apart to be compared.
const APART_MAX: Duration = Duration::from_secs(120);

/// The files, with the counters of the look before.
#[derive(Debug)]
pub(crate) struct Strain {
    memory: Source,
    io: Source,
    vmstat: Source,
    diskstats: Source,
    tracked: Source,
    tracked_max: Source,
    mounts: Source,
    proc: String,
    before: Option<(Instant, Counters)>,
    users: Option<(Instant, HashMap<u32, u64>)>,
    pace: Pace,
    last: Option<StrainSeen>,
}

/// What only ever rises.
#[derive(Debug, Clone, Default)]
struct Counters {
    memory_full_us: Option<f64>,
    io_some_us: Option<f64>,
    major_faults: f64,
    swapped: f64,
    oom_kills: Option<u64>,
    /// By device: requests, time of all requests, time with requests; milliseconds.
    disks: HashMap<String, (f64, f64, f64)>,
}

impl Default for Strain {
    fn default() -> Self {
        Self::below("/proc")
    }
}

impl Strain {
    fn below(proc: &str) -> Self {
        let source = |path: &str| Source::new(format!("{proc}/{path}"));
        Self {
            memory: source("pressure/memory"),
            io: source("pressure/io"),
            vmstat: source("vmstat"),
            diskstats: source("diskstats"),
            tracked: source("sys/net/netfilter/nf_conntrack_count"),
            tracked_max: source("sys/net/netfilter/nf_conntrack_max"),
            mounts: source("self/mounts"),
            proc: proc.to_owned(),
            before: None,
            users: None,
            pace: Pace::new(ROUNDS, COST_A_ROUND),
            last: None,
        }
    }

    /// The last look; a new one when its time has come.
    pub(crate) fn read(&mut self, now: TimestampMs) -> Option<StrainSeen> {
        if self.pace.is_due(false) {
            let mut pace = self.pace;
            let seen = pace.measure(|| self.look(now, clock::monotonic()));
            self.pace = pace;
            if seen.is_some() {
                self.last = seen;
            }
        }
        self.last.clone()
    }

    /// Declared mount points with what is mounted there.
    pub(crate) fn mounts(&mut self, keep: &Keep) -> Option<MountsSeen> {
        let mut declared = keep.filesystems.values().filter(|f| f.mounted.is_some()).peekable();
        declared.peek()?;
        let mut seen: MountsSeen = declared.map(|f| (f.mountpoint.clone(), None)).collect();
        // Of two mounts on one point the later one is seen by everybody.
        for mount in mounts(self.mounts.read().ok()?) {
            if let Some(place) = seen.get_mut(&mount.mountpoint) {
                let read_only = mount.has_option("ro");
                *place = Some(MountSeen { device: mount.device, fstype: mount.fstype, read_only });
            }
        }
        Some(seen)
    }

    /// `None` at the first look, when nothing can be compared yet.
    fn look(&mut self, now: TimestampMs, at: Instant) -> Option<StrainSeen> {
        let counters = self.counters();
        let (then, before) = self.before.replace((at, counters.clone()))?;
        let elapsed = (at - then).as_secs_f64();
        if at - then > APART_MAX || elapsed <= 0.0 {
            return None;
        }
        let share =
            |new: Option<f64>, old: Option<f64>| Some(((new? - old?) / 1e6 / elapsed).clamp(0.0, 1.0));
        let rate = |new: f64, old: f64| (new - old).max(0.0) / elapsed;
        let mut seen = StrainSeen {
            at: now,
            memory_full: share(counters.memory_full_us, before.memory_full_us),
            io_some: share(counters.io_some_us, before.io_some_us),
            major_faults: rate(counters.major_faults, before.major_faults),
            swapped: rate(counters.swapped, before.swapped),
            oom_kills: counters.oom_kills,
            disks: disks(&counters, &before, elapsed),
            disk_users: Vec::new(),
            connections: self.connections(),
            time: wellkept_kernel::clock_state().ok().map(|c| TimeSeen {
                synchronised: c.synchronised,
                max_error_ms: u64::try_from(c.max_error_us / 1000).unwrap_or(0),
            }),
        };
        if !seen.disks.is_empty() || seen.memory_full.is_some_and(|f| f >= MEMORY_MIN) {
            seen.disk_users = self.disk_users(at);
        } else {
            self.users = None;
        }
        Some(seen)
    }

    fn counters(&mut self) -> Counters {
        let mut counters = Counters {
            memory_full_us: self.memory.read().ok().and_then(|t| total(t, "full ")),
            io_some_us: self.io.read().ok().and_then(|t| total(t, "some ")),
            ..Counters::default()
        };
        for line in self.vmstat.read().unwrap_or_default().lines() {
            let Some((key, value)) = line.split_once(' ') else { continue };
            let value = || value.trim().parse::<u64>().unwrap_or(0);
            match key {
                "pgmajfault" => counters.major_faults = whole(value()),
                "pswpin" | "pswpout" => counters.swapped += whole(value()),
                "oom_kill" => counters.oom_kills = Some(value()),
                _ => {}
            }
        }
        for line in self.diskstats.read().unwrap_or_default().lines() {
            let mut fields = line.split_ascii_whitespace().skip(2);
            let Some(device) = fields.next() else { continue };
            let numbers: Vec<f64> = fields.map_while(|f| f.parse().ok()).collect();
            // Reads, their time, writes, their time, time with requests: columns of Documentation/admin-guide/iostats.
            let at = |i: usize| numbers.get(i).copied().unwrap_or(0.0);
            if at(0) + at(4) > 0.0 {
                counters.disks.insert(device.to_owned(), (at(0) + at(4), at(3) + at(7), at(9)));
            }
        }
        counters
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the kernel writes whole numbers"
    )]
    fn connections(&mut self) -> Option<(u64, u64)> {
        let (used, most) = (number(&mut self.tracked)?, number(&mut self.tracked_max)?);
        Some((used as u64, most as u64))
    }

    fn disk_users(&mut self, at: Instant) -> Vec<DiskUserSeen> {
        let now = bytes_of_all(&self.proc);
        let before = self.users.replace((at, now.clone()));
        let Some((then, before)) = before.filter(|(then, _)| at > *then) else { return Vec::new() };
        let elapsed = (at - then).as_secs_f64();
        let used = |(pid, bytes): (&u32, &u64)| {
            let rate = whole(bytes.saturating_sub(*before.get(pid)?)) / elapsed;
            (rate >= 1.0).then_some((rate, *pid))
        };
        let mut users: Vec<(f64, u32)> = now.iter().filter_map(used).collect();
        users.sort_by(|a, b| b.0.total_cmp(&a.0));
        users.truncate(USERS_MAX);
        let named = |(bytes, pid): (f64, u32)| {
            let comm = read_once(format!("{}/{pid}/comm", self.proc)).unwrap_or_default().trim().to_owned();
            DiskUserSeen { pid, comm, bytes }
        };
        users.into_iter().map(named).collect()
    }
}

/// Bytes that each process has read from and written to disks.
fn bytes_of_all(proc: &str) -> HashMap<u32, u64> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()).take(PROCESSES_MAX);
    let bytes = |pid: u32| {
        let text = read_once(format!("{proc}/{pid}/io")).ok()?;
        let of = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse::<u64>().ok());
        Some((pid, of("read_bytes:")?.saturating_add(of("write_bytes:")?)))
    };
    pids.filter_map(bytes).collect()
}

fn disks(now: &Counters, before: &Counters, elapsed: f64) -> Vec<DiskSeen> {
    let seen = |(device, (requests, waited, busy)): (&String, &(f64, f64, f64))| {
        let (requests_before, waited_before, busy_before) = before.disks.get(device)?;
        let done = requests - requests_before;
        let busy = ((busy - busy_before) / 1000.0 / elapsed).clamp(0.0, 1.0);
        let wait_ms = if done > 0.0 { (waited - waited_before) / done } else { 0.0 };
        (busy >= BUSY_MIN).then(|| DiskSeen { device: device.clone(), busy, wait_ms })
    };
    let mut found: Vec<DiskSeen> = now.disks.iter().filter_map(seen).collect();
    found.sort_by(|a, b| b.busy.total_cmp(&a.busy).then_with(|| a.device.cmp(&b.device)));
    found.truncate(DISKS_MAX);
    found
}

#[expect(clippy::cast_precision_loss, reason = "counters far below 2^53")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// Waiting time of a line of a pressure file, microseconds.
fn total(text: &str, line: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.starts_with(line))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::{Filesystem, Mounted};

    /// A `/proc` of our own.
    fn proc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write(&dir, files);
        dir
    }

    fn write(dir: &tempfile::TempDir, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, text).expect("written");
        }
    }

    #[test]
    fn what_changed_between_two_looks_is_told_per_second_and_as_shares() {
        let dir = proc(&[
            ("pressure/memory", "some avg10=0.00 total=1\nfull avg10=0.00 total=1000000\n"),
            ("pressure/io", "some avg10=0.00 total=0\nfull avg10=0.00 total=0\n"),
            ("vmstat", "pgmajfault 100\npswpin 10\npswpout 20\noom_kill 3\n"),
            (
                "diskstats",
                " 254 0 vda 10 0 80 100 10 0 80 100 0 1000 200\n 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n",
            ),
            ("7/io", "rchar: 1\nread_bytes: 0\nwrite_bytes: 4096\n"),
            ("7/comm", "dd\n"),
        ]);
        let mut strain = Strain::below(&dir.path().to_string_lossy());
        let began = clock::monotonic();
        assert_eq!(strain.look(TimestampMs(0), began), None, "nothing to compare with");
        let busy = |ms: u32| format!(" 254 0 vda 20 0 80 600 20 0 80 700 0 {ms} 200\n");
        write(
            &dir,
            &[
                ("pressure/memory", "some avg10=0.00 total=1\nfull avg10=0.00 total=2000000\n"),
                ("pressure/io", "some avg10=0.00 total=1500000\nfull avg10=0.00 total=0\n"),
                ("vmstat", "pgmajfault 300\npswpin 110\npswpout 220\noom_kill 4\n"),
                ("diskstats", &busy(2800)),
                ("sys/net/netfilter/nf_conntrack_count", "90\n"),
                ("sys/net/netfilter/nf_conntrack_max", "100\n"),
            ],
        );
        let seen = strain.look(TimestampMs(2), began + Duration::from_secs(2)).expect("compared");
        assert_eq!((seen.memory_full, seen.io_some, seen.oom_kills), (Some(0.5), Some(0.75), Some(4)));
        assert_eq!((seen.major_faults, seen.swapped, seen.connections), (100.0, 150.0, Some((90, 100))));
        let disk = DiskSeen { device: "vda".into(), busy: 0.9, wait_ms: 55.0 };
        assert_eq!((seen.disks, seen.disk_users), (vec![disk], vec![]));
        write(
            &dir,
            &[("7/io", "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n"), ("diskstats", &busy(4700))],
        );
        let seen = strain.look(TimestampMs(4), began + Duration::from_secs(4)).expect("compared");
        let user = DiskUserSeen { pid: 7, comm: "dd".into(), bytes: 4096.0 };
        assert_eq!(seen.disk_users, [user]);
    }

    #[test]
    fn two_looks_that_lie_far_apart_are_not_compared() {
        let dir = proc(&[("vmstat", "pgmajfault 1\n")]);
        let mut strain = Strain::below(&dir.path().to_string_lossy());
        let began = clock::monotonic();
        strain.look(TimestampMs(0), began);
        assert_eq!(strain.look(TimestampMs(0), began + Duration::from_secs(3600)), None);
    }

    #[test]
    fn declared_mounts_are_told_with_their_state_and_others_are_not() {
        let table = "/dev/a /data ext4 rw,relatime 0 0\n/dev/b /ro xfs ro 0 0\n/dev/c /other ext4 rw 0 0\n";
        let dir = proc(&[("self/mounts", table)]);
        let mut strain = Strain::below(&dir.path().to_string_lossy());
        let mut keep = Keep::default();
        assert_eq!(strain.mounts(&keep), None, "nothing is declared");
        for mountpoint in ["/data", "/ro", "/gone"] {
            let fs = Filesystem {
                mountpoint: mountpoint.to_owned(),
                mounted: Some(Mounted::Writable),
                ..Filesystem::default()
            };
            keep.filesystems.insert(mountpoint.to_owned(), fs);
        }
        let seen = strain.mounts(&keep).expect("declared");
        assert_eq!(seen.len(), 3);
        let read_only = |m: &str| seen[m].as_ref().map(|m| m.read_only);
        assert_eq!(
            (read_only("/data"), read_only("/ro"), read_only("/gone")),
            (Some(false), Some(true), None)
        );
    }

    #[test]
    fn a_real_mount_that_goes_and_one_that_turns_read_only_are_seen() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = std::fs::canonicalize(dir.path()).expect("real").to_string_lossy().into_owned();
        let run = |line: &str| {
            let done = std::process::Command::new("sh").args(["-c", line]).status().expect("sh is there");
            assert!(done.success(), "{line}");
        };
        let mut keep = Keep::default();
        let fs =
            Filesystem { mountpoint: path.clone(), mounted: Some(Mounted::Anyhow), ..Filesystem::default() };
        keep.filesystems.insert(path.clone(), fs);
        let mut strain = Strain::default();
        let mut look = || strain.mounts(&keep).expect("declared")[&path].as_ref().map(|m| m.read_only);
        assert_eq!(look(), None);
        run(&format!("mount -t tmpfs -o size=64k none {path}"));
        let writable = look();
        run(&format!("mount -o remount,ro {path}"));
        let read_only = look();
        run(&format!("umount {path}"));
        assert_eq!((writable, read_only, look()), (Some(false), Some(true), None));
    }
}
