//! A small world for the tests of all checks.

use std::time::Duration;

use wellkept_model::keep::{Backup, Command, Credential, Database};
use wellkept_model::keep::{HealthCheck, Identity, Keep, Probe, Service};
use wellkept_model::observe::{
    Exit, FilesystemSeen, HealthSeen, HolderSeen, ListenerSeen, Observation, ProcessEnd, ProcessSeen,
    ServiceSeen,
};
use wellkept_model::{ChangeId, FileVersionChange, Finding, FindingKind, ProcessRef, TimestampMs};

use crate::{Detectors, Round, SeriesValue};

/// A keep file, what is seen, and the detectors over it.
pub(crate) struct World {
    pub(crate) keep: Keep,
    pub(crate) seen: Observation,
    pub(crate) files: Vec<FileVersionChange>,
    pub(crate) series: Vec<SeriesValue>,
    now: TimestampMs,
    detectors: Detectors,
}

impl World {
    pub(crate) fn new(services: &[&str]) -> Self {
        let mut keep = Keep::default();
        for name in services {
            keep.services.insert((*name).to_owned(), service(name));
        }
        let now = TimestampMs(1_000_000);
        let (seen, files, series) = (Observation::default(), Vec::new(), Vec::new());
        Self { keep, seen, files, series, now, detectors: Detectors::new() }
    }

    pub(crate) fn now(&self) -> TimestampMs {
        self.now
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    /// Has incidents open about these services.
    pub(crate) fn hold_baselines(&mut self, services: &[&str]) {
        let troubled = services.iter().map(|s| wellkept_model::EntityId::service(*s)).collect();
        self.detectors.hold_baselines(troubled);
    }

    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        self.seen.at = self.now;
        let round = Round {
            now: self.now,
            host: "h",
            seen: &self.seen,
            file_changes: &self.files,
            series: &self.series,
        };
        self.detectors.observe(&self.keep, &round)
    }

    pub(crate) fn kinds(&mut self) -> Vec<FindingKind> {
        self.findings().into_iter().map(|f| f.key.kind).collect()
    }

    pub(crate) fn up(&mut self, name: &str, pid: u32) {
        let service = self.seen.services.entry(name.to_owned()).or_default();
        service.processes = vec![process(pid, self.now)];
        (service.down_since, service.ever_seen) = (None, true);
        service.starts.push(self.now);
    }

    pub(crate) fn down(&mut self, name: &str, mut end: ProcessEnd) {
        end.at = self.now;
        let service = self.seen.services.entry(name.to_owned()).or_default();
        *service = ServiceSeen {
            processes: Vec::new(),
            last_end: Some(end),
            down_since: Some(self.now),
            ever_seen: true,
            ..service.clone()
        };
    }

    pub(crate) fn health(&mut self, service: &str, failure: Option<&str>, in_a_row: u32) {
        self.seen.health = vec![HealthSeen {
            service: service.to_owned(),
            check: "http".to_owned(),
            at: self.now,
            took_ms: 3,
            failure: failure.map(str::to_owned),
            in_a_row,
        }];
    }

    pub(crate) fn filesystem(&mut self, mountpoint: &str, size: u64, avail: u64) {
        self.seen.filesystems = vec![FilesystemSeen {
            mountpoint: mountpoint.to_owned(),
            device: "/dev/x".to_owned(),
            fstype: "ext4".to_owned(),
            size_bytes: size,
            free_bytes: avail,
            avail_bytes: avail,
            files: 1000,
            files_free: 900,
            read_only: false,
        }];
    }
}

pub(crate) fn ended(pid: u32, exit: Exit) -> ProcessEnd {
    ProcessEnd { pid, started_at: None, at: TimestampMs(0), exit }
}

pub(crate) fn changed(service: &str, path: &str, recorded: Option<ChangeId>) -> FileVersionChange {
    FileVersionChange {
        service: service.to_owned(),
        path: path.to_owned(),
        at: TimestampMs(900_000),
        modified_at: Some(TimestampMs(900_000)),
        good_sha256: "aa".to_owned(),
        now_sha256: Some("bb".to_owned()),
        recorded,
        keys_removed: vec!["KEY".to_owned()],
        keys_changed: Vec::new(),
        keys_added: Vec::new(),
        only_metadata: false,
        origin: wellkept_model::FileOrigin::Kept,
    }
}

