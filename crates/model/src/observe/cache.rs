//! What a Redis server says of itself and of declared queues in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// A cache at one look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheSeen {
    /// When.
    pub at: TimestampMs,
    /// Why nothing could be seen.
    pub problem: Option<String>,
    /// Memory of its content, bytes.
    pub used: u64,
    /// Its limit, bytes; zero: none.
    pub limit: u64,
    /// Since when the limit is what it is, when we saw it change.
    pub limit_since: Option<TimestampMs>,
    /// What it was before that, bytes.
    pub limit_before: u64,
    /// What it does at the limit: `noeviction`, `allkeys-lru`, ...
    pub policy: String,
    /// Entries that were dropped in the last minute to make room.
    pub evicted: u64,
    /// Questions in the last minute that found an entry.
    pub hits: u64,
    /// Questions in the last minute that found none.
    pub misses: u64,
    /// Since when its content could not be written to disk, and what could not.
    pub unsaved_since: Option<TimestampMs>,
    /// `snapshot` or `log`.
    pub unsaved_what: String,
    /// When its content was saved last.
    pub saved_at: TimestampMs,
    /// Clients that wait in a command.
    pub blocked: u64,
    /// Clients.
    pub clients: u64,
    /// Whether it follows another node.
    pub follows: Option<bool>,
    /// Since when a follower has no connection to the other.
    pub broken_since: Option<TimestampMs>,
    /// Declared queues.
    pub queues: BTreeMap<String, QueueSeen>,
}

/// A queue at one look. What stands in it is never shown, only a fingerprint of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSeen {
    /// Entries.
    pub length: u64,
    /// Fingerprint of the entry that is taken next; empty: there is none, or it is too long.
    pub head: String,
    /// Size of that entry, bytes.
    pub head_bytes: u64,
    /// Since when it has been next in most looks.
    pub head_since: TimestampMs,
    /// How often since then it was taken away and came back.
    pub came_back: u32,
}
