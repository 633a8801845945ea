//! Control groups, version 1 and 2: which processes are in one, what it may use and uses, what it killed.

use std::path::{Path, PathBuf};

use wellkept_model::observe::LimitsSeen;

use crate::host::{Mount, mounts};
use crate::series::Series;
use crate::source::{Source, read_once};

/// Processes that are read of one group.
pub(super) const PROCESSES_MAX: usize = 512;

/// From here on a version 1 memory limit means "none" (`PAGE_COUNTER_MAX` in bytes, less a page).
const NO_LIMIT: f64 = 9.0e18;

/// Limits and use of the groups that a process is in.
#[derive(Debug, Default)]
pub(super) struct Group {
    values: Vec<Value>,
    /// The group whose process numbers will run out first: its own or one above it.
    pub(super) pids: Option<String>,
}

#[derive(Debug)]
struct Value {
    metric: &'static str,
    source: Source,
    /// Where the file holds `key value` lines: the key.
    key: Option<&'static str>,
}

/// Metric, controller, file in version 1, file in version 2, key.
type Row = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const MEMORY_LIMIT: &str = "wellkept_service_cgroup_memory_limit_bytes";
const PIDS_LIMIT: &str = "wellkept_service_cgroup_pids_limit";
const PIDS_CURRENT: &str = "wellkept_service_cgroup_pids_current";

const OOM_KILLS: &str = "wellkept_service_cgroup_oom_kills_total";
const CPU_PERIODS: &str = "wellkept_service_cgroup_cpu_periods_total";
const CPU_THROTTLED: &str = "wellkept_service_cgroup_cpu_throttled_periods_total";

const ROWS: [Row; 7] = [
    (MEMORY_LIMIT, "memory", "memory.limit_in_bytes", "memory.max", None),
    ("wellkept_service_cgroup_memory_usage_bytes", "memory", "memory.usage_in_bytes", "memory.current", None),
    (OOM_KILLS, "memory", "memory.oom_control", "memory.events", Some("oom_kill")),
    (PIDS_LIMIT, "pids", "pids.max", "pids.max", None),
    (PIDS_CURRENT, "pids", "pids.current", "pids.current", None),
    (CPU_PERIODS, "cpu", "cpu.stat", "cpu.stat", Some("nr_periods")),
    (CPU_THROTTLED, "cpu", "cpu.stat", "cpu.stat", Some("nr_throttled")),
];

impl Group {
    /// The groups of a process; `None` when it is in none but the root, which belongs to everybody.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let membership = read_once(format!("/proc/{pid}/cgroup")).ok()?;
        let table = read_once("/proc/self/mounts").ok()?;
        let hierarchies: Vec<Mount> = mounts(&table).filter(is_hierarchy).collect();
        let mut values: Vec<Value> =
            ROWS.iter().filter_map(|row| locate(row, &membership, &hierarchies)).collect();
        let pids = narrow(&mut values, &hierarchies);
        (!values.is_empty()).then_some(Self { values, pids })
    }

    /// Emits what the kernel has; a limit of "none" is no sample.
    pub(super) fn emit(&mut self, pairs: &[(&str, &str)], out: &mut Series, limits: &mut LimitsSeen) {
        (limits.memory_bytes, limits.pids, limits.pids_used) = (None, None, None);
        (limits.oom_kills, limits.cpu_periods) = (None, None);
        for value in &mut self.values {
            let number = value.source.read().ok().and_then(|text| number(text, value.key));
            if let Some(number) = number {
                out.put(value.metric, pairs, number);
                note(value.metric, number, limits);
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the kernel writes whole numbers from 0"
)]
fn note(metric: &str, number: f64, limits: &mut LimitsSeen) {
    let place = match metric {
        OOM_KILLS => &mut limits.oom_kills,
        CPU_PERIODS => {
            limits.cpu_periods = Some((number as u64, 0));
            return;
        }
        CPU_THROTTLED => {
            // Without a quota there are no periods.
            limits.cpu_periods = limits.cpu_periods.map(|(periods, _)| (periods, number as u64));
            return;
        }
        MEMORY_LIMIT => &mut limits.memory_bytes,
        PIDS_LIMIT => &mut limits.pids,
        PIDS_CURRENT => &mut limits.pids_used,
        _ => return,
    };
    *place = Some(number as u64);
}

fn is_hierarchy(mount: &Mount) -> bool {
    mount.fstype == "cgroup" || mount.fstype == "cgroup2"
}

/// Prefers the version 1 controller where the process is in a group of it, else version 2.
fn locate(row: &Row, membership: &str, hierarchies: &[Mount]) -> Option<Value> {
    let (metric, controller, v1, v2, key) = *row;
    let mut found = None;
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let (file, mount) = if controllers.is_empty() {
            (v2, hierarchies.iter().find(|m| m.fstype == "cgroup2"))
        } else if controllers.split(',').any(|c| c == controller) {
            (v1, hierarchies.iter().find(|m| m.fstype == "cgroup" && m.has_option(controller)))
        } else {
            continue;
        };
        let path = mount.and_then(|m| below(&m.mountpoint, group)).map(|dir| dir.join(file));
        let Some(path) = path.filter(|p| group != "/" && p.exists()) else { continue };
        if found.is_none() || !controllers.is_empty() {
            found = Some(Value { metric, source: Source::new(path), key });
        }
    }
    found
}

