//! Names of modules: long and short forms, and which of them this engine does itself.

/// What the controller does without asking a host's helper.
pub const CONTROLLER: &[&str] = &[
    "add_host",
    "assert",
    "debug",
    "fail",
    "group_by",
    "import_playbook",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
];

/// Modules that take one free text as it stands, besides `key=value` of their own.
pub(crate) const FREE_FORM: &[&str] = &[
    "command",
    "shell",
    "script",
    "raw",
    "meta",
    "include_tasks",
    "import_tasks",
    "include_vars",
    "include_role",
    "import_role",
    "import_playbook",
    "add_host",
    "group_by",
    "set_fact",
    "expect",
    "win_command",
    "win_shell",
];

/// Collections whose modules are written with their short names.
const COLLECTIONS: &[&str] = &[
    "ansible.builtin",
    "ansible.legacy",
    "ansible.posix",
    "community.general",
    "community.crypto",
    "community.postgresql",
    "community.mysql",
    "community.docker",
];

/// `ansible.builtin.copy` → `copy`; names of other collections stay whole.
pub fn short_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((collection, short)) if COLLECTIONS.contains(&collection) => short,
        _ => name,
    }
}
