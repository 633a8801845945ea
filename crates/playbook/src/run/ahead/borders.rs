//! Which tasks nothing may be sent past, and which nothing may be sent after.

use wellkept_inventory::Value;

use crate::book::{Task, key_text};

/// Modules whose results change variables, files of the controller, or the connection.
const TELLING: &[&str] = &[
    "async_status",
    "fetch",
    "gather_facts",
    "getent",
    "hostname",
    "mount_facts",
    "package_facts",
    "pause",
    "reboot",
    "service_facts",
    "setup",
    "wait_for_connection",
];
/// Modules that may wait for what another host is about to do.
const WAITING: &[&str] = &["pause", "reboot", "wait_for", "wait_for_connection"];
/// What reaches over to other hosts, even where this host skips it.
const CROSSING: &[&str] = &["delegate_to", "run_once", "throttle", "connection", "ignore_unreachable"];
const CROSSING_ACTIONS: &[&str] = &["add_host", "group_by", "set_stats"];
/// `meta` that one host decides for all.
const CROSSING_META: &[&str] = &["clear_host_errors", "end_batch", "end_play", "refresh_inventory"];

/// Nothing goes past this task, whether or not its host skips it.
pub(super) fn is_crossing(task: &Task, several: bool) -> bool {
    let action = task.action.as_str();
    CROSSING.iter().any(|keyword| task.within.attr(keyword).is_some())
        || CROSSING_ACTIONS.contains(&action)
        || action == "meta" && CROSSING_META.contains(&meta(task).as_str())
        || several && WAITING.contains(&action)
        || several && task.within.attr("any_errors_fatal").is_some()
}

/// What a `meta` is about.
pub(super) fn meta(task: &Task) -> String {
    task.arg("_raw_params").map(key_text).unwrap_or_default()
}

/// It is done here and not handed out: what was promised after it stays.
pub(super) fn is_looked_past(task: &Task) -> bool {
    matches!(task.action.as_str(), "assert" | "debug" | "fail" | "include_vars" | "set_fact")
        || matches!(task.action.as_str(), "include_role" | "include_tasks")
}

/// Whether the task can be sent before its turn.
pub(super) fn can_come(task: &Task) -> bool {
    let action = task.action.as_str();
    let paused =
        task.looped.as_ref().is_some_and(|looped| looped.control.iter().any(|(key, _)| key == "pause"));
    !paused
        && task.args_template.is_none()
        && task.own("async").is_none()
        && !TELLING.contains(&action)
        && !crate::book::CONTROLLER.contains(&action)
}

/// Whether something may be sent after the task: the host that it runs on sees by itself whether it succeeded.
pub(super) fn can_open(task: &Task) -> bool {
    let literal = |keyword| task.own(keyword).is_none_or(|said| matches!(said, Value::Bool(_)));
    can_come(task)
        && task.own("until").is_none()
        && task.own("retries").is_none()
        && literal("changed_when")
        && matches!(task.own("failed_when"), None | Some(Value::Bool(false)))
}
