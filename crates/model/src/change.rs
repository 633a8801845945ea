//! What people and tools changed.

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// Id of a recorded change, as its recorder gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChangeId(pub String);

/// What sort of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Another release was made current.
    Release,
    /// A configuration file.
    Config,
    /// A setting of a service.
    Setting,
    /// A secret; its value is never recorded.
    Secret,
    /// A database migration.
    Migration,
    /// A service was restarted by hand.
    Restart,
    /// Packages were upgraded.
    Package,
    /// Anything else.
    Other,
}

impl ChangeKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Release,
        Self::Config,
        Self::Setting,
        Self::Secret,
        Self::Migration,
        Self::Restart,
        Self::Package,
        Self::Other,
    ];

    /// The word of the API and of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Config => "config",
            Self::Setting => "setting",
            Self::Secret => "secret",
            Self::Migration => "migration",
            Self::Restart => "restart",
            Self::Package => "package",
            Self::Other => "other",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }
}

/// A change that somebody recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Unique within its recorder.
    pub id: ChangeId,
    /// When it took effect.
    pub at: TimestampMs,
    /// Person or tool.
    pub who: String,
    /// What sort.
    pub kind: ChangeKind,
    /// Path, service or name.
    pub what: String,
    /// Where the state before it is kept, or what it was.
    #[serde(default)]
    pub before: String,
    /// The state after it.
    #[serde(default)]
    pub after: String,
}

/// A kept file got other content, owner or mode. Values never appear: only names of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersionChange {
    /// Service that declares the file.
    pub service: String,
    /// The file.
    pub path: String,
    /// When we first saw the new version.
    pub at: TimestampMs,
    /// Modification time of the new version, when there is one.
    pub modified_at: Option<TimestampMs>,
    /// SHA-256 (hex) of the last good version.
    pub good_sha256: String,
    /// SHA-256 (hex) of what is there now; `None` when the file is gone.
    pub now_sha256: Option<String>,
    /// The recorded change that explains it, when there is one.
    pub recorded: Option<ChangeId>,
    /// Names of `KEY=VALUE` or `key: value` lines that are gone.
    #[serde(default)]
    pub keys_removed: Vec<String>,
    /// Names whose value differs.
    #[serde(default)]
    pub keys_changed: Vec<String>,
    /// Names that are new.
    #[serde(default)]
    pub keys_added: Vec<String>,
    /// True when only owner, group or mode differ.
    #[serde(default)]
    pub only_metadata: bool,
    /// What says how the file should be.
    #[serde(default)]
    pub origin: FileOrigin,
}

/// What says how a file should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOrigin {
    /// Its last good version, as we saw and kept it.
    #[default]
    Kept,
    /// The manifest of the release that it belongs to.
    Release,
}
