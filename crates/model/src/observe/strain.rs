//! What was seen of the strain on this host: memory, disks, connection tracking, time, declared mounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// Shares and rates since the look before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StrainSeen {
    /// When.
    pub at: TimestampMs,
    /// Share of the time in which all tasks waited for memory, 0 to 1.
    pub memory_full: Option<f64>,
    /// Share of the time in which some task waited for a disk, 0 to 1.
    pub io_some: Option<f64>,
    /// Pages that had to be read from a disk, per second.
    pub major_faults: f64,
    /// Pages swapped in and out, per second.
    pub swapped: f64,
    /// Processes that the kernel has killed for lack of memory since the host was started.
    pub oom_kills: Option<u64>,
    /// Disks that were busy at least half of the time, busiest first, at most ten.
    pub disks: Vec<DiskSeen>,
    /// Who reads and writes most, while a disk is busy or memory short; most first, at most five.
    pub disk_users: Vec<DiskUserSeen>,
    /// Tracked connections, and how many there may be.
    pub connections: Option<(u64, u64)>,
    /// What the kernel thinks of its clock; `None`: it was not asked.
    pub time: Option<TimeSeen>,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskSeen {
    /// Its name.
    pub device: String,
    /// Share of the time in which it had requests, 0 to 1.
    pub busy: f64,
    /// How long one request took on average, milliseconds.
    pub wait_ms: f64,
}

/// A process with what it reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskUserSeen {
    /// Which.
    pub pid: u32,
    /// Short name.
    pub comm: String,
    /// Bytes a second.
    pub bytes: f64,
}

/// The kernel's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSeen {
    /// It follows a source.
    pub synchronised: bool,
    /// How far it may be off, milliseconds.
    pub max_error_ms: u64,
}

/// What is mounted where something is declared; `None`: nothing.
pub type MountsSeen = BTreeMap<String, Option<MountSeen>>;

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSeen {
    /// Device.
    pub device: String,
    /// Type.
    pub fstype: String,
    /// Mounted read-only.
    pub read_only: bool,
}