pub(crate) fn listener(protocol: &str, address: &str, pid: u32) -> ListenerSeen {
    let process = ProcessRef { pid, start_ticks: 1 };
    let holder = HolderSeen { process, comm: "python3".to_owned(), user: "batch".to_owned() };
    let (protocol, address) = (protocol.to_owned(), address.to_owned());
    ListenerSeen { protocol, address, uid: 1001, pid: Some(pid), holder: Some(holder) }
}

fn process(pid: u32, now: TimestampMs) -> ProcessSeen {
    ProcessSeen {
        pid,
        started_at: now,
        state: 'S',
        state_since: now,
        cpu_seconds: 0.0,
        rss_bytes: 1,
        open_fds: Some(3),
        threads: 1,
        uid: 0,
        comm: "x".to_owned(),
    }
}

fn service(name: &str) -> Service {
    let probe = Probe::Tcp { address: "127.0.0.1:1".to_owned() };
    let (second, failures) = (Duration::from_secs(1), 2);
    Service {
        name: name.to_owned(),
        identity: Identity::Pidfile(format!("/run/{name}.pid").into()),
        start: None,
        stop: None,
        restart: None,
        reload: None,
        reopen: None,
        health: vec![HealthCheck { name: "http".to_owned(), probe, within: second, every: second, failures }],
        user: None,
        listens: Vec::new(),
        depends_on: Vec::new(),
        uses: Vec::new(),
        release: None,
        files: Vec::new(),
        may: Vec::new(),
        group: None,
        starts_itself_within: None,
        config_test: None,
        resolves: None,
        clock: None,
    }
}

pub(crate) fn credential(name: &str, user: &str) -> Credential {
    Credential {
        name: name.to_owned(),
        store: "/store".into(),
        copies: Vec::new(),
        used_by: vec![user.to_owned()],
        user: "u".to_owned(),
        log: Some("/log".into()),
        test: None,
        sync: None,
        may: Vec::new(),
    }
}

pub(crate) fn database(service: &str) -> Database {
    let second = Duration::from_secs(1);
    Database {
        service: service.to_owned(),
        sql: Command { argv: vec!["psql".to_owned()], within: second },
        full_at: 0.9,
        end_sessions: std::collections::BTreeMap::new(),
        indexes: Vec::new(),
        undo_migration: None,
        standby: false,
        care: wellkept_model::keep::DatabaseCare::default(),
        every: second,
        may: Vec::new(),
    }
}

pub(crate) fn network(name: &str) -> wellkept_model::keep::Network {
    wellkept_model::keep::Network {
        name: name.to_owned(),
        namespace: None,
        links: std::collections::BTreeMap::new(),
        rules: None,
        carries: Vec::new(),
        may: Vec::new(),
        wanted: Default::default(),
    }
}

pub(crate) fn backup(name: &str) -> Backup {
    Backup {
        name: name.to_owned(),
        glob: "/b/*".to_owned(),
        min_size: 1000,
        max_age: None,
        log: None,
        run: None,
        test: None,
        keep_old: None,
        credential: None,
        every: Duration::from_secs(1),
        may: Vec::new(),
    }
}

/// A cache with a queue `jobs` of at most 100 entries that is stuck after thirty seconds.
pub(crate) fn cache(service: &str) -> wellkept_model::keep::Cache {
    let queue = wellkept_model::keep::Queue {
        limit: 100,
        takes_left: false,
        stuck: Duration::from_secs(30),
        consumer: None,
        dead_letter: None,
    };
    wellkept_model::keep::Cache {
        service: service.to_owned(),
        redis: "127.0.0.1:6379".to_owned(),
        user: None,
        password_file: None,
        memory: None,
        standby: false,
        queues: [("jobs".to_owned(), queue)].into(),
        every: Duration::from_secs(1),
        may: Vec::new(),
    }
}
