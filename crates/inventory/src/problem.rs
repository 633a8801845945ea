//! What is wrong with an inventory: the file, line and column, and what would be accepted instead.

use std::fmt;
use std::sync::Arc;

/// A place in a file. Line and column count from 1; 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The path as the caller named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub fn file(path: &str) -> Self {
        Self { file: path.into(), line: 0, column: 0 }
    }

    /// Another line and column of the same file.
    pub(crate) fn at(&self, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(&self.file), line, column }
    }

    pub(crate) fn problem(&self, problem: Problem) -> InventoryError {
        InventoryError { place: self.clone(), problem }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// A mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct InventoryError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What can be wrong. Every text says what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the error texts say what each variant and field is")]
pub enum Problem {
    #[error("no such file or folder; accepted: a file, a folder, or a list of hosts that holds a comma")]
    Missing,
    #[error("cannot be read: {detail}")]
    Unreadable { detail: String },
    #[error("belongs to user {owner}; accepted: files of root or of the user who runs this ({user})")]
    ForeignOwner { owner: u32, user: u32 },
    #[error("can be written by others (mode {mode:04o}); accepted: `chmod go-w`")]
    WritableByOthers { mode: u32 },
    #[error("has {bytes} bytes; accepted: at most {max}")]
    TooLarge { bytes: u64, max: u64 },
    #[error("is not UTF-8 text; accepted: UTF-8")]
    NotText,
    #[error("too many {what}; accepted: at most {max}")]
    TooMany { what: &'static str, max: usize },
    #[error("nested too deeply; accepted: at most {max} levels")]
    TooDeep { max: usize },
    #[error("not YAML: {detail}")]
    Yaml { detail: String },
    #[error("not JSON: {detail}")]
    Json { detail: String },
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("section [{section}] is not known; accepted: [group], [group:vars], [group:children]")]
    Section { section: String },
    #[error("group {group:?} is declared nowhere; accepted: a group that has its own [{group}] section")]
    UndefinedGroup { group: String },
    #[error("{child:?} below {parent:?} makes a circle of groups; accepted: groups without circles")]
    Circle { parent: String, child: String },
    #[error(
        "host name {name:?} is refused: {why}; accepted: letters, digits and . _ - : / @ % +, first no '-'"
    )]
    HostName { name: String, why: &'static str },
    #[error("group name {name:?} is refused; accepted: a text without control characters")]
    GroupName { name: String },
    #[error("range {range:?}: {why}; accepted: [1:9], [01:10:2], [a:f]")]
    Range { range: String, why: &'static str },
    #[error("a quoted text has no end; accepted: each \" and ' closed on its line")]
    Quote,
    #[error("ansible_group_priority is {found}; accepted: a whole number")]
    Priority { found: String },
    #[error(
        "is the configuration of the inventory plugin {plugin:?}, which is not built in; accepted: INI, YAML, JSON, scripts, folders"
    )]
    Plugin { plugin: String },
    #[error("has the extension .toml; accepted: INI, YAML, JSON, scripts, folders")]
    Toml,
    #[error(
        "is an inventory script, and scripts are not allowed here; accepted: a file without the executable bit"
    )]
    ScriptNotAllowed,
    #[error("the script failed: {detail}")]
    Script { detail: String },
    #[error(
        "pattern {pattern:?}: {why}; accepted: names, *, ?, [..], ~regex, !, &, [0], [0:2], joined by ',' or ':'"
    )]
    Pattern { pattern: String, why: String },
}

/// Something odd that does not stop the reading; Ansible warns at the same places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub place: Place,
    /// What, as text for people.
    pub text: String,
}

/// The result of reading.
pub(crate) type Result<T> = std::result::Result<T, InventoryError>;

/// A foreign text made fit for an error: no control characters, at most 80 characters.
pub(crate) fn short(text: &str) -> String {
    let mut out: String =
        text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}
