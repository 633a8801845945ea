//! What was seen of logins, malware and rights.

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// Latest results; what is not declared is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecuritySeen {
    /// Addresses with failed logins over SSH in the declared time, most first, at most fifty.
    pub failing: Vec<FailingSeen>,
    /// Logins that succeeded after many failed ones, of the last hour, newest last, at most fifty.
    pub suspicious: Vec<SuspiciousSeen>,
    /// Files that are known as malware, at most a hundred.
    pub malware: Vec<MalwareSeen>,
    /// Rights that somebody has gained, at most a hundred.
    pub gained: Vec<GainedSeen>,
    /// What could not be seen, and why.
    pub problems: Vec<String>,
}

/// An address from which logins fail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingSeen {
    /// The address.
    pub address: String,
    /// Failed logins in the declared time.
    pub failures: u32,
    /// Names that were tried, at most five.
    pub accounts: Vec<String>,
    /// The first and the last of them.
    pub first_at: TimestampMs,
    /// See `first_at`.
    pub last_at: TimestampMs,
    /// Somebody was let in from there before it began: others may sit behind the same address.
    pub shared: bool,
}

/// A login that succeeded after many failed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspiciousSeen {
    /// The account.
    pub account: String,
    /// From where.
    pub address: String,
    /// By what.
    pub method: String,
    /// Failed logins from there before.
    pub failures: u32,
    /// When.
    pub at: TimestampMs,
}

/// A file that is known as malware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalwareSeen {
    /// The file.
    pub path: String,
    /// What it is known as.
    pub signature: String,
    /// It is the test pattern.
    pub is_test: bool,
    /// SHA-256 of its content, hex.
    pub sha256: String,
    /// When it was found.
    pub since: TimestampMs,
}

/// A right that somebody has gained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GainedSeen {
    /// In which way.
    pub way: GainedWay,
    /// The account or the file.
    pub name: String,
    /// More about it: the group, the owner.
    pub what: String,
    /// When it was seen first.
    pub since: TimestampMs,
}

/// Ways to gain rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GainedWay {
    /// An account has the number of root.
    Account,
    /// An account joined a group whose members may become root.
    Group,
    /// A file runs with the rights of its owner.
    Setuid,
    /// A file that says who may become root was changed.
    Sudoers,
    /// A key lets somebody in as one who is root or may become it.
    Key,
}

impl GainedWay {
    /// The word of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::Setuid => "setuid",
            Self::Sudoers => "sudoers",
            Self::Key => "key",
        }
    }
}
