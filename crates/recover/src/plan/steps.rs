//! Which steps answer which cause. Every step carries how it is verified and how it is undone.

mod circle;
mod guarded;
mod inside;
mod local;
mod security;
mod watched;

use wellkept_model::keep::{Command, Identity, Service};
use wellkept_model::{
    ActionKind, Cause, CauseKind, EntityId, EntityKind, FileVersionChange, FindingKind, Incident,
    PlannedAction, Text, Undo,
};

use super::Facts;

/// Time for steps that write or remove files, milliseconds.
const FILE_DEADLINE_MS: u64 = 30_000;
/// Time for a signal, milliseconds.
const SIGNAL_DEADLINE_MS: u64 = 5_000;
/// Time for a service manager, milliseconds.
const UNIT_DEADLINE_MS: u64 = 90_000;

/// The steps, never empty, or why a person is needed.
pub(super) fn for_cause(
    cause: &Cause,
    incident: &Incident,
    facts: &Facts<'_>,
) -> Result<Vec<PlannedAction>, Text> {
    match cause.kind {
        CauseKind::ProcessCrash | CauseKind::ProcessDown | CauseKind::DaemonDown => {
            start_again(cause, incident, facts)
        }
        CauseKind::ProcessStopped => Ok(vec![resume(cause)]),
        CauseKind::BadSetting => roll_back(cause, facts),
        CauseKind::MissingFile => put_back(cause, incident, facts),
        CauseKind::UnauthorisedFileChange => restore_altered(cause, facts),
        CauseKind::DiskFull | CauseKind::InodeExhaustion => free_space(cause, facts),
        CauseKind::BadRelease => local::roll_back_release(cause, facts),
        CauseKind::ChildrenNotReaped
        | CauseKind::FdLeak
        | CauseKind::MemoryLeak
        | CauseKind::ThreadPoolExhaustion
        | CauseKind::GcPause => local::restart_leaking(cause, facts),
        CauseKind::CpuContention => Ok(local::slow_down(cause, facts)),
        CauseKind::DeletedOpenFile => local::reopen(cause, facts),
        CauseKind::PortConflict => local::free_port(cause, facts),
        CauseKind::RunawayFork => Ok(local::end_session(cause)),
        CauseKind::UnexpectedListener => local::isolate_listener(cause, facts),
        CauseKind::BackupMissing | CauseKind::EmptyDump => watched::backup(cause, facts),
        CauseKind::TlsCertificateExpired | CauseKind::TlsNameMismatch => guarded::certificate(cause, facts),
        // Named: a certificate; else the configuration of the service itself.
        CauseKind::ConfigDrift if !cause.subject.is_empty() => guarded::certificate(cause, facts),
        CauseKind::JobMissing => guarded::job(cause, facts),
        CauseKind::JobOverlap => Err(guarded::why("escalate.job_overlap", cause).with("job", &cause.subject)),
        CauseKind::SshBruteforce => security::bruteforce(cause, facts),
        CauseKind::SshCompromisedAccount => security::compromised(cause, facts),
        CauseKind::Malware | CauseKind::MalwareTestFile => security::quarantine(cause, facts),
        CauseKind::PrivilegeEscalation => Err(guarded::why("escalate.privilege", cause)),
        CauseKind::RouteMissing => guarded::route(cause, facts),
        CauseKind::MtuMismatch => guarded::mtu(cause, facts),
        CauseKind::LinkDegraded => Err(guarded::why("escalate.link_degraded", cause)),
        CauseKind::AddressConflict => Err(guarded::why("escalate.address_conflict", cause)),
        CauseKind::LogFlood => guarded::log_flood(cause, facts),
        CauseKind::Hang => Ok(vec![restart(ActionKind::Restart, &cause.entity, cause, facts)?]),
        CauseKind::MountMissing => guarded::mount(cause, facts),
        CauseKind::DiskReadOnly => Err(guarded::why("escalate.read_only", cause)),
        CauseKind::MemoryThrash => Err(guarded::why("escalate.memory", cause)),
        CauseKind::DiskIoSaturation => Err(guarded::why("escalate.disk_busy", cause)),
        CauseKind::NatTableFull => Err(guarded::why("escalate.tracking", cause)),
        CauseKind::OomKill => guarded::killed(cause, incident, facts),
        CauseKind::CpuThrottled => guarded::quota(cause, facts),
        CauseKind::TimeSyncLost => guarded::time(cause, facts),
        CauseKind::ClockSkew => watched::settings_and_restart(cause, facts),
        CauseKind::ConfigSyntaxError => watched::configuration(cause, facts),
        CauseKind::ConnectionExhaustion => watched::sessions(cause, facts),
        CauseKind::CredentialMismatch => watched::credential(cause, facts),
        CauseKind::Down => Ok(vec![restart(ActionKind::Restart, &cause.entity, cause, facts)?]),
        CauseKind::FallbackLeftOn => watched::fallback_off(cause, facts),
        CauseKind::LinkDown => watched::link(cause, facts),
        CauseKind::DependencyLoop => circle::break_circle(cause, facts).map(|step| vec![step]),
        CauseKind::MissingIndex => watched::migration(cause, facts),
        CauseKind::PacketLoss | CauseKind::Throttled | CauseKind::FirewallBlock => {
            watched::network_as_declared(cause, facts)
        }
        CauseKind::ReplayPaused => watched::replay(cause, facts),
        CauseKind::Slow if cause.entity.kind == EntityKind::Service => Err(inside::for_a_person(cause)),
        CauseKind::Slow => watched::fallback_on(cause, facts),
        CauseKind::WrongAnswers if cause.subject.is_empty() => {
            Err(Text::new("escalate.no_good_version").with("path", &cause.entity.name))
        }
        CauseKind::WrongAnswers => watched::settings_and_restart(cause, facts),
        CauseKind::LockContention => inside::blockers(cause, facts),
        CauseKind::TableBloat => inside::vacuum(cause, facts),
        CauseKind::CheckpointStorm => inside::settings_and_reload(cause, facts),
        CauseKind::SchemaMismatch => watched::migration(cause, facts),
        CauseKind::CacheEviction => inside::memory(cause, facts),
        CauseKind::PoisonMessage => inside::dead_letter(cause, facts),
        CauseKind::RateLimited => watched::fallback_on(cause, facts),
        CauseKind::ConfigDrift => inside::reload(cause, facts).map(|step| vec![step]),
        CauseKind::WrongUpstream => inside::settings_and_reload(cause, facts),
        CauseKind::KeyExpired => inside::renew(cause, facts),
        CauseKind::TrafficSurge
        | CauseKind::RetryStorm
        | CauseKind::VersionMismatch
        | CauseKind::CorruptedData
        | CauseKind::PersistenceFailed
        | CauseKind::QueueFull
        | CauseKind::Deadlock
        | CauseKind::TransactionWraparound
        | CauseKind::ReplicationBroken
        | CauseKind::SplitBrain => Err(inside::for_a_person(cause)),
        CauseKind::Unknown => Err(Text::new("escalate.unknown").with("name", &cause.entity.name)),
    }
}

