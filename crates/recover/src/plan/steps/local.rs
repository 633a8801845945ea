//! Steps against faults of this host: files of releases, releases, ports, leaks, processes that belong to no service.

use wellkept_model::keep::{Release, Service};
use wellkept_model::{
    ActionKind, Cause, CauseKind, EntityId, EntityKind, FileOrigin, FileVersionChange, Incident,
    PlannedAction, Text, Undo,
};

use super::{FILE_DEADLINE_MS, Facts, SIGNAL_DEADLINE_MS, command_ms, file_step, restart, step};

/// Most files of a release that are brought back one by one; more is a damaged release, which a person looks at.
const FILES_MAX: usize = 32;
/// Time for freezing and ending many processes, milliseconds.
const KILL_DEADLINE_MS: u64 = 30_000;

/// Hands over to a person after the steps before it: a defect remains, or an offence wants eyes.
pub(super) fn hand_over(cause: &Cause, why: &str) -> PlannedAction {
    let reason = Text::new(why).with("name", &cause.entity.name);
    let mut step = step(ActionKind::Escalate, &cause.entity, "", 0, cause, Undo::Irreversible, reason);
    step.verify.clear();
    step
}

/// Files of a release that differ from its manifest: all of that service at once. `None` when the cause is about no
/// such file.
pub(super) fn restore_release(cause: &Cause, facts: &Facts<'_>) -> Option<Result<Vec<PlannedAction>, Text>> {
    let is_ours = |c: &&FileVersionChange| c.origin == FileOrigin::Release;
    let first = facts.file_changes.iter().filter(is_ours).find(|c| c.path == cause.subject)?;
    let all: Vec<&FileVersionChange> = facts
        .file_changes
        .iter()
        .filter(is_ours)
        .filter(|c| c.service == first.service && c.recorded.is_none())
        .collect();
    if all.len() > FILES_MAX {
        return Some(Err(Text::new("escalate.release_damaged")
            .with("name", &first.service)
            .with("count", all.len())));
    }
    let mut steps: Vec<PlannedAction> = all
        .into_iter()
        .map(|change| {
            let mut step = file_step(ActionKind::Restore, change, cause, "reason.restore_release");
            if change.now_sha256.is_some() {
                // What was put there against the manifest stays in the evidence and is not put back.
                step.undo = Undo::Irreversible;
            }
            step
        })
        .collect();
    if cause.kind == CauseKind::UnauthorisedFileChange {
        steps.push(hand_over(cause, "reason.hand_over_offence"));
    }
    Some(Ok(steps))
}

/// Makes the release before the present one current again.
pub(super) fn roll_back_release(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let service = facts.around.keep.services.get(name);
    let declared = service.and_then(|s| Some((s, s.release.as_ref()?)));
    let current = facts.around.seen.local.releases.get(name);
    let (Some((service, release)), Some(current)) = (declared, current) else {
        return Err(Text::new("escalate.no_release").with("name", name));
    };
    let before = &cause.subject;
    if before.is_empty() || *before == current.target {
        return Err(Text::new("escalate.no_release").with("name", name));
    }
    let deadline_ms =
        release_ms(service, release).ok_or_else(|| Text::new("escalate.no_command").with("name", name))?;
    let reason = Text::new("reason.rollback_release").with("name", name).with("release", before);
    let undo = Undo::Release { to: current.target.clone() };
    let mut step = step(ActionKind::Rollback, &cause.entity, "release", deadline_ms, cause, undo, reason);
    step.to_version = Some(before.clone());
    Ok(vec![step])
}

/// Longest time that the change of the release may take, the restart with it.
fn release_ms(service: &Service, release: &Release) -> Option<u64> {
    match &release.rollback {
        Some(command) => Some(command_ms(command)),
        None => super::start_time_ms(service).map(|ms| ms.saturating_add(FILE_DEADLINE_MS)),
    }
}

/// A restart before the limit is hit; the defect stays, so a person hears of it.
pub(super) fn restart_leaking(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    if cause.entity.kind != EntityKind::Service {
        return Err(Text::new("escalate.not_ours").with("name", &cause.entity.name));
    }
    let first = restart(ActionKind::Restart, &cause.entity, cause, facts)?;
    Ok(vec![first, hand_over(cause, "reason.hand_over_defect")])
}

/// Has the service open its files again; without such a command it is restarted.
pub(super) fn reopen(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let command = facts.around.keep.services.get(&cause.entity.name).and_then(|s| s.reopen.as_ref());
    let Some(command) = command else {
        return Ok(vec![restart(ActionKind::Restart, &cause.entity, cause, facts)?]);
    };
    let reason = Text::new("reason.reopen").with("name", &cause.entity.name).with("path", &cause.subject);
    let (kind, undo) = (ActionKind::Reconfigure, Undo::Irreversible);
    Ok(vec![step(kind, &cause.entity, "reopen", command_ms(command), cause, undo, reason)])
}

