//! The front: everything that this crate reads, as one value a round.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use wellkept_model::keep::Keep;
use wellkept_model::local::{LocalSeen, ReleaseSeen};
use wellkept_model::observe::{CollectProblem, FileSeen, HealthSeen, Observation, ServiceSeen};
use wellkept_model::{Batch, Change, Labels, TimestampMs};

use crate::change_log::ChangeLogTail;
use crate::facts::deleted::Deleted;
use crate::facts::descriptors::Descriptors;
use crate::facts::kept::KeptFiles;
use crate::facts::listeners::Sockets;
use crate::facts::refused::Refused;
use crate::facts::release::Releases;
use crate::facts::strain::Strain;
use crate::facts::table::Table;
use crate::facts::tasks::Tasks;
use crate::facts::traces::Traces;
use crate::facts::waits::Waits;
use crate::health::HealthChecks;
use crate::host::Host;
use crate::maintenance::Maintenance;
use crate::series::Series;
use crate::service::{EVENT_QUEUE_MAX, ServiceEvent, ServiceWatcher};
use crate::watch::Watches;

/// The `job` label of everything that we read ourselves.
pub const JOB: &str = "wellkept";

/// Reads this host.
///
/// It must be made inside a tokio runtime with IO and time: the watchers of services and the health checks are tasks
/// of their own, which end when the collector is dropped. [`Self::round`] is an ordinary blocking call of about a
/// millisecond of CPU; it never waits for a network, a program or a lock that is held for long.
#[derive(Debug)]
pub struct Collector {
    keep: Arc<Keep>,
    target: Labels,
    series: Series,
    host: Host,
    sockets: Sockets,
    kept: KeptFiles,
    releases: Releases,
    deleted: Deleted,
    descriptors: Descriptors,
    table: Table,
    tasks: Tasks,
    strain: Strain,
    traces: Traces,
    waits: Waits,
    refused: Refused,
    services: ServiceWatcher,
    health: HealthChecks,
    change_logs: Vec<ChangeLogTail>,
    watches: Watches,
    maintenance: Maintenance,
    events: Option<mpsc::Receiver<ServiceEvent>>,
}

/// What one round gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// All numbers, every series with `instance` and `job`.
    pub batch: Batch,
    /// Everything else. A service that nobody could look for yet is not in it.
    pub observation: Observation,
    /// New change records, oldest first. The same id may come again when a log was replaced.
    pub changes: Vec<Change>,
}

/// One service, looked at out of turn.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLook {
    /// Its name.
    pub name: String,
    /// Its processes.
    pub seen: ServiceSeen,
    /// Its kept files.
    pub files: Vec<FileSeen>,
    /// Its current release.
    pub release: Option<ReleaseSeen>,
    /// Last results of its health checks; not run again (see [`HealthChecks::check_now`]).
    pub health: Vec<HealthSeen>,
}

impl ServiceLook {
    /// Puts this newer knowledge in the place of the older one.
    pub fn merge_into(self, observation: &mut Observation) {
        observation.files.retain(|f| f.service != self.name);
        observation.files.extend(self.files);
        observation.health.retain(|h| h.service != self.name);
        observation.health.extend(self.health);
        if let Some(release) = self.release {
            observation.local.releases.insert(self.name.clone(), release);
        }
        observation.services.insert(self.name, self.seen);
    }
}

/// The labels that all series of a host's own collection carry.
#[must_use]
pub fn identity(host: &str) -> Labels {
    Labels::new([("instance", host), ("job", JOB)])
}

impl Collector {
    /// A collector for the host called `host`; must be called inside a tokio runtime.
    #[must_use]
    pub fn new(keep: Arc<Keep>, host: &str) -> Self {
        Self::with_memory(keep, host, None)
    }

    /// The same with a folder of ours, where it keeps what must be known after a restart: which rights are meant.
    #[must_use]
    pub fn with_memory(keep: Arc<Keep>, host: &str, memory: Option<&Path>) -> Self {
        let (sender, events) = mpsc::channel(EVENT_QUEUE_MAX);
        Self {
            target: identity(host),
            series: Series::new(&[("instance", host), ("job", JOB)]),
            host: Host::default(),
            sockets: Sockets::default(),
            kept: KeptFiles::default(),
            releases: Releases::default(),
            deleted: Deleted::default(),
            descriptors: Descriptors::default(),
            table: Table::default(),
            tasks: Tasks::default(),
            strain: Strain::default(),
            traces: Traces::default(),
            waits: Waits::default(),
            refused: Refused::default(),
            services: ServiceWatcher::new(&keep, sender),
            health: HealthChecks::new(&keep),
            change_logs: tails(&keep, Vec::new()),
            watches: Watches::new(&keep, memory),
            maintenance: Maintenance::default(),
            events: Some(events),
            keep,
        }
    }

