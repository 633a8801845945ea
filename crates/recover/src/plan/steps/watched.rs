//! Steps against faults of networks, names, databases, credentials, backups and outside services.
//!
//! How each is done stands in the keep file; the subject of a step names which declaration it is.

use std::time::Duration;

use wellkept_model::keep::{Backup, Credential, Database};
use wellkept_model::observe::TableState;
use wellkept_model::{ActionKind, Cause, FindingKind, Means, PlannedAction, Text, Undo};

use super::command_ms as ms;
use super::{FILE_DEADLINE_MS, Facts, change_of, file_step, restart, step};

/// Time for one call of the kernel or a short statement, milliseconds.
const SHORT_MS: u64 = 10_000;
/// Within this time so many downs of a link are flapping.
const FLAP_WINDOW: Duration = Duration::from_secs(600);
const FLAPS_MAX: usize = 2;

/// A step by declared means that cannot be taken back.
fn by(kind: ActionKind, means: &Means, ms: u64, cause: &Cause, reason: Text) -> PlannedAction {
    step(kind, &cause.entity, &means.to_string(), ms, cause, Undo::Irreversible, reason)
}

fn reason(key: &str, cause: &Cause) -> Text {
    Text::new(key).with("name", &cause.entity.name)
}

fn no_means(cause: &Cause) -> Text {
    Text::new("escalate.no_means").with("name", &cause.entity.name)
}

/// The file goes back; a service that is down is started once the test passes.
pub(super) fn configuration(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let change = change_of(cause, facts)?;
    let mut steps = vec![file_step(ActionKind::Rollback, change, cause, "reason.rollback")];
    let seen = facts.around.seen.services.get(&cause.entity.name);
    if seen.is_none_or(|s| s.processes.is_empty()) {
        steps.push(restart(ActionKind::StartDependency, &cause.entity, cause, facts)?);
    }
    Ok(steps)
}

/// The changed file goes back, when one is known; then a restart.
pub(super) fn settings_and_restart(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let mut steps = Vec::new();
    if !cause.subject.is_empty() {
        steps.push(file_step(ActionKind::Rollback, change_of(cause, facts)?, cause, "reason.rollback"));
    }
    steps.push(restart(ActionKind::Restart, &cause.entity, cause, facts)?);
    Ok(steps)
}

pub(super) fn link(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let network = facts.around.seen.watched.networks.get(&cause.entity.name);
    let link = network.and_then(|n| n.links.get(&cause.subject)).ok_or_else(|| no_means(cause))?;
    let escalate = |key: &str| Err(Text::new(key).with("link", &cause.subject));
    if !link.exists || link.up {
        return escalate("escalate.link");
    }
    let now = facts.around.now;
    if link.downs.iter().filter(|at| now.since(**at) <= FLAP_WINDOW).count() > FLAPS_MAX {
        return escalate("escalate.link_flaps");
    }
    let why = reason("reason.link_up", cause).with("link", &cause.subject);
    Ok(vec![by(ActionKind::Reconfigure, &Means::Link(cause.subject.clone()), SHORT_MS, cause, why)])
}

/// One step for each table and each queue that is not as declared.
pub(super) fn packet_loss(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let seen = facts.around.seen.watched.networks.get(name).ok_or_else(|| no_means(cause))?;
    let declared = facts.around.keep.watched.networks.get(name).ok_or_else(|| no_means(cause))?;
    let tables = seen.tables.iter().map(|(table, state)| {
        let key = match state {
            TableState::Undeclared => "reason.table_removed",
            TableState::Changed | TableState::Missing => "reason.table_restored",
        };
        (Means::Rules(table.clone()), reason(key, cause).with("table", table))
    });
    let queues = declared.links.iter().filter_map(|(link, queue)| {
        let (want, there) = (queue.as_ref()?, seen.links.get(link)?);
        let why = reason("reason.queue", cause).with("link", link).with("queue", want);
        (there.exists && there.queue != *want).then(|| (Means::Queue(link.clone()), why))
    });
    let steps: Vec<PlannedAction> = tables
        .chain(queues)
        .map(|(means, why)| by(ActionKind::Rollback, &means, SHORT_MS, cause, why))
        .collect();
    if steps.is_empty() { Err(no_means(cause)) } else { Ok(steps) }
}

/// Only when the copy is old and nothing says that the other side refuses the store's value as well.
pub(super) fn credential(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let seen = facts.around.seen.watched.credentials.get(&cause.subject);
    let differs = seen.is_some_and(|c| c.differs.is_some() && c.store_accepted != Some(false));
    if !differs {
        return Err(Text::new("escalate.credential").with("credential", &cause.subject));
    }
    Ok(vec![sync(declared_credential(&cause.subject, facts).ok_or_else(|| no_means(cause))?, cause)?])
}

