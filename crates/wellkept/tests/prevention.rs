//! Every proposal is a piece that the keep file's reader accepts where it is put in, and that does what it says.
#![allow(clippy::unwrap_used, reason = "this is test code")]

use serde_json::Value;
use wellkept_model::keep::Keep;
use wellkept_model::{
    Cause, CauseKind, EntityId, Finding, FindingKey, FindingKind, Incident, IncidentId, IncidentStatus,
    Severity, Text, TimestampMs,
};
use wellkept_recover::{NoProposal, proposal_of, propose_prevention};

/// A host on which nothing is declared that a proposal would add.
const KEEP: &str = r#"
services:
  app: { pidfile: /run/app.pid, start: /bin/app, listens: [127.0.0.1:9000], may: [restart] }
  web: { pidfile: /run/web.pid, start: /bin/web, health: { tcp: "127.0.0.1:80" }, files: [/etc/web.conf] }
  db: { pidfile: /run/db.pid, start: /bin/db }
  chrony: { pidfile: /run/chrony.pid, start: /bin/chronyd }
filesystems:
  /data: { free_space: [{ glob: /data/tmp/x-*.bin, older_than: 1h }] }
databases:
  db: { sql: [psql, -AtqX] }
caches:
  db: { redis: 127.0.0.1:6379, queues: { jobs: { limit: 100 } } }
certificates:
  site: { service: web, connect: "127.0.0.1:443" }
keys:
  api: { file: /etc/api.jwt, used_by: [app] }
security:
  logins: { log: /var/log/auth.log, failures: 12 }
