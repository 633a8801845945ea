//! A host that is played second by second.

use std::collections::BTreeSet;
use std::time::Duration;

use wellkept_detect::{Detectors, Round, SeriesValue};
use wellkept_diagnose::{SITUATION_FORMAT, Situation, diagnose};
use wellkept_model::keep::Keep;
use wellkept_model::maintenance::Window;
use wellkept_model::observe::{
    Exit, FilesystemSeen, HealthSeen, Observation, ProcessEnd, ProcessSeen, ServiceSeen,
};
use wellkept_model::{
    ActionStatus, Change, ChangeId, ChangeKind, FileVersionChange, Finding, FindingKey, Text, TimestampMs,
    Topology,
};
use wellkept_recover::{Book, Facts, StepResult, Surroundings, decide};

/// A small shop. Everything that can be permitted is.
const KEEP: &str = r#"
services:
  web:
    pidfile: /run/web.pid
    start: /bin/web
    health: { http: "http://127.0.0.1:80/", every: 1s }
    depends_on: [app]
    release: { current: /srv/web/current, from: /srv/web/releases }
    files: [{ path: /etc/web.conf, kind: config }]
    may: [restart, start_dependency, resume, kill, restore, rollback]
  app:
    pidfile: /run/app.pid
    start: /bin/app
    reload: /bin/app-reload
    reopen: /bin/app-reopen
    health: { http: "http://127.0.0.1:9000/", every: 1s }
    depends_on: [db, cache]
    release: { current: /srv/app/current, from: /srv/app/releases }
    files: [{ path: /srv/app/env, kind: setting }]
    clock: { http: "http://127.0.0.1:9000/", off_by: 5s }
    may: [restart, start_dependency, resume, kill, restore, rollback, reconfigure]
  db:
    pidfile: /run/db.pid
    start: /bin/db
    health: { tcp: "127.0.0.1:5432", every: 1s }
    may: [restart, start_dependency, resume]
  cache:
    pidfile: /run/cache.pid
    start: /bin/cache
    health: { tcp: "127.0.0.1:6379", every: 1s }
    may: [restart, start_dependency, resume]
filesystems:
  /data: { free_space: [{ glob: /data/tmp/x-*.bin }] }
  /var/log: { free_space: [{ glob: /var/log/old-*.gz }] }
strangers: { kill: [batch, backup], slow_down: [batch, backup] }
unusual:
  - { name: time to answer, query: shop_latency_seconds, score: 8, hold: 30s }
  - { name: sockets in use, query: node_sockstat_TCP_alloc, score: 8, hold: 30s }
automation: { mode: act, at_once: 5 }
"#;

const SERVICES: [&str; 4] = ["web", "app", "db", "cache"];

/// The host, what is seen of it, and what was made of that.
pub(crate) struct Play {
    pub(crate) keep: Keep,
    pub(crate) seen: Observation,
    pub(crate) now: TimestampMs,
    pub(crate) changes: Vec<Change>,
    pub(crate) file_changes: Vec<FileVersionChange>,
    pub(crate) series: Vec<SeriesValue>,
    /// Findings from elsewhere (alerts, logs).
    pub(crate) others: Vec<Finding>,
    detectors: Detectors,
    book: Book,
    topology: Topology,
    findings: BTreeSet<FindingKey>,
    steps: Vec<String>,
}

impl Play {
    /// All runs and passes, and has done so for two minutes.
    pub(crate) fn new() -> Self {
        let keep = wellkept_keep::parse("wellkept.yml", KEEP).unwrap();
        let now = TimestampMs(1_700_000_000_000);
        let mut play = Self {
            topology: Topology::from_keep(&keep, "h"),
            keep,
            seen: Observation::default(),
            now,
            changes: Vec::new(),
            file_changes: Vec::new(),
            series: Vec::new(),
            others: Vec::new(),
            detectors: Detectors::new(),
            book: Book::default(),
            findings: BTreeSet::new(),
            steps: Vec::new(),
        };
        for (pid, name) in (100..).zip(SERVICES) {
            play.up(name, pid);
            play.seen.services.get_mut(name).unwrap().processes[0].started_at =
                TimestampMs(now.0 - 86_400_000);
        }
        play.seen.filesystems =
            vec![filesystem("/data", 100 << 30, 0.5), filesystem("/var/log", 10 << 30, 0.3)];
        play.for_seconds(120, |_, _| {});
        play
    }

