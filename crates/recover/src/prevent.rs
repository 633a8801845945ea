//! After an incident: one thing that could be declared so that it does not come again, or is seen earlier.
//!
//! One proposal for each kind of cause where one makes sense, and none where it is declared already. It is a piece of the
//! keep file for a person to put in; nothing is changed by it, and it never proposes a permission to act.

mod alerts;
mod limits;
mod patch;

use std::time::Duration;

use wellkept_model::keep::{Keep, Service};
use wellkept_model::{
    Cause, CauseKind, EntityId, EntityKind, Incident, Prevention, PreventionKind, Text, TimestampMs,
};

use patch::{Patch, quote};

/// Incidents of one root within this time are counted together.
const RECURRENCE: Duration = Duration::from_secs(7 * 86_400);
/// A backup without a limit of its age must be younger than this: a day and what a nightly job may take.
const BACKUP_AGE: &str = "26h";
/// Names under which services that keep the time are known.
const TIME_KEEPERS: [&str; 6] = ["chrony", "chronyd", "ntp", "ntpd", "ntpsec", "systemd-timesyncd"];

/// How many of these incidents had the same root within a week before `now`, this one included; 0 without a root.
pub(crate) fn times<'a>(
    incident: &Incident,
    all: impl Iterator<Item = &'a Incident>,
    now: TimestampMs,
) -> u32 {
    let root = |i: &Incident| i.causes.first().map(|c| (c.entity.clone(), c.kind));
    let Some(own) = root(incident) else { return 0 };
    let others = all.filter(|i| {
        i.id != incident.id && now.since(i.opened_at) < RECURRENCE && root(i).is_some_and(|r| r == own)
    });
    u32::try_from(others.count()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Why nothing is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoProposal {
    /// It is only known because it is declared, or all that would tell it earlier is declared already.
    Declared,
    /// What would prevent it lies in a program, in a command, or with somebody else: nothing that can be written into the
    /// keep file without knowing more.
    Elsewhere,
    /// Nothing explains the incident.
    Unexplained,
}

/// The proposal for an incident whose causes are known; `None` where nothing makes sense or all is declared.
#[must_use]
pub fn propose(incident: &Incident, keep: &Keep) -> Option<Prevention> {
    proposal(incident, keep).ok()
}

/// The same, with the reason where there is none.
///
/// # Errors
/// [`NoProposal`].
pub fn proposal(incident: &Incident, keep: &Keep) -> Result<Prevention, NoProposal> {
    let cause = incident.causes.first().ok_or(NoProposal::Unexplained)?;
    let found = match group(cause.kind) {
        Group::Answer => check(cause, keep).or_else(|| answer_time(cause, keep)),
        Group::End => check(cause, keep).or_else(|| memory_of_crash(cause, keep)),
        Group::Series => alerts::of(cause, keep),
        Group::Limit => limits::of(cause, keep),
        Group::Files => keep_versions(cause, keep),
        Group::Offence => evidence(keep),
        Group::Backup => backup_age(cause, keep),
        Group::Dependency => needed_by(incident, cause, keep),
        Group::Rights => rights(keep),
        Group::Time => time_sync(keep),
        Group::Elsewhere => return Err(NoProposal::Elsewhere),
        Group::Unexplained => return Err(NoProposal::Unexplained),
    };
    found.ok_or(NoProposal::Declared)
}

/// Which sort of guard helps against a kind.
enum Group {
    /// Asking the service, or comparing how long it takes to answer.
    Answer,
    /// Asking the service, so that its end is not all that is seen.
    End,
    /// Comparing a series with its own past.
    Series,
    /// The same bound, earlier.
    Limit,
    /// Kept versions.
    Files,
    /// Copies of what was altered.
    Offence,
    /// The age of backups.
    Backup,
    /// Who needs whom.
    Dependency,
    /// Looking who may become root.
    Rights,
    /// Who keeps the time.
    Time,
    /// Nothing that the keep file knows.
    Elsewhere,
    Unexplained,
}

fn group(kind: CauseKind) -> Group {
    match kind {
        CauseKind::ProcessCrash
        | CauseKind::ProcessDown
        | CauseKind::DaemonDown
        | CauseKind::ProcessStopped
        | CauseKind::BadSetting
        | CauseKind::PortConflict => Group::End,
        // What is slow or stuck is seen by how long it takes to answer.
        CauseKind::BadRelease
        | CauseKind::Down
        | CauseKind::Hang
        | CauseKind::DependencyLoop
        | CauseKind::MissingIndex
        | CauseKind::ThreadPoolExhaustion
        | CauseKind::GcPause
        | CauseKind::TrafficSurge
        | CauseKind::RetryStorm
        | CauseKind::WrongUpstream => Group::Answer,
        CauseKind::MemoryLeak
        | CauseKind::OomKill
        | CauseKind::FdLeak
        | CauseKind::ChildrenNotReaped
        | CauseKind::CpuContention
        | CauseKind::RunawayFork
        | CauseKind::CpuThrottled
        | CauseKind::PacketLoss
        | CauseKind::FirewallBlock
        | CauseKind::Throttled
        | CauseKind::MemoryThrash
        | CauseKind::DiskIoSaturation
        | CauseKind::DeletedOpenFile
        | CauseKind::NatTableFull
        | CauseKind::LinkDegraded
        | CauseKind::LinkDown
        | CauseKind::LogFlood => Group::Series,
        CauseKind::DiskFull
        | CauseKind::InodeExhaustion
        | CauseKind::ConnectionExhaustion
        | CauseKind::LockContention
        | CauseKind::Deadlock
        | CauseKind::TableBloat
        | CauseKind::TransactionWraparound
        | CauseKind::QueueFull
        | CauseKind::PoisonMessage
        | CauseKind::TlsCertificateExpired
        | CauseKind::KeyExpired
        | CauseKind::SshBruteforce => Group::Limit,
        CauseKind::MissingFile | CauseKind::ConfigSyntaxError => Group::Files,
        CauseKind::UnauthorisedFileChange
        | CauseKind::UnexpectedListener
        | CauseKind::PrivilegeEscalation
        | CauseKind::Malware
        | CauseKind::MalwareTestFile => Group::Offence,
        CauseKind::SshCompromisedAccount => Group::Rights,
        CauseKind::BackupMissing | CauseKind::EmptyDump => Group::Backup,
        CauseKind::Slow | CauseKind::RateLimited => Group::Dependency,
        CauseKind::TimeSyncLost => Group::Time,
        // A clock of a program, a value that two sides know, a switch of ours, a pause that somebody made, answers of a
        // resolver, names of a certificate, a mount, a file system that an error made read-only, a schedule, runs that
        // overlap, roads and addresses, a log of changes, two primaries, tables, a cache that is too small or cannot
        // write, versions, a damaged file: each is declared, or it would not be known, and the reason lies elsewhere.
        CauseKind::ClockSkew
        | CauseKind::CredentialMismatch
        | CauseKind::FallbackLeftOn
        | CauseKind::ReplayPaused
        | CauseKind::WrongAnswers
        | CauseKind::TlsNameMismatch
        | CauseKind::ConfigDrift
        | CauseKind::MountMissing
        | CauseKind::DiskReadOnly
        | CauseKind::JobMissing
        | CauseKind::JobOverlap
        | CauseKind::RouteMissing
        | CauseKind::MtuMismatch
        | CauseKind::AddressConflict
        | CauseKind::CheckpointStorm
        | CauseKind::ReplicationBroken
        | CauseKind::SplitBrain
        | CauseKind::SchemaMismatch
        | CauseKind::CacheEviction
        | CauseKind::PersistenceFailed
        | CauseKind::VersionMismatch
        | CauseKind::CorruptedData => Group::Elsewhere,
        CauseKind::Unknown => Group::Unexplained,
    }
}

fn made(kind: PreventionKind, text: Text, patch: Patch) -> Prevention {
    Prevention { kind, text, patch: patch.finish() }
}

fn service<'a>(cause: &Cause, keep: &'a Keep) -> Option<&'a Service> {
    keep.services.get(&cause.entity.name).filter(|_| cause.entity.kind == EntityKind::Service)
}