fn start_again(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let loops = incident.findings.iter().any(|f| {
        f.key.entity == cause.entity
            && f.key.kind == FindingKind::RestartingOften
            && facts.around.active.iter().any(|a| a.key == f.key)
    });
    if loops {
        return Err(Text::new("escalate.loop").with("name", &cause.entity.name));
    }
    let others = cause.explains.iter().any(|k| k.entity != cause.entity);
    let kind = if others { ActionKind::StartDependency } else { ActionKind::Restart };
    Ok(vec![restart(kind, &cause.entity, cause, facts)?])
}

fn restart(
    kind: ActionKind,
    target: &EntityId,
    cause: &Cause,
    facts: &Facts<'_>,
) -> Result<PlannedAction, Text> {
    let service = facts.around.keep.services.get(&target.name);
    let deadline_ms = service
        .and_then(start_time_ms)
        .ok_or_else(|| Text::new("escalate.no_command").with("name", &target.name))?;
    let reason = Text::new("reason.restart").with("name", &target.name);
    Ok(step(kind, target, "", deadline_ms, cause, Undo::Irreversible, reason))
}

/// Longest time that starting the service may take; `None` when nothing is declared to start it.
fn start_time_ms(service: &Service) -> Option<u64> {
    if matches!(service.identity, Identity::Unit(_)) {
        return Some(UNIT_DEADLINE_MS);
    }
    let start = service.start.as_ref().or(service.restart.as_ref()).map(command_ms)?;
    let stop = service.stop.as_ref().or(service.restart.as_ref()).map_or(20_000, command_ms);
    Some(start.saturating_add(stop))
}