    /// Plays so many seconds; `each` says what is different in a second, counted from 0.
    pub(crate) fn for_seconds(&mut self, seconds: u32, mut each: impl FnMut(&mut Self, u32)) {
        for second in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.passes();
            each(self, second);
            self.round();
        }
    }

    /// Every check of a service that runs passes.
    fn passes(&mut self) {
        let now = self.now;
        let health = |name: &str| {
            let before = self.seen.health.iter().find(|h| h.service == name && h.failure.is_none());
            let in_a_row = before.map_or(1, |h| h.in_a_row + 1);
            self.result(name, now, None, in_a_row)
        };
        self.seen.health = SERVICES.map(health).to_vec();
    }

    fn result(&self, name: &str, at: TimestampMs, failure: Option<&str>, in_a_row: u32) -> HealthSeen {
        let check = self.keep.services[name].health[0].name.clone();
        HealthSeen {
            service: name.into(),
            check,
            at,
            took_ms: 5,
            failure: failure.map(str::to_owned),
            in_a_row,
        }
    }

    /// The check of a service fails in this second, for the nth time in a row.
    pub(crate) fn fails(&mut self, name: &str, failure: &str, in_a_row: u32) {
        let result = self.result(name, self.now, Some(failure), in_a_row);
        let own = self.seen.health.iter_mut().find(|h| h.service == name).unwrap();
        *own = result;
    }

    /// All checks of this second took so long.
    pub(crate) fn takes(&mut self, ms: u64) {
        self.seen.health.iter_mut().for_each(|h| h.took_ms = ms);
    }

    pub(crate) fn up(&mut self, name: &str, pid: u32) {
        let process = ProcessSeen {
            pid,
            started_at: self.now,
            state: 'S',
            state_since: self.now,
            cpu_seconds: 1.0,
            rss_bytes: 50 << 20,
            open_fds: Some(40),
            threads: 4,
            uid: 1000,
            comm: name.to_owned(),
        };
        let service = self.seen.services.entry(name.to_owned()).or_default();
        (service.processes, service.down_since, service.ever_seen) = (vec![process], None, true);
        (service.limits.fds, service.limits.memory_bytes) = (Some(1024), Some(1 << 30));
        service.starts.push(self.now);
    }

    pub(crate) fn ends(&mut self, name: &str, exit: Exit) {
        let service = self.seen.services.get_mut(name).unwrap();
        let process = service.processes.remove(0);
        let end = ProcessEnd { pid: process.pid, started_at: Some(process.started_at), at: self.now, exit };
        *service = ServiceSeen { last_end: Some(end), down_since: Some(self.now), ..service.clone() };
    }

    pub(crate) fn used(&mut self, mountpoint: &str, share: f64) {
        let own = self.seen.filesystems.iter_mut().find(|f| f.mountpoint == mountpoint).unwrap();
        *own = filesystem(mountpoint, own.size_bytes, share);
    }

    pub(crate) fn maintenance(&mut self, components: &[&str], seconds: u64) {
        let components = components.iter().map(|c| (*c).to_owned()).collect();
        let until = self.now + Duration::from_secs(seconds);
        self.seen.maintenance =
            vec![Window { from: self.now, until, components, reason: "planned".into(), drill: false }];
    }

    pub(crate) fn records(&mut self, kind: ChangeKind, what: &str) {
        self.changes.push(Change {
            id: ChangeId(format!("c{}", self.changes.len())),
            at: self.now,
            who: "deploy".into(),
            kind,
            what: what.into(),
            before: String::new(),
            after: String::new(),
        });
    }

    /// A value of one of the keep file's rules, every five seconds as the engine asks.
    pub(crate) fn value(&mut self, rule: &str, service: Option<&str>, value: f64) {
        if self.now.0 / 1000 % 5 == 0 {
            let service = service.map(str::to_owned);
            self.series.push(SeriesValue { rule: rule.into(), series: "{}".into(), service, value });
        }
    }

    fn round(&mut self) {
        let now = self.now;
        self.seen.at = now;
        self.seen.maintenance.retain(|w| w.is_open(now));
        self.detectors.hold_baselines(self.book.troubled());
        let round = Round {
            now,
            host: "h",
            seen: &self.seen,
            file_changes: &self.file_changes,
            series: &self.series,
        };
        let mut findings = self.detectors.observe(&self.keep, &round);
        self.series.clear();
        findings.extend(self.others.iter().cloned().map(|f| Finding { at: now, ..f }));
        let held = findings.iter().filter(|f| now.since(f.since) >= Duration::from_millis(f.hold_ms));
        self.findings.extend(held.map(|f| f.key.clone()));
        self.book.handle_round(now, findings, &self.seen, &self.topology, &self.keep);
        for id in self.book.due_for_diagnosis(now) {
            let causes = diagnose(&self.situation(self.book.findings_of(id)));
            self.book.handle_causes(now, id, causes);
        }
        for id in self.book.due_for_plan(now) {
            let situation = self.situation(self.book.findings_of(id));
            let (generation, failed) = self.book.plan_inputs(id);
            let around = Surroundings {
                now,
                keep: &self.keep,
                frozen: false,
                active: self.book.active(),
                seen: &self.seen,
                ledger: self.book.ledger(),
            };
            let (file_changes, space) = (&situation.file_changes, &situation.space);
            let facts = Facts { around, file_changes, space, failed: &failed, generation };
            let decision = decide(self.book.incident(id).unwrap(), &facts);
            self.book.handle_decision(now, id, decision);
        }
        while let Some(step) = self.book.poll_step(now, 5, false) {
            self.steps.push(format!("{} {}", step.planned.kind.word(), step.planned.target));
            let done = StepResult { status: ActionStatus::Succeeded, outcome: Text::new("x"), undo: None };
            self.book.handle_result(now, &step, done);
        }
    }

    fn situation(&self, findings: Vec<Finding>) -> Situation {
        Situation {
            format: SITUATION_FORMAT,
            now: self.now,
            host: "h".into(),
            findings,
            seen: self.seen.clone(),
            topology: self.topology.clone(),
            changes: self.changes.clone(),
            file_changes: self.file_changes.clone(),
            tried: Vec::new(),
            space: Vec::new(),
            suspects: Vec::new(),
        }
    }

    /// What was done, and whom it was handed to; each as `what whom`.
    pub(crate) fn acts(&self) -> Vec<String> {
        let actions = self.book.incidents().flat_map(|i| &i.actions);
        let mut acts = self.steps.clone();
        acts.extend(actions.map(|a| format!("{} {}", a.planned.kind.word(), a.planned.reason.key)));
        acts
    }

    /// Nothing was done, proposed or handed to a person, and at most one thing was worth a word.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        assert_eq!(self.acts(), Vec::<String>::new());
        assert!(self.findings.len() <= 1, "{:?}", self.findings);
    }

    pub(crate) fn findings(&self) -> &BTreeSet<FindingKey> {
        &self.findings
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made sizes"
)]
fn filesystem(mountpoint: &str, size: u64, used: f64) -> FilesystemSeen {
    let avail = (size as f64 * (1.0 - used)) as u64;
    FilesystemSeen {
        mountpoint: mountpoint.to_owned(),
        device: "/dev/vda1".to_owned(),
        fstype: "ext4".to_owned(),
        size_bytes: size,
        free_bytes: avail,
        avail_bytes: avail,
        files: 1_000_000,
        files_free: 900_000,
        read_only: false,
    }
}

#[test]
fn the_same_play_does_act_when_something_is_wrong() {
    let mut p = Play::new();
    p.for_seconds(60, |p, second| {
        if second == 10 {
            p.ends("app", Exit::Signal(9));
        }
        if second >= 10 && p.seen.services["app"].processes.is_empty() {
            p.fails("app", "connection refused", second - 9);
            p.fails("web", "status 502", second - 9);
        }
        if second == 14 {
            p.up("app", 777);
        }
    });
    assert!(
        p.acts().iter().any(|a| a.starts_with("restart") || a.starts_with("start_dependency")),
        "{:?}",
        p.acts()
    );
    assert!(p.findings().len() > 1);
}