/// A service that nobody asks is only known to be ill when its process is gone.
fn check(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let service = service(cause, keep)?;
    let address = service.listens.first().filter(|_| service.health.is_empty())?;
    let patch = Patch::at(&["services", &service.name])
        .line(1, &format!("health: [{{ tcp: {} }}]", quote(&address.to_string())));
    let text = Text::new("prevention.check").with("name", &service.name).with("address", address);
    Some(made(PreventionKind::Check, text, patch))
}

/// A crash without a reason may have one that was growing.
fn memory_of_crash(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    alerts::memory(cause, keep).filter(|_| cause.kind == CauseKind::ProcessCrash)
}

fn answer_time(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let metric = "wellkept_health_check_duration_seconds";
    alerts::series(cause, keep, "time to answer", metric, "prevention.answer_time")
}

/// A file of which versions are kept can be put back.
fn keep_versions(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let service = service(cause, keep)?;
    let path = &cause.subject;
    let kept = service.files.iter().any(|f| f.path.as_os_str() == path.as_str());
    if kept || !is_plain_path(path) {
        return None;
    }
    let kind = if cause.kind == CauseKind::ConfigSyntaxError { "config" } else { "content" };
    let patch = Patch::at(&["services", &service.name, "files"])
        .line(1, &format!("- {{ path: {}, kind: {kind} }}", quote(path)));
    let text = Text::new("prevention.files").with("name", &service.name).with("path", path);
    Some(made(PreventionKind::Backup, text, patch))
}