fn declared_credential<'a>(name: &str, facts: &Facts<'a>) -> Option<&'a Credential> {
    facts.around.keep.watched.credentials.get(name)
}

fn sync(credential: &Credential, cause: &Cause) -> Result<PlannedAction, Text> {
    let command = credential.sync.as_ref().ok_or_else(|| no_means(cause))?;
    let why = reason("reason.credential", cause).with("credential", &credential.name);
    Ok(by(ActionKind::Reconfigure, &Means::Credential(credential.name.clone()), ms(command), cause, why))
}

fn database<'a>(cause: &Cause, facts: &Facts<'a>) -> Result<&'a Database, Text> {
    facts.around.keep.watched.databases.get(&cause.entity.name).ok_or_else(|| no_means(cause))
}

pub(super) fn sessions(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    if !database(cause, facts)?.end_sessions.contains_key(&cause.subject) {
        return Err(Text::new("escalate.connections").with("name", &cause.entity.name));
    }
    let why = reason("reason.sessions", cause).with("application", &cause.subject);
    let means = Means::Sessions(cause.subject.clone());
    Ok(vec![by(ActionKind::TerminateSession, &means, SHORT_MS, cause, why)])
}

pub(super) fn replay(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    database(cause, facts)?;
    Ok(vec![by(ActionKind::Reconfigure, &Means::Replay, SHORT_MS, cause, reason("reason.replay", cause))])
}

pub(super) fn migration(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let (undo, means) = (&database(cause, facts)?.undo_migration, cause.subject.parse::<Means>());
    let (Some(command), Ok(means @ Means::Migration(_))) = (undo, means) else { return Err(no_means(cause)) };
    let why =
        reason("reason.migration", cause).with("migration", cause.detail.arg("migration").unwrap_or("-"));
    Ok(vec![by(ActionKind::Rollback, &means, ms(command), cause, why)])
}

/// Old backups are kept from being removed first; then the credential of the job, then a new one that is proven.
pub(super) fn backup(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let declared: &Backup = facts.around.keep.watched.backups.get(name).ok_or_else(|| no_means(cause))?;
    let run = declared.run.as_ref().ok_or_else(|| no_means(cause))?;
    let mut steps = Vec::new();
    if let Some(command) = &declared.keep_old {
        let why = reason("reason.keep_old", cause);
        let means = Means::KeepOld(name.clone());
        steps.push(by(ActionKind::Reconfigure, &means, ms(command), cause, why));
    }
    let refused = facts.around.seen.watched.backups.get(name).is_some_and(|b| b.refused_login.is_some());
    if let Some(credential) = declared.credential.as_ref().filter(|_| refused) {
        let known = declared_credential(credential, facts).ok_or_else(|| no_means(cause))?;
        steps.push(sync(known, cause)?);
    }
    let test = declared.test.as_ref().map_or(0, ms);
    let deadline = ms(run).saturating_add(test.saturating_mul(2));
    let why = reason("reason.run_backup", cause);
    steps.push(step(ActionKind::RunBackup, &cause.entity, "", deadline, cause, Undo::Irreversible, why));
    Ok(steps)
}

/// Our services do without it, and a person tells its owner. That it is slow cannot be ended from here, so that is not
/// what the verification waits for.
pub(super) fn fallback_on(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let ours = facts.around.seen.watched.dependencies.get(name).is_some_and(|d| d.fallback_ours);
    let declared = facts.around.keep.watched.dependencies.get(name);
    let Some(command) = declared.and_then(|d| d.fallback_on.as_ref()).filter(|_| !ours) else {
        return Err(Text::new("escalate.dependency").with("name", name));
    };
    let why = reason("reason.fallback_on", cause);
    let mut on = by(ActionKind::Reconfigure, &Means::FallbackOn(name.clone()), ms(command), cause, why);
    on.undo = Undo::Means { subject: Means::FallbackOff(name.clone()).to_string() };
    on.verify.retain(|key| key.kind != FindingKind::DependencySlow);
    Ok(vec![on, super::local::hand_over(cause, "reason.hand_over_dependency")])
}

pub(super) fn fallback_off(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let declared = facts.around.keep.watched.dependencies.get(name);
    let command = declared.and_then(|d| d.fallback_off.as_ref()).ok_or_else(|| no_means(cause))?;
    let (means, why) = (Means::FallbackOff(name.clone()), reason("reason.fallback_off", cause));
    Ok(vec![by(ActionKind::Reconfigure, &means, ms(command).max(FILE_DEADLINE_MS), cause, why)])
}
