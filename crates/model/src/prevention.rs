//! What a person could declare after an incident so that it does not come again, or is seen earlier.

use serde::{Deserialize, Serialize};

use crate::Text;

/// What sort of guard is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreventionKind {
    /// A look that tells earlier, or tells more.
    Check,
    /// A bound from which on it counts.
    Limit,
    /// What may be removed, and when.
    Retention,
    /// A backup with its proof.
    Backup,
    /// Who needs whom.
    Dependency,
    /// A series that is compared with its own past.
    Alert,
}

impl PreventionKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Check, Self::Limit, Self::Retention, Self::Backup, Self::Dependency, Self::Alert];

    /// The word of the API and of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Limit => "limit",
            Self::Retention => "retention",
            Self::Backup => "backup",
            Self::Dependency => "dependency",
            Self::Alert => "alert",
        }
    }
}

/// One proposal. Nothing is changed by it: a person puts it into the keep file, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prevention {
    /// What sort.
    pub kind: PreventionKind,
    /// Why, for people.
    pub text: Text,
    /// What to add to the keep file, as YAML: maps are merged into those of the same name, lists are continued.
    pub patch: String,
}
