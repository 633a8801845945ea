//! The step against services that wait for each other.

use wellkept_model::{ActionKind, Cause, EntityId, PlannedAction, Text};

use super::{Facts, restart};

/// Starts one of them anew, never several at once: whom diagnosis named, or the first of them that may be restarted. The
/// others get their answers, or an error, and go on.
pub(super) fn break_circle(cause: &Cause, facts: &Facts<'_>) -> Result<PlannedAction, Text> {
    let members = cause.subject.split(',').filter(|name| *name != cause.entity.name);
    let all = std::iter::once(cause.entity.name.as_str()).chain(members);
    let may = |name: &str| {
        let service = facts.around.keep.services.get(name);
        service.is_some_and(|s| s.may.contains(&ActionKind::Restart) && super::start_time_ms(s).is_some())
    };
    let chosen = all.into_iter().find(|name| may(name)).unwrap_or(&cause.entity.name);
    let mut step = restart(ActionKind::Restart, &EntityId::service(chosen), cause, facts)?;
    step.reason = Text::new("reason.break_circle").with("name", chosen).with("all", &cause.subject);
    Ok(step)
}