fn is_plain_path(path: &str) -> bool {
    let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
    segments.is_some_and(|mut s| s.all(|s| !s.is_empty() && s != "." && s != ".."))
        && !path.chars().any(char::is_control)
}

/// What somebody changed is worth keeping outside of our own folder.
fn evidence(keep: &Keep) -> Option<Prevention> {
    let none = keep.evidence.is_none();
    let patch = Patch::at(&[]).line(0, "evidence: /var/lib/wellkept-evidence");
    none.then(|| made(PreventionKind::Retention, Text::new("prevention.evidence"), patch))
}

/// Who came in may have made himself a way back.
fn rights(keep: &Keep) -> Option<Prevention> {
    let none = keep.security.privileges.is_none();
    let folders = "privileges: { folders: [/usr/bin, /usr/sbin, /usr/local/bin] }";
    let patch = Patch::at(&["security"]).line(1, folders);
    none.then(|| made(PreventionKind::Check, Text::new("prevention.rights"), patch))
}

/// A service that keeps the time and is not declared to.
fn time_sync(keep: &Keep) -> Option<Prevention> {
    let known = keep.time_sync.as_ref().is_some_and(|t| t.service.is_some());
    let keeps = TIME_KEEPERS.into_iter().find(|name| keep.services.contains_key(*name)).filter(|_| !known)?;
    let patch = Patch::at(&["time_sync"]).line(1, &format!("service: {keeps}"));
    Some(made(PreventionKind::Dependency, Text::new("prevention.time_sync").with("name", keeps), patch))
}

/// A backup that is not made any more is seen by its age.
fn backup_age(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let backup = keep.watched.backups.get(&cause.entity.name).filter(|b| b.max_age.is_none())?;
    let patch = Patch::at(&["backups", &backup.name]).line(1, &format!("max_age: {BACKUP_AGE}"));
    let text = Text::new("prevention.max_age").with("name", &backup.name).with("age", BACKUP_AGE);
    Some(made(PreventionKind::Backup, text, patch))
}

/// Services that fell ill with it need it, whatever was declared.
fn needed_by(incident: &Incident, cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let dependency = keep
        .watched
        .dependencies
        .get(&cause.entity.name)
        .filter(|_| cause.entity.kind == EntityKind::Dependency)?;
    let ill = incident.findings.iter().map(|f| &f.key.entity);
    let missing = ill.filter(|e| e.kind == EntityKind::Service && keep.services.contains_key(&e.name));
    let mut names: Vec<&String> =
        missing.map(|e: &EntityId| &e.name).filter(|n| !dependency.used_by.contains(n)).collect();
    names.sort();
    names.dedup();
    let list: Vec<String> = names.iter().map(|n| quote(n)).collect();
    let list = Some(list).filter(|l| !l.is_empty())?.join(", ");
    let patch = Patch::at(&["dependencies", &dependency.name]).line(1, &format!("used_by: [{list}]"));
    let text = Text::new("prevention.used_by").with("name", &dependency.name).with("services", list);
    Some(made(PreventionKind::Dependency, text, patch))
}
