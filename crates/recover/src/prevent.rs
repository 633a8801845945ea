//! After an incident: one thing that could be declared so that it does not come again, or is seen earlier.
//!
//! One proposal for each kind of cause where one makes sense, and none where it is declared already. It is a piece of the
//! keep file for a person to put in; nothing is changed by it, and it never proposes a permission to act.

mod patch;

use std::time::Duration;

use wellkept_model::keep::{FULL_AT_DEFAULT, Keep, Service};
use wellkept_model::{
    Cause, CauseKind, EntityId, EntityKind, Incident, Prevention, PreventionKind, Text, TimestampMs,
};

use patch::{Patch, quote};

/// Incidents of one root within this time are counted together.
const RECURRENCE: Duration = Duration::from_secs(7 * 86_400);
/// A file system counts as full this much earlier after it has been full.
const EARLIER: f64 = 0.05;
/// It never counts as full below this.
const FULL_AT_MIN: f64 = 0.7;
/// Connection slots never count as exhausted below this.
const SLOTS_AT_MIN: f64 = 0.6;
/// A backup without a limit of its age must be younger than this: a day and what a nightly job may take.
const BACKUP_AGE: &str = "26h";

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

/// The proposal for an incident whose causes are known; `None` where nothing makes sense or all is declared.
#[must_use]
pub fn propose(incident: &Incident, keep: &Keep) -> Option<Prevention> {
    let cause = incident.causes.first()?;
    match cause.kind {
        CauseKind::ProcessCrash => check(cause, keep).or_else(|| memory(cause, keep)),
        CauseKind::ProcessDown | CauseKind::BadSetting | CauseKind::PortConflict => check(cause, keep),
        CauseKind::BadRelease | CauseKind::Down => check(cause, keep).or_else(|| answer_time(cause, keep)),
        CauseKind::MemoryLeak => memory(cause, keep),
        CauseKind::FdLeak => {
            series(cause, keep, "open files", "wellkept_service_open_fds", "prevention.descriptors")
        }
        CauseKind::ChildrenNotReaped => {
            series(cause, keep, "processes", "wellkept_service_processes", "prevention.children")
        }
        CauseKind::CpuContention | CauseKind::RunawayFork => {
            let query = "rate(node_pressure_cpu_waiting_seconds_total[1m])";
            alert(keep, "waiting for a processor", query, Text::new("prevention.pressure"))
        }
        CauseKind::PacketLoss => {
            let query = "rate(node_netstat_Tcp_RetransSegs[1m])";
            alert(keep, "segments sent again", query, Text::new("prevention.retransmissions"))
        }
        CauseKind::DiskFull | CauseKind::InodeExhaustion => full_earlier(cause, keep),
        CauseKind::ConnectionExhaustion => slots_earlier(cause, keep),
        CauseKind::MissingFile | CauseKind::ConfigSyntaxError => keep_versions(cause, keep),
        CauseKind::UnauthorisedFileChange => evidence(keep),
        CauseKind::BackupMissing | CauseKind::EmptyDump => backup_age(cause, keep),
        CauseKind::Slow => needed_by(incident, cause, keep),
        _ => None,
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

fn memory(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    series(cause, keep, "memory", "wellkept_service_resident_memory_bytes", "prevention.memory")
}

fn answer_time(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let metric = "wellkept_health_check_duration_seconds";
    series(cause, keep, "time to answer", metric, "prevention.answer_time")
}

/// Compares one of a service's series with its own past.
fn series(cause: &Cause, keep: &Keep, what: &str, metric: &str, key: &str) -> Option<Prevention> {
    let name = &service(cause, keep)?.name;
    // The name of a service has no character that would end the quotes.
    let query = format!("{metric}{{service=\"{name}\"}}");
    alert(keep, &format!("{what} of {name}"), &query, Text::new(key).with("name", name))
}

fn alert(keep: &Keep, name: &str, query: &str, text: Text) -> Option<Prevention> {
    if keep.unusual.iter().any(|rule| rule.query == query || rule.name == name) {
        return None;
    }
    let patch = Patch::at(&["unusual"])
        .line(1, &format!("- name: {}", quote(name)))
        .line(2, &format!("query: {}", quote(query)))
        .line(2, "score: 8")
        .line(2, "hold: 1m");
    Some(made(PreventionKind::Alert, text, patch))
}

/// The same trouble with some room left.
fn full_earlier(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    if cause.entity.kind != EntityKind::Filesystem {
        return None;
    }
    let mountpoint = &cause.entity.name;
    let present = keep.filesystems.get(mountpoint).map_or(FULL_AT_DEFAULT, |f| f.full_at);
    let earlier = percent(present - EARLIER, FULL_AT_MIN, present)?;
    let patch = Patch::at(&["filesystems", mountpoint]).line(1, &format!("full_at: {earlier}"));
    let text = Text::new("prevention.full_at").with("name", mountpoint).with("share", earlier);
    Some(made(PreventionKind::Limit, text, patch))
}

fn slots_earlier(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let database = keep.watched.databases.get(&cause.entity.name)?;
    let earlier = percent(database.full_at - 2.0 * EARLIER, SLOTS_AT_MIN, database.full_at)?;
    let patch = Patch::at(&["databases", &database.service]).line(1, &format!("full_at: {earlier}"));
    let text = Text::new("prevention.slots").with("name", &database.service).with("share", earlier);
    Some(made(PreventionKind::Limit, text, patch))
}

/// A share as whole percent, not below `least`; `None` when that is not less than it is now.
fn percent(share: f64, least: f64, present: f64) -> Option<String> {
    let whole = (share.max(least) * 100.0).round();
    (whole < (present * 100.0).round()).then(|| format!("{whole:.0}%"))
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