    /// Begins and ends of main processes, told when they happen. There is one receiver: the first call gets it.
    ///
    /// It must be emptied all the time: a full queue makes the watchers wait.
    pub fn events(&mut self) -> Option<mpsc::Receiver<ServiceEvent>> {
        self.events.take()
    }

    /// The health checks, to run those of one service at once. Clones share the same checks.
    #[must_use]
    pub fn health(&self) -> HealthChecks {
        self.health.clone()
    }

    /// Goes on with another keep file; must be called inside a tokio runtime. What is known of services, checks and
    /// change logs that stay the same is kept.
    pub fn set_keep(&mut self, keep: Arc<Keep>) {
        self.services.set_keep(&keep);
        self.health.set_keep(&keep);
        self.change_logs = tails(&keep, std::mem::take(&mut self.change_logs));
        let is_named =
            |path: &std::path::Path| keep.services.values().flat_map(|s| &s.files).any(|f| f.path == path);
        self.kept.retain(is_named);
        self.watches.set_keep(&keep);
        self.keep = keep;
    }

    /// Reads everything once. Blocks for about a millisecond, some more every fifteenth time, and for as long as it
    /// takes to read kept files that have changed (at most 4 MiB each).
    pub fn round(&mut self, now: TimestampMs) -> Round {
        let mut problems = Vec::new();
        let out = &mut self.series;
        out.put("up", &[], 1.0);
        let filesystems = self.host.read(now, out, &mut problems);
        let listeners = self.sockets.read(out, &mut problems);
        let services = self.services.read(now, out, &mut problems);
        let health = self.health.seen();
        HealthChecks::emit(&health, out);
        let files = self.keep.services.values().flat_map(|s| self.kept.look(s)).collect();
        let mut local =
            LocalSeen { refused: self.refused.rate(now, self.host.attempt_fails()), ..LocalSeen::default() };
        self.releases.read(&self.keep, now, &mut local, &mut problems);
        local.deleted = self.deleted.read(&services, &filesystems);
        local.descriptors = self.descriptors.read(&services, now);
        local.tasks = self.tasks.read();
        local.table = self.table.read(now, &services, local.tasks);
        local.strain = self.strain.read(now);
        self.traces.read(&self.keep, now, &mut local);
        local.mounts = self.strain.mounts(&self.keep);
        local.waits = self.waits.read(&self.keep, &services, &health, now);
        local.daemons = self.keep.all_daemons();
        let maintenance = self.maintenance.read(&self.keep.maintenance, now, &mut problems);
        let mut changes: Vec<Change> =
            self.change_logs.iter_mut().flat_map(|tail| tail.read(&mut problems)).collect();
        changes.sort_by_key(|c| c.at);
        let watched = self.watches.seen(&services);
        Watches::emit(&watched, out);
        if out.refused() > 0 {
            let message =
                format!("{} samples beyond {} were left out", out.refused(), crate::series::SERIES_MAX);
            problems.push(CollectProblem { collector: "series".to_owned(), message });
        }
        let batch = Batch { at: now, target: self.target.clone(), samples: out.take(), ..Batch::default() };
        let observation = Observation {
            at: now,
            services,
            health,
            filesystems,
            files,
            listeners,
            local,
            maintenance,
            // Known to who holds the data directory.
            deploying: Vec::new(),
            problems,
            watched,
        };
        Round { batch, observation, changes }
    }

    /// Something is wrong: the slower looks (databases, networks, backups, …) are made again soon.
    pub fn look_closely(&self) {
        self.watches.look_closely();
    }

    /// Looks at one service now: after an event, before the next round. `None` when the keep file does not name it
    /// or nobody could look for it yet.
    pub fn observe_service(&mut self, name: &str, now: TimestampMs) -> Option<ServiceLook> {
        let declared = self.keep.services.get(name)?;
        Some(ServiceLook {
            name: name.to_owned(),
            seen: self.services.look(name, now)?,
            files: self.kept.look(declared),
            release: self.releases.look(declared, now),
            health: self.health.seen().into_iter().filter(|h| h.service == name).collect(),
        })
    }
}