fn command_ms(command: &Command) -> u64 {
    u64::try_from(command.within.as_millis()).unwrap_or(u64::MAX)
}

fn resume(cause: &Cause) -> PlannedAction {
    let reason = Text::new("reason.resume").with("name", &cause.entity.name);
    step(ActionKind::Resume, &cause.entity, "", SIGNAL_DEADLINE_MS, cause, Undo::Stop, reason)
}

fn roll_back(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let change = change_of(cause, facts)?;
    let file = file_step(ActionKind::Rollback, change, cause, "reason.rollback");
    Ok(vec![file, restart(ActionKind::Restart, &cause.entity, cause, facts)?])
}

fn put_back(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let mut steps = match local::restore_release(cause, facts) {
        Some(steps) => steps?,
        None => vec![file_step(ActionKind::Restore, change_of(cause, facts)?, cause, "reason.restore")],
    };
    if local::is_gone(cause, incident, facts) {
        steps.push(restart(ActionKind::Restart, &cause.entity, cause, facts)?);
    }
    Ok(steps)
}

/// The file comes first: a process that is gone as well would start with what was put there. It is started again where
/// that is allowed; the file goes back in any case.
fn restore_altered(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let mut steps = match local::restore_release(cause, facts) {
        Some(steps) => steps?,
        None => vec![file_step(ActionKind::Restore, change_of(cause, facts)?, cause, "reason.restore")],
    };
    let owner = facts.file_changes.iter().find(|c| c.path == cause.subject).map(|c| c.service.as_str());
    let service = owner.and_then(|name| facts.around.keep.services.get(name));
    let ours_to_start = |s: &&Service| {
        s.may.contains(&ActionKind::Restart)
            && s.starts_itself_within.is_none()
            && local::has_no_process(&EntityId::service(&s.name), facts)
    };
    if let Some(service) = service.filter(ours_to_start) {
        let start = restart(ActionKind::Restart, &EntityId::service(&service.name), cause, facts)?;
        let files = steps.iter().take_while(|s| s.kind == ActionKind::Restore).count();
        steps.insert(files, start);
    }
    Ok(steps)
}

fn free_space(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let look = facts.space.iter().find(|u| u.mountpoint == cause.entity.name);
    let freeable: u64 = look.into_iter().flat_map(|u| &u.rules).map(|r| r.files).sum();
    if freeable == 0 {
        return Err(Text::new("escalate.nothing_to_free").with("name", &cause.entity.name));
    }
    let reason = Text::new("reason.free_space").with("name", &cause.entity.name).with("files", freeable);
    let kind = ActionKind::FreeSpace;
    Ok(vec![step(kind, &cause.entity, &cause.subject, FILE_DEADLINE_MS, cause, Undo::Irreversible, reason)])
}

/// The changed file behind a cause, with its last good version.
fn change_of<'a>(cause: &Cause, facts: &Facts<'a>) -> Result<&'a FileVersionChange, Text> {
    let found = facts.file_changes.iter().find(|c| c.path == cause.subject && !c.good_sha256.is_empty());
    found.ok_or_else(|| Text::new("escalate.no_good_version").with("path", &cause.subject))
}

fn file_step(kind: ActionKind, change: &FileVersionChange, cause: &Cause, reason: &str) -> PlannedAction {
    let target = EntityId::service(&change.service);
    let undo = Undo::PutBack { path: change.path.clone(), sha256: change.now_sha256.clone() };
    let reason = Text::new(reason).with("path", &change.path).with("name", &change.service);
    let mut step = step(kind, &target, &change.path, FILE_DEADLINE_MS, cause, undo, reason);
    step.to_version = Some(change.good_sha256.clone());
    step
}

fn step(
    kind: ActionKind,
    target: &EntityId,
    subject: &str,
    deadline_ms: u64,
    cause: &Cause,
    undo: Undo,
    reason: Text,
) -> PlannedAction {
    PlannedAction {
        kind,
        target: target.clone(),
        subject: subject.to_owned(),
        to_version: None,
        deadline_ms,
        verify: cause.explains.clone(),
        undo,
        reason,
    }
}