/// A limit above a group holds for it as well: lets process numbers be read where the fewest are left. Gives the path of
/// that group.
fn narrow(values: &mut [Value], hierarchies: &[Mount]) -> Option<String> {
    let own = values.iter().find(|v| v.metric == PIDS_LIMIT)?.source.path().parent()?.to_owned();
    let roots = hierarchies.iter().map(|m| Path::new(&m.mountpoint)).filter(|root| own.starts_with(root));
    let root = roots.max_by_key(|root| root.as_os_str().len())?;
    let groups = own.ancestors().take_while(|dir| *dir != root);
    let narrowest = groups.filter_map(|dir| Some((left(dir)?, dir))).min_by(|a, b| a.0.total_cmp(&b.0));
    let dir = narrowest.map_or(own.as_path(), |(_, dir)| dir);
    for value in values.iter_mut().filter(|v| [PIDS_LIMIT, PIDS_CURRENT].contains(&v.metric)) {
        let file = if value.metric == PIDS_LIMIT { "pids.max" } else { "pids.current" };
        value.source = Source::new(dir.join(file));
    }
    Some(format!("/{}", dir.strip_prefix(root).ok()?.display()))
}

/// Process numbers that a group has left; `None` without a limit.
fn left(group: &Path) -> Option<f64> {
    let of = |file: &str| number(&read_once(group.join(file)).ok()?, None);
    Some(of("pids.max")? - of("pids.current")?)
}

fn number(text: &str, key: Option<&str>) -> Option<f64> {
    let word = match key {
        None => text.trim(),
        Some(key) => text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))?.trim(),
    };
    word.parse::<f64>().ok().filter(|n| *n < NO_LIMIT)
}

/// `group` below a mount point; `None` when it tries to leave it.
fn below(mountpoint: &str, group: &str) -> Option<PathBuf> {
    let relative = Path::new(group.trim_start_matches('/'));
    let is_plain = relative.components().all(|c| matches!(c, std::path::Component::Normal(_)));
    is_plain.then(|| Path::new(mountpoint).join(relative))
}

/// Where the list of processes of a declared group lies: the first hierarchy that has the group.
pub(super) fn procs_file(group: &str) -> Option<PathBuf> {
    let table = read_once("/proc/self/mounts").ok()?;
    mounts(&table)
        .filter(is_hierarchy)
        .filter_map(|m| below(&m.mountpoint, group))
        .map(|dir| dir.join("cgroup.procs"))
        .find(|p| p.exists())
}