/// A reader for each declared log; those that stay go on where they were.
fn tails(keep: &Keep, mut old: Vec<ChangeLogTail>) -> Vec<ChangeLogTail> {
    let reader = |path: &std::path::PathBuf| {
        let known = old.iter().position(|tail| tail.path() == path);
        known.map_or_else(|| ChangeLogTail::new(path.clone()), |at| old.swap_remove(at))
    };
    keep.change_logs.iter().map(reader).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::testing::{any, value};
    use std::collections::HashSet;

    fn collector() -> Collector {
        Collector::new(Arc::new(Keep::default()), "h")
    }

    #[tokio::test]
    async fn a_round_gives_what_dashboards_ask_for() {
        let mut collector = collector();
        let round = collector.round(clock::wall());
        assert!(round.observation.problems.is_empty(), "{:?}", round.observation.problems);
        for metric in [
            "node_cpu_seconds_total",
            "node_load1",
            "node_memory_MemAvailable_bytes",
            "node_memory_SwapTotal_bytes",
            "node_vmstat_pgmajfault",
            "node_filesystem_avail_bytes",
            "node_filesystem_files_free",
            "node_network_receive_bytes_total",
            "node_netstat_Tcp_RetransSegs",
            "node_sockstat_TCP_inuse",
            "node_tcp_connection_states",
            "node_filefd_allocated",
            "node_processes_state",
            "node_boot_time_seconds",
            "node_context_switches_total",
            "node_uname_info",
            "node_time_seconds",
        ] {
            assert!(any(&round.batch.samples, metric).is_some(), "{metric}");
        }
        let samples = &round.batch.samples;
        assert!(any(samples, "node_memory_MemTotal_bytes").expect("given") > 1e6);
        assert!(any(samples, "node_boot_time_seconds") < any(samples, "node_time_seconds"));
        assert!(round.observation.filesystems.iter().all(|f| f.free_bytes <= f.size_bytes));
    }

    #[tokio::test]
    async fn every_series_comes_once_with_the_identity_of_the_host() {
        let mut collector = collector();
        for _ in 0..3 {
            let batch = collector.round(clock::wall()).batch;
            assert_eq!(batch.target.to_string(), r#"{instance="h", job="wellkept"}"#);
            let series: HashSet<_> = batch.samples.iter().map(|(l, _)| l).collect();
            assert_eq!(series.len(), batch.samples.len());
            assert!(batch.samples.iter().all(|(l, _)| l.get("instance") == "h" && l.get("job") == JOB));
            assert!(batch.samples.iter().all(|(_, v)| v.is_finite()));
        }
    }

    #[tokio::test]
    async fn two_rounds_hold_the_same_series_though_not_all_is_read_twice() {
        let mut collector = collector();
        let names = |round: Round| -> Vec<String> {
            round
                .batch
                .samples
                .iter()
                .map(|(l, _)| l.name().to_owned())
                .collect::<HashSet<_>>()
                .into_iter()
                .collect()
        };
        let (mut first, mut second) =
            (names(collector.round(clock::wall())), names(collector.round(clock::wall())));
        first.sort();
        second.sort();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn processor_time_passes() {
        let mut collector = collector();
        let idle = |round: Round| -> f64 {
            round
                .batch
                .samples
                .iter()
                .filter(|(l, _)| l.name() == "node_cpu_seconds_total")
                .map(|(_, v)| v)
                .sum()
        };
        let before = idle(collector.round(clock::wall()));
        while idle(collector.round(clock::wall())) <= before {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn change_logs_are_followed_across_a_reload() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("changes.jsonl");
        let record = |id: &str| {
            format!(
                "{{\"id\":\"{id}\",\"time\":\"2026-11-21T02:00:00Z\",\"kind\":\"release\",\"what\":\"x\"}}\n"
            )
        };
        let keep = Arc::new(Keep { change_logs: vec![log.clone()], ..Keep::default() });
        let mut collector = Collector::new(Arc::clone(&keep), "h");
        std::fs::write(&log, record("1")).expect("it can be written");
        assert_eq!(collector.round(clock::wall()).changes.len(), 1);
        collector.set_keep(keep);
        assert!(collector.round(clock::wall()).changes.is_empty(), "known already");
    }

    #[tokio::test]
    async fn the_host_is_up() {
        let batch = collector().round(clock::wall()).batch;
        assert_eq!(value(&batch.samples, r#"up{instance="h", job="wellkept"}"#), Some(1.0));
    }
}