/// Ends who holds the port; then the service is started, unless something else does that.
pub(super) fn free_port(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let comm = cause.detail.arg("comm").unwrap_or_default();
    let pid = cause.detail.arg("pid").unwrap_or_default();
    let holder = EntityId::new(EntityKind::Process, format!("{comm} [{pid}]"));
    let reason =
        Text::new("reason.kill_holder").with("name", &cause.entity.name).with("comm", comm).with("pid", pid);
    let (kind, undo) = (ActionKind::Kill, Undo::Irreversible);
    let mut steps = vec![step(kind, &holder, &cause.subject, KILL_DEADLINE_MS, cause, undo, reason)];
    let service = facts.around.keep.services.get(&cause.entity.name);
    if service.is_some_and(|s| s.starts_itself_within.is_none()) {
        steps.push(restart(ActionKind::StartDependency, &cause.entity, cause, facts)?);
    }
    Ok(steps)
}

/// Ends a whole session at once.
pub(super) fn end_session(cause: &Cause) -> Vec<PlannedAction> {
    let reason = Text::new("reason.kill_session")
        .with("name", &cause.entity.name)
        .with("count", cause.detail.arg("count").unwrap_or_default());
    let (kind, undo) = (ActionKind::Kill, Undo::Irreversible);
    vec![step(kind, &cause.entity, &cause.subject, KILL_DEADLINE_MS, cause, undo, reason)]
}

/// Blocks the port where that is declared, and hands over in any case: what listens there is for a person to judge.
pub(super) fn isolate_listener(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let isolate = facts.around.keep.listeners.as_ref().is_some_and(|l| l.isolate);
    let place = name.split_once(' ').and_then(|(protocol, address)| {
        let address: std::net::SocketAddr = address.parse().ok()?;
        Some((protocol.to_owned(), address))
    });
    let Some((protocol, address)) = place.filter(|(_, a)| isolate && !a.ip().is_loopback()) else {
        return Err(Text::new("escalate.unexpected_listener").with("name", name));
    };
    // A service that opened one more port is a matter for those who declare it: blocking could break it.
    let pid =
        facts.around.seen.listeners.iter().find(|l| l.address == address.to_string()).and_then(|l| l.pid);
    let mut members = facts.around.seen.services.values().flat_map(|s| &s.processes);
    if pid.is_some_and(|pid| members.any(|p| p.pid == pid)) {
        return Err(Text::new("escalate.unexpected_listener").with("name", name));
    }
    let port = address.port();
    // The block is for the whole port: it must hit nobody who may listen there.
    let mut declared = facts.around.keep.services.values().flat_map(|s| &s.listens);
    let allowed = facts.around.keep.listeners.iter().flat_map(|l| &l.allow).any(|a| a.port == port);
    if allowed || declared.any(|a| a.port() == port) {
        return Err(Text::new("escalate.port_shared").with("name", name));
    }
    let reason = Text::new("reason.isolate_port").with("name", name);
    let undo = Undo::Unblock { protocol, port };
    let mut first = step(ActionKind::Isolate, &cause.entity, name, SIGNAL_DEADLINE_MS, cause, undo, reason);
    // It goes on listening: nobody can reach it any more.
    first.verify.clear();
    Ok(vec![first, hand_over(cause, "reason.hand_over_offence")])
}

/// Makes the processes nice.
pub(super) fn slow_down(cause: &Cause, facts: &Facts<'_>) -> Vec<PlannedAction> {
    let reason = Text::new("reason.slow_down")
        .with("comm", cause.detail.arg("comm").unwrap_or_default())
        .with("count", cause.detail.arg("count").unwrap_or_default());
    let undo = Undo::Renice { before: nice_before(cause, facts) };
    let (kind, entity) = (ActionKind::Reconfigure, &cause.entity);
    vec![step(kind, entity, &cause.subject, SIGNAL_DEADLINE_MS, cause, undo, reason)]
}

fn nice_before(cause: &Cause, facts: &Facts<'_>) -> Vec<(String, i32)> {
    let table = facts.around.seen.local.table.as_ref();
    let consumers = table.into_iter().flat_map(|t| &t.consumers);
    let named = |c: &&wellkept_model::local::ConsumerSeen| {
        let process = c.process.to_string();
        cause.subject.split(' ').any(|word| word == process)
    };
    consumers.filter(named).map(|c| (c.process.to_string(), c.nice)).collect()
}

/// True when a finding of the incident says that the service has no process now.
pub(super) fn is_gone(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> bool {
    incident.findings.iter().any(|f| {
        f.key.entity == cause.entity
            && f.key.kind == wellkept_model::FindingKind::ProcessGone
            && facts.around.active.iter().any(|a| a.key == f.key)
    })
}

/// True when it is found now that the service has no process.
pub(super) fn has_no_process(service: &EntityId, facts: &Facts<'_>) -> bool {
    let gone = wellkept_model::FindingKind::ProcessGone;
    facts.around.active.iter().any(|f| f.key.entity == *service && f.key.kind == gone)
}
