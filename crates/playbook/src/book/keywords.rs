//! The keywords of plays, blocks, roles, tasks and handlers.

/// Inherited by everything inside.
pub(crate) const INHERITED: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "diff",
    "environment",
    "ignore_errors",
    "ignore_unreachable",
    "module_defaults",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "throttle",
    "timeout",
    "delegate_to",
    "delegate_facts",
];

/// Said by every kind of node.
pub(crate) const COMMON: &[&str] = &["name", "tags", "vars", "when"];

/// Of plays alone.
pub(crate) const PLAY: &[&str] = &[
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "vars_files",
    "vars_prompt",
    "roles",
    "handlers",
    "pre_tasks",
    "post_tasks",
    "tasks",
    "force_handlers",
    "max_fail_percentage",
    "serial",
    "strategy",
    "order",
    "validate_argspec",
    "user",
];

/// Of blocks alone.
pub(crate) const BLOCK: &[&str] = &["block", "rescue", "always", "notify"];

/// Of tasks alone, besides the module and `with_…`.
pub(crate) const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "failed_when",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
];

/// Kept with a task under their names.
pub(crate) const TASK_OWN: &[&str] =
    &["async", "changed_when", "delay", "failed_when", "poll", "register", "retries", "until"];

/// Kept with a play under their names.
pub(crate) const PLAY_OWN: &[&str] = &[
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "force_handlers",
    "max_fail_percentage",
    "serial",
    "strategy",
    "order",
];

/// The fixed name of an inherited keyword.
pub(crate) fn inherited(name: &str) -> Option<&'static str> {
    INHERITED.iter().find(|known| **known == name).copied()
}

pub(crate) fn find(list: &'static [&'static str], name: &str) -> Option<&'static str> {
    list.iter().find(|known| **known == name).copied()
}