backups:
  nightly: { files: /var/backups/app/*.gz, min_size: 1MiB }
dependencies:
  pay: { http: "https://pay.example.org/", slow: 1s, used_by: [app] }
"#;

fn keep(text: &str) -> Keep {
    wellkept_keep::parse("wellkept.yml", text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Maps are merged, lists are continued, anything else is replaced: what people are told to do.
fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(old), Value::Array(new)) => old.extend(new),
        (old, new) => *old = new,
    }
}

fn patched(patch: &str) -> String {
    let mut tree: Value = serde_saphyr::from_str(KEEP).unwrap();
    merge(&mut tree, serde_saphyr::from_str(patch).unwrap_or_else(|e| panic!("{e}\n{patch}")));
    // JSON is YAML.
    tree.to_string()
}

fn incident(kind: CauseKind, entity: &str, subject: &str) -> Incident {
    let entity: EntityId = entity.parse().unwrap();
    let at = TimestampMs(1);
    let finding = |entity: EntityId| Finding {
        key: FindingKey { entity, kind: FindingKind::HealthFailing, subject: String::new() },
        severity: Severity::Critical,
        since: at,
        at,
        text: Text::new("x"),
        evidence: Vec::new(),
        hold_ms: 0,
    };
    Incident {
        id: IncidentId(1),
        title: Text::new("x"),
        status: IncidentStatus::Resolved,
        severity: Severity::Critical,
        began_at: at,
        opened_at: at,
        updated_at: at,
        resolved_at: Some(at),
        entity: entity.clone(),
        findings: vec![finding(entity.clone()), finding(EntityId::service("web"))],
        active: 0,
        holding: Vec::new(),
        causes: vec![Cause {
            entity,
            kind,
            subject: subject.to_owned(),
            detail: Text::new("x"),
            score: 0.9,
            evidence: Vec::new(),
            explains: Vec::new(),
        }],
        plan: None,
        actions: Vec::new(),
        timeline: Vec::new(),
        times: 1,
        prevention: None,
    }
}

/// Kind of cause, entity, subject, and the kind of what is proposed for it, or why nothing is.
const EXPECTED: [(CauseKind, &str, &str, &str); 85] = [
    (CauseKind::ProcessCrash, "service:app", "", "check"),
    (CauseKind::ProcessCrash, "service:web", "", "alert"),
    (CauseKind::ProcessDown, "service:app", "", "check"),
    (CauseKind::ProcessDown, "service:web", "", "declared"),
    (CauseKind::DaemonDown, "service:app", "", "check"),
    (CauseKind::ProcessStopped, "service:app", "", "check"),
    (CauseKind::BadSetting, "service:app", "/srv/env", "check"),
    (CauseKind::PortConflict, "service:app", "pids 7@8", "check"),
    (CauseKind::Down, "service:web", "", "alert"),
    (CauseKind::BadRelease, "service:web", "", "alert"),
    (CauseKind::Hang, "service:app", "", "check"),
    (CauseKind::DependencyLoop, "service:web", "app,web", "alert"),
    (CauseKind::MissingIndex, "service:db", "orders_customer", "alert"),
    (CauseKind::ThreadPoolExhaustion, "service:web", "", "alert"),
    (CauseKind::GcPause, "service:web", "", "alert"),
    (CauseKind::TrafficSurge, "service:web", "", "alert"),
    (CauseKind::RetryStorm, "service:web", "", "alert"),
    (CauseKind::WrongUpstream, "service:web", "127.0.0.1:9", "alert"),
    (CauseKind::MemoryLeak, "service:app", "", "alert"),
    (CauseKind::OomKill, "service:app", "", "alert"),
    (CauseKind::OomKill, "host:h", "", "alert"),
    (CauseKind::FdLeak, "service:app", "", "alert"),
    (CauseKind::ChildrenNotReaped, "service:app", "", "alert"),
    (CauseKind::CpuContention, "host:h", "pids 7@8", "alert"),
    (CauseKind::RunawayFork, "process:x", "session 7 8", "alert"),
    (CauseKind::CpuThrottled, "service:app", "", "alert"),
    (CauseKind::PacketLoss, "network:back", "", "alert"),
    (CauseKind::FirewallBlock, "network:back", "", "alert"),
    (CauseKind::Throttled, "network:back", "", "alert"),
    (CauseKind::LinkDown, "network:back", "eth0", "alert"),
    (CauseKind::LinkDegraded, "network:back", "eth0", "alert"),
    (CauseKind::MemoryThrash, "host:h", "", "alert"),
    (CauseKind::DiskIoSaturation, "host:h", "sda", "alert"),
    (CauseKind::DeletedOpenFile, "service:app", "/var/log/app.log", "alert"),
    (CauseKind::NatTableFull, "host:h", "", "alert"),
    (CauseKind::LogFlood, "service:app", "/var/log/app.log", "alert"),
    (CauseKind::DiskFull, "filesystem:/data", "", "limit"),
    (CauseKind::InodeExhaustion, "filesystem:/var/lib/with space", "", "limit"),
    (CauseKind::ConnectionExhaustion, "service:db", "report", "limit"),
    (CauseKind::ConnectionExhaustion, "service:web", "", "declared"),
    (CauseKind::LockContention, "service:db", "", "limit"),
    (CauseKind::Deadlock, "service:db", "", "limit"),
    (CauseKind::TableBloat, "service:db", "vacuum orders", "limit"),
    (CauseKind::TransactionWraparound, "service:db", "", "limit"),
    (CauseKind::QueueFull, "service:db", "jobs", "limit"),
    (CauseKind::PoisonMessage, "service:db", "jobs", "limit"),
    (CauseKind::TlsCertificateExpired, "service:web", "site", "limit"),
    (CauseKind::KeyExpired, "service:app", "renew api", "limit"),
    (CauseKind::SshBruteforce, "address:203.0.113.9", "", "limit"),
    (CauseKind::MissingFile, "service:app", "/srv/app/templates/no: \"way\".html", "backup"),
    (CauseKind::ConfigSyntaxError, "service:web", "/etc/web.d/site.conf", "backup"),
    (CauseKind::UnauthorisedFileChange, "service:web", "/etc/web.conf", "retention"),
    (CauseKind::UnexpectedListener, "listener:tcp 0.0.0.0:31337", "", "retention"),
    (CauseKind::PrivilegeEscalation, "account:eve", "", "retention"),
    (CauseKind::Malware, "file:/srv/uploads/x", "", "retention"),
    (CauseKind::MalwareTestFile, "file:/srv/uploads/x", "", "retention"),
    (CauseKind::SshCompromisedAccount, "account:eve", "203.0.113.9", "check"),
    (CauseKind::BackupMissing, "backup:nightly", "", "backup"),
    (CauseKind::EmptyDump, "backup:nightly", "", "backup"),
    (CauseKind::Slow, "dependency:pay", "", "dependency"),
    (CauseKind::RateLimited, "dependency:pay", "", "dependency"),
    (CauseKind::TimeSyncLost, "host:h", "", "dependency"),
    (CauseKind::ClockSkew, "service:app", "", "elsewhere"),
    (CauseKind::CredentialMismatch, "service:app", "db", "elsewhere"),
    (CauseKind::FallbackLeftOn, "dependency:pay", "", "elsewhere"),
    (CauseKind::ReplayPaused, "service:db", "", "elsewhere"),
    (CauseKind::WrongAnswers, "service:app", "", "elsewhere"),
    (CauseKind::TlsNameMismatch, "service:web", "site", "elsewhere"),
    (CauseKind::ConfigDrift, "service:web", "", "elsewhere"),
    (CauseKind::MountMissing, "filesystem:/data", "", "elsewhere"),
    (CauseKind::DiskReadOnly, "filesystem:/data", "", "elsewhere"),
    (CauseKind::JobMissing, "service:app", "heartbeat", "elsewhere"),
    (CauseKind::JobOverlap, "service:app", "heartbeat", "elsewhere"),
    (CauseKind::RouteMissing, "network:back", "", "elsewhere"),
    (CauseKind::MtuMismatch, "network:back", "", "elsewhere"),
    (CauseKind::AddressConflict, "network:back", "", "elsewhere"),
    (CauseKind::CheckpointStorm, "service:db", "", "elsewhere"),
    (CauseKind::ReplicationBroken, "service:db", "", "elsewhere"),
    (CauseKind::SplitBrain, "service:db", "", "elsewhere"),
    (CauseKind::SchemaMismatch, "service:db", "", "elsewhere"),
    (CauseKind::CacheEviction, "service:db", "", "elsewhere"),
    (CauseKind::PersistenceFailed, "service:db", "", "elsewhere"),
    (CauseKind::VersionMismatch, "service:app", "", "elsewhere"),
    (CauseKind::CorruptedData, "service:db", "orders", "elsewhere"),
    (CauseKind::Unknown, "service:app", "", "unexplained"),
];

/// Those with a proposal.
fn proposed() -> impl Iterator<Item = (CauseKind, &'static str, &'static str, &'static str)> {
    let none = ["declared", "elsewhere", "unexplained"];
    EXPECTED.into_iter().filter(move |(.., expected)| !none.contains(expected))
}

#[test]
fn each_kind_of_cause_has_one_proposal_or_a_reason_for_none() {
    let before = keep(KEEP);
    for (kind, entity, subject, expected) in EXPECTED {
        let got = match proposal_of(&incident(kind, entity, subject), &before) {
            Ok(proposed) => proposed.kind.word(),
            Err(NoProposal::Declared) => "declared",
            Err(NoProposal::Elsewhere) => "elsewhere",
            Err(NoProposal::Unexplained) => "unexplained",
        };
        assert_eq!(got, expected, "{kind:?} {entity}");
    }
    for kind in CauseKind::ALL {
        assert!(EXPECTED.iter().any(|(k, ..)| *k == kind), "{kind:?} is not tried");
    }
}

#[test]
fn each_proposal_is_accepted_where_it_is_put_in_and_is_then_not_made_again() {
    let before = keep(KEEP);
    for (kind, entity, subject, expected) in proposed() {
        let incident = incident(kind, entity, subject);
        let proposed = propose_prevention(&incident, &before).unwrap_or_else(|| panic!("{kind:?}: none"));
        assert_eq!(proposed.kind.word(), expected, "{kind:?}");
        let after = keep(&patched(&proposed.patch));
        assert_ne!(after, before, "{kind:?} changes nothing: {}", proposed.patch);
        let again = propose_prevention(&incident, &after);
        assert_ne!(again.as_ref().map(|p| &p.patch), Some(&proposed.patch), "{kind:?}: proposed twice");
        let promql = wellkept_promql::Limits::default();
        for rule in &after.unusual {
            wellkept_promql::Query::parse(&rule.query, &promql)
                .unwrap_or_else(|e| panic!("{}: {e}", rule.query));
        }
        for language in [wellkept_catalogue::Language::En, wellkept_catalogue::Language::ZhCn] {
            let told = wellkept_catalogue::render(language, &proposed.text);
            assert!(!told.contains('{') && !told.contains("prevention."), "{told}");
        }
    }
}

#[test]
fn no_proposal_permits_anything() {
    let before = keep(KEEP);
    for (kind, entity, subject, _) in proposed() {
        let proposed = propose_prevention(&incident(kind, entity, subject), &before).unwrap();
        let after = keep(&patched(&proposed.patch));
        assert_eq!(after.automation, before.automation);
        assert_eq!(after.strangers, before.strangers);
        for (name, service) in &after.services {
            assert_eq!(service.may, before.services[name].may, "{kind:?}");
        }
        for (name, cache) in &after.watched.caches {
            assert_eq!(cache.may, before.watched.caches[name].may, "{kind:?}");
        }
        for (name, database) in &after.watched.databases {
            assert_eq!(database.may, before.watched.databases[name].may, "{kind:?}");
        }
        let blocks = |keep: &Keep| keep.security.logins.as_ref().and_then(|l| l.block_for);
        assert_eq!(blocks(&after), blocks(&before), "{kind:?}");
        let rules =
            |keep: &Keep| keep.filesystems.values().flat_map(|f| f.free_space.clone()).collect::<Vec<_>>();
        assert_eq!(rules(&after), rules(&before), "{kind:?}");
    }
}

#[test]
fn where_nothing_makes_sense_nothing_is_proposed() {
    let all = keep(KEEP);
    for (kind, entity, subject) in [
        (CauseKind::Unknown, "service:app", ""),
        (CauseKind::ProcessStopped, "service:web", ""),
        (CauseKind::ProcessDown, "service:web", ""),
        (CauseKind::ProcessDown, "service:gone", ""),
        (CauseKind::ConfigSyntaxError, "service:web", "/etc/web.conf"),
        (CauseKind::MissingFile, "service:app", "../etc/passwd"),
        (CauseKind::MissingFile, "service:app", ""),
        (CauseKind::DiskFull, "service:app", ""),
        (CauseKind::BackupMissing, "backup:other", ""),
    ] {
        assert_eq!(propose_prevention(&incident(kind, entity, subject), &all), None, "{kind:?} {entity}");
    }
    let mut none = incident(CauseKind::ProcessCrash, "service:app", "");
    none.causes.clear();
    assert_eq!(propose_prevention(&none, &all), None);
}

#[test]
fn limits_come_down_step_by_step_and_not_for_ever() {
    let full = incident(CauseKind::DiskFull, "filesystem:/data", "");
    let mut present = keep(KEEP);
    let mut seen = Vec::new();
    while let Some(proposed) = propose_prevention(&full, &present) {
        present = keep(&patched(&proposed.patch));
        seen.push(present.filesystems["/data"].full_at);
    }
    assert_eq!(seen, [0.9, 0.85, 0.8, 0.75, 0.7]);
}
