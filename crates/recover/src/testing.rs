//! Small makers for the tests of this crate.

use std::time::Duration;

use wellkept_model::keep::{Automation, Command, HealthCheck, Identity, Keep, Mode, Probe, Service};
use wellkept_model::observe::{HealthSeen, Observation, ProcessSeen, ServiceSeen};
use wellkept_model::{
    ActionKind, Cause, CauseKind, EntityId, FileVersionChange, Finding, FindingKey, FindingKind, Incident,
    IncidentId, IncidentStatus, PlannedAction, Severity, Text, TimestampMs, Undo,
};

pub(crate) fn keep(services: &[&str]) -> Keep {
    let automation = Automation { mode: Mode::Act, ..Automation::default() };
    let mut keep = Keep { automation, ..Keep::default() };
    for name in services {
        keep.services.insert((*name).to_owned(), service(name));
    }
    keep
}

fn service(name: &str) -> Service {
    let start = Command { argv: vec!["/bin/start".to_owned()], within: Duration::from_secs(30) };
    let second = Duration::from_secs(1);
    let probe = Probe::Tcp { address: "127.0.0.1:1".to_owned() };
    Service {
        name: name.to_owned(),
        identity: Identity::Pidfile("/run/x.pid".into()),
        start: Some(start),
        stop: None,
        restart: None,
        reload: None,
        reopen: None,
        health: vec![HealthCheck {
            name: "tcp".to_owned(),
            probe,
            within: second,
            every: second,
            failures: 2,
        }],
        user: None,
        listens: Vec::new(),
        depends_on: Vec::new(),
        uses: Vec::new(),
        release: None,
        files: Vec::new(),
        may: vec![ActionKind::Restart, ActionKind::Rollback, ActionKind::Restore, ActionKind::Resume],
        group: None,
        starts_itself_within: None,
        config_test: None,
        resolves: None,
        clock: None,
    }
}

pub(crate) fn finding(service: &str, kind: FindingKind) -> Finding {
    Finding {
        key: FindingKey { entity: EntityId::service(service), kind, subject: String::new() },
        severity: Severity::Critical,
        since: TimestampMs(90_000),
        at: TimestampMs(90_000),
        text: Text::new("finding.x"),
        evidence: Vec::new(),
        hold_ms: 0,
    }
}

pub(crate) fn cause(service: &str, kind: CauseKind, score: f64) -> Cause {
    Cause {
        entity: EntityId::service(service),
        kind,
        subject: String::new(),
        detail: Text::new("cause.x"),
        score,
        evidence: Vec::new(),
        explains: vec![finding(service, FindingKind::ProcessGone).key],
    }
}

pub(crate) fn incident(findings: Vec<Finding>) -> Incident {
    Incident {
        id: IncidentId(1),
        title: Text::new("x"),
        status: IncidentStatus::Diagnosing,
        severity: Severity::Critical,
        began_at: TimestampMs(90_000),
        opened_at: TimestampMs(90_000),
        updated_at: TimestampMs(90_000),
        resolved_at: None,
        entity: EntityId::service("a"),
        active: findings.len(),
        holding: findings.iter().map(|f| f.key.clone()).collect(),
        findings,
        causes: Vec::new(),
        plan: None,
        actions: Vec::new(),
        timeline: Vec::new(),
        times: 0,
        prevention: None,
    }
}

pub(crate) fn change(service: &str, path: &str) -> FileVersionChange {
    FileVersionChange {
        service: service.to_owned(),
        path: path.to_owned(),
        at: TimestampMs(89_000),
        modified_at: Some(TimestampMs(89_000)),
        good_sha256: "good".to_owned(),
        now_sha256: Some("bad".to_owned()),
        recorded: None,
        keys_removed: Vec::new(),
        keys_changed: Vec::new(),
        keys_added: Vec::new(),
        only_metadata: false,
        origin: wellkept_model::FileOrigin::Kept,
    }
}

pub(crate) fn restart(service: &str) -> PlannedAction {
    PlannedAction {
        kind: ActionKind::Restart,
        target: EntityId::service(service),
        subject: String::new(),
        to_version: None,
        deadline_ms: 1000,
        verify: vec![finding(service, FindingKind::ProcessGone).key],
        undo: Undo::Irreversible,
        reason: Text::new("x"),
    }
}

pub(crate) fn health(service: &str, failure: Option<&str>) -> HealthSeen {
    HealthSeen {
        service: service.to_owned(),
        check: "tcp".to_owned(),
        at: TimestampMs(i64::MAX),
        took_ms: 1,
        failure: failure.map(str::to_owned),
        in_a_row: 5,
    }
}

pub(crate) fn seen_running(services: &[&str]) -> Observation {
    let mut seen = Observation::default();
    for name in services {
        let process = ProcessSeen {
            pid: 1,
            started_at: TimestampMs(0),
            state: 'S',
            state_since: TimestampMs(0),
            cpu_seconds: 0.0,
            rss_bytes: 0,
            open_fds: None,
            threads: 1,
            uid: 0,
            comm: String::new(),
        };
        let service = ServiceSeen { processes: vec![process], ever_seen: true, ..ServiceSeen::default() };
        seen.services.insert((*name).to_owned(), service);
    }
    seen
}
