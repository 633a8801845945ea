//! Steps against faults inside databases, caches and queues: what the keep file names, and else a person.

use wellkept_model::{ActionKind, Cause, Means, PlannedAction, Text, Undo};

use super::watched::{by, database, no_means, reason};
use super::{Facts, change_of, command_ms, file_step, step};

/// Time for one short statement, milliseconds.
const SHORT_MS: u64 = 10_000;
/// Time for cleaning a table, milliseconds.
const VACUUM_MS: u64 = 600_000;

/// Why no action of ours can help: each kind has a text of its own.
pub(super) fn for_a_person(cause: &Cause) -> Text {
    Text::new(&format!("escalate.{}", cause.kind.word())).with("name", &cause.entity.name)
}

/// Ends who holds the lock, when its application is named for that.
pub(super) fn blockers(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let declared = database(cause, facts)?;
    let Ok(means @ Means::Blockers(_)) = cause.subject.parse::<Means>() else {
        return Err(for_a_person(cause));
    };
    let Means::Blockers(application) = &means else { return Err(for_a_person(cause)) };
    let seen = facts.around.seen.watched.databases.get(&cause.entity.name);
    let held = seen.into_iter().flat_map(|d| &d.care.holders).filter(|h| h.application == *application);
    let held_ms = held.map(|h| h.held_ms).max().unwrap_or(0);
    let limit = declared.care.end_blockers.get(application);
    if limit.is_none_or(|l| u128::from(held_ms) < l.as_millis()) {
        return Err(for_a_person(cause));
    }
    let why = reason("reason.blockers", cause).with("application", application);
    Ok(vec![by(ActionKind::TerminateSession, &means, SHORT_MS, cause, why)])
}

/// Cleans the table, when it is named for that and cleaning can help.
pub(super) fn vacuum(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let declared = database(cause, facts)?;
    match cause.subject.parse::<Means>() {
        Ok(means @ Means::Vacuum(_)) => {
            let table = cause.detail.arg("table").unwrap_or_default();
            if !declared.care.vacuum.iter().any(|t| t == table) {
                return Err(no_means(cause));
            }
            let why = reason("reason.vacuum", cause).with("table", table);
            Ok(vec![by(ActionKind::FreeSpace, &means, VACUUM_MS, cause, why)])
        }
        _ => Err(for_a_person(cause)),
    }
}

/// The changed file goes back, and the service reads it again; without such a file a person is needed.
pub(super) fn settings_and_reload(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    if cause.subject.is_empty() {
        return Err(for_a_person(cause));
    }
    let file = file_step(ActionKind::Rollback, change_of(cause, facts)?, cause, "reason.rollback");
    Ok(vec![file, reload(cause, facts)?])
}

/// Has the service read its files again.
pub(super) fn reload(cause: &Cause, facts: &Facts<'_>) -> Result<PlannedAction, Text> {
    let command = facts.around.keep.services.get(&cause.entity.name).and_then(|s| s.reload.as_ref());
    let command = command.ok_or_else(|| no_means(cause))?;
    let (kind, undo, why) = (ActionKind::Reconfigure, Undo::Irreversible, reason("reason.reload", cause));
    Ok(step(kind, &cause.entity, "reload", command_ms(command), cause, undo, why))
}
