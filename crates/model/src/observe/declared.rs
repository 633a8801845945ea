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
    /// Its connections, when it tells of them.
    pub connections: Option<ProxyConnections>,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// Connections of a proxy, counted since it was started where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyConnections {
    /// Open now.
    pub active: u64,
    /// Taken from the kernel.
    pub accepted: u64,
    /// Served; those that were accepted and not served were dropped.
    pub handled: u64,
    /// Requests.
    pub requests: u64,
    /// Of the open ones, those whose request is being read.
    pub reading: u64,
    /// Those that are being answered.
    pub writing: u64,
    /// Those that are idle.
    pub waiting: u64,
    /// Dropped in the last minute.
    pub dropped: u64,
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
