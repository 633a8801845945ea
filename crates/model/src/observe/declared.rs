//! What was seen of declared data, keys, proxies and versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// A test of data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSeen {
    /// When.
    pub at: TimestampMs,
    /// The last words of a test that failed; `None`: it passed.
    pub failure: Option<String>,
    /// Since when it fails.
    pub since: Option<TimestampMs>,
    /// Why it could not be made.
    pub problem: Option<String>,
}

/// A key or token; never its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeySeen {
    /// When.
    pub at: TimestampMs,
    /// When it ends.
    pub ends_at: Option<TimestampMs>,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// A proxy, by its log of errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxySeen {
    /// When.
    pub at: TimestampMs,
    /// By the address that it could not reach: how often in the last minute.
    pub unreachable: BTreeMap<String, u64>,
    /// What it said last of that.
    pub last_line: String,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// Versions of components that must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionsSeen {
    /// When.
    pub at: TimestampMs,
    /// By service.
    pub found: BTreeMap<String, String>,
    /// Since when they do not fit.
    pub apart_since: Option<TimestampMs>,
    /// Why nothing could be seen of some.
    pub problem: Option<String>,
}