/// Processes of a group, lowest number first, at most [`PROCESSES_MAX`]. Groups below it are not looked into.
pub(super) fn processes(source: &mut Source) -> std::io::Result<Vec<u32>> {
    let text = source.read()?;
    let mut pids: Vec<u32> = text.lines().filter_map(|l| l.parse().ok()).take(PROCESSES_MAX).collect();
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(number("max\n", None), None);
        assert_eq!(number("9223372036854771712\n", None), None);
        assert_eq!(number("209715200\n", None), Some(209_715_200.0));
    }

    #[test]
    fn kills_are_found_by_key() {
        assert_eq!(number("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", Some("oom_kill")), Some(3.0));
        assert_eq!(number("low 0\noom 1\noom_kill 2\noom_group_kill 0\n", Some("oom_kill")), Some(2.0));
    }

    #[test]
    fn version_one_is_preferred_where_a_process_is_in_a_group_of_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mount = |name: &str, fstype: &str, options: &str| Mount {
            device: "cgroup".into(),
            mountpoint: dir.path().join(name).to_string_lossy().into_owned(),
            fstype: fstype.into(),
            options: options.into(),
        };
        let hierarchies = [mount("memory", "cgroup", "rw,memory"), mount("unified", "cgroup2", "rw")];
        for file in ["memory/app/memory.limit_in_bytes", "unified/slice/memory.max"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            std::fs::write(path, "1\n").expect("it can be written");
        }
        let path = |membership: &str| {
            locate(&ROWS[0], membership, &hierarchies).map(|v| v.source.path().to_path_buf())
        };
        let v1 = dir.path().join("memory/app/memory.limit_in_bytes");
        assert_eq!(path("4:memory:/app\n0::/slice\n"), Some(v1));
        assert_eq!(path("4:memory:/\n0::/slice\n"), Some(dir.path().join("unified/slice/memory.max")));
        assert_eq!(path("4:memory:/\n0::/\n"), None, "the root belongs to everybody");
        assert_eq!(path("4:memory:/../../etc\n"), None);
    }

    #[test]
    fn of_a_group_and_those_above_it_the_one_with_the_fewest_numbers_left_counts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = Mount {
            device: "cgroup".into(),
            mountpoint: dir.path().to_string_lossy().into_owned(),
            fstype: "cgroup2".into(),
            options: "rw".into(),
        };
        let group = |path: &str, max: &str, current: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(&path).expect("it can be made");
            std::fs::write(path.join("pids.max"), max).expect("it can be written");
            std::fs::write(path.join("pids.current"), current).expect("it can be written");
        };
        let seen = || {
            let hierarchies = std::slice::from_ref(&root);
            let locate = |row| locate(row, "0::/shop/app\n", hierarchies);
            let mut values: Vec<Value> = ROWS.iter().filter_map(locate).collect();
            let group = narrow(&mut values, hierarchies);
            let mut read = |metric| {
                let value = values.iter_mut().find(|v| v.metric == metric).expect("it is there");
                number(value.source.read().expect("it can be read"), None)
            };
            (group.expect("there is one"), read(PIDS_LIMIT), read(PIDS_CURRENT))
        };
        group("shop/app", "max\n", "20\n");
        group("shop", "max\n", "290\n");
        assert_eq!(seen(), ("/shop/app".into(), None, Some(20.0)), "nobody sets a limit");
        group("shop", "300\n", "290\n");
        assert_eq!(seen(), ("/shop".into(), Some(300.0), Some(290.0)));
        group("shop/app", "25\n", "20\n");
        assert_eq!(seen(), ("/shop/app".into(), Some(25.0), Some(20.0)));
    }

    /// A group of version 1 of our own, with one process in it.
    struct Real {
        dir: PathBuf,
        child: std::process::Child,
    }

    impl Real {
        fn new(controller: &str, limits: &[(&str, &str)], line: &str) -> Self {
            let name = format!("wellkept-test-{}-{controller}", std::process::id());
            let dir = Path::new("/sys/fs/cgroup").join(controller).join(name);
            std::fs::create_dir(&dir).expect("groups can be made");
            limits.iter().for_each(|(file, value)| std::fs::write(dir.join(file), value).expect("set"));
            let script = format!("echo $$ > {}/cgroup.procs; {line}", dir.display());
            let mut child = std::process::Command::new("sh");
            child.args(["-c", &script]).stderr(std::process::Stdio::null());
            Self { dir, child: child.spawn().expect("started") }
        }

        fn wait_for(&self, holds: impl Fn(&LimitsSeen) -> bool) -> LimitsSeen {
            loop {
                let mut limits = LimitsSeen::default();
                if let Some(mut group) = Group::of(self.child.id()) {
                    group.emit(&[], &mut Series::default(), &mut limits);
                }
                if holds(&limits) {
                    return limits;
                }
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Real {
        fn drop(&mut self) {
            self.child.kill().and_then(|()| self.child.wait()).expect("it is ours");
            while std::fs::remove_dir(&self.dir).is_err() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_process_that_its_quota_holds_back_is_counted_by_the_kernel() {
        let limits = [("cpu.cfs_period_us", "10000"), ("cpu.cfs_quota_us", "1000")];
        let real = Real::new("cpu", &limits, "while :; do :; done");
        let seen = real.wait_for(|l| l.cpu_periods.is_some_and(|(_, throttled)| throttled > 2));
        assert!(seen.cpu_periods.is_some_and(|(periods, throttled)| throttled <= periods));
    }

    #[test]
    fn a_kill_for_lack_of_memory_is_counted_in_its_group() {
        let limits = [("memory.limit_in_bytes", "16777216")];
        let real = Real::new("memory", &limits, "tail /dev/zero; sleep 60");
        let seen = real.wait_for(|l| l.oom_kills.is_some_and(|kills| kills > 0));
        assert_eq!(seen.memory_bytes, Some(16 << 20));
    }
}
