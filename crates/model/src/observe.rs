//! What the collectors saw at one instant, besides numbers: the seam between `collect` and `detect`.

mod cache;
mod declared;
mod security;
mod strain;
mod watched;
mod work;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use cache::{CacheSeen, QueueSeen};
pub use declared::{DataSeen, KeySeen, ProxyConnections, ProxySeen, VersionsSeen};
pub use security::{FailingSeen, GainedSeen, GainedWay, MalwareSeen, SecuritySeen, SuspiciousSeen};
pub use strain::{DiskSeen, DiskUserSeen, MountSeen, MountsSeen, StrainSeen, TimeSeen};
pub use watched::{
    ApplicationSeen, BackupSeen, CertSeen, CertificateSeen, ClockSeen, ConfigSeen, CredentialSeen,
    DatabaseCareSeen, DatabaseSeen, DeadRows, DependencySeen, HolderOfLock, JobSeen, LinkSeen, NamesSeen,
    NetworkSeen, REFUSALS_WINDOW_S, RoadsSeen, TableState, Watched,
};
pub use work::{DatabaseWorkSeen, PlanSeen, STATEMENTS_MAX, StatementSeen, TABLES_MAX, TableReadSeen};

use crate::TimestampMs;
use crate::local::{LocalSeen, ProcessRef};
use crate::maintenance::Window;

/// Everything seen in one round. Missing parts are named in `problems`; silence is not health.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: TimestampMs,
    /// Declared services by name.
    pub services: BTreeMap<String, ServiceSeen>,
    /// Latest result of every declared health check.
    pub health: Vec<HealthSeen>,
    /// Mounted file systems that hold data (no pseudo file systems).
    pub filesystems: Vec<FilesystemSeen>,
    /// Files named in the keep file.
    pub files: Vec<FileSeen>,
    /// Listening sockets.
    pub listeners: Vec<ListenerSeen>,
    /// What was seen of this host's processes, releases and limits.
    #[serde(default)]
    pub local: LocalSeen,
    /// Maintenance windows that are open now.
    #[serde(default)]
    pub maintenance: Vec<Window>,
    /// Deployments under way: trouble of what they concern is told, and nothing is done to it but by them.
    #[serde(default)]
    pub deploying: Vec<Window>,
    /// What could not be read, and why.
    pub problems: Vec<CollectProblem>,
    /// What the slower looks saw.
    #[serde(default)]
    pub watched: Watched,
}

/// One declared service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// Its processes, main process first; empty when it does not run.
    pub processes: Vec<ProcessSeen>,
    /// How its last main process ended.
    pub last_end: Option<ProcessEnd>,
    /// When main processes were seen to begin, newest last, at most [`STARTS_MAX`]. Only starts seen by us.
    pub starts: Vec<TimestampMs>,
    /// Since when it has no process; `None` while it runs.
    pub down_since: Option<TimestampMs>,
    /// False until its processes were found for the first time: never seen is not the same as gone.
    pub ever_seen: bool,
    /// What its main process may use, and uses.
    #[serde(default)]
    pub limits: LimitsSeen,
}

/// Limits of a service's main process and of its control group. `None`: none, or not known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitsSeen {
    /// Descriptors that one process may have open (the soft limit).
    pub fds: Option<u64>,
    /// Memory of the control group, bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the control group.
    pub pids: Option<u64>,
    /// How many of those there are now.
    pub pids_used: Option<u64>,
    /// Processes that the kernel has killed in the control group for lack of memory.
    pub oom_kills: Option<u64>,
    /// Periods of the processor quota so far, and in how many of them the group was held back.
    pub cpu_periods: Option<(u64, u64)>,
    /// The control group in which they are counted.
    pub pids_group: Option<String>,
}

/// How many starts of a service are remembered.
pub const STARTS_MAX: usize = 32;

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessSeen {
    /// Process id.
    pub pid: u32,
    /// When it began.
    pub started_at: TimestampMs,
    /// State as the kernel writes it: R, S, D, Z, T, t, I, X.
    pub state: char,
    /// Since when it has been in this state, as seen by us.
    pub state_since: TimestampMs,
    /// User and system time so far, seconds.
    pub cpu_seconds: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Open descriptors, when they may be read.
    pub open_fds: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Owner.
    pub uid: u32,
    /// Short command name.
    pub comm: String,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessEnd {
    /// Process id it had.
    pub pid: u32,
    /// When it began, when known.
    pub started_at: Option<TimestampMs>,
    /// When it ended.
    pub at: TimestampMs,
    /// In which way.
    pub exit: Exit,
}

/// Exit status or signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Exit status.
    Code(i32),
    /// Killed by a signal.
    Signal(i32),
    /// The kernel did not tell us.
    Unknown,
}

impl Exit {
    /// An end that was asked for: status 0, or SIGTERM, SIGINT, SIGHUP or SIGQUIT, which stop a service in order.
    #[must_use]
    pub fn in_order(self) -> bool {
        matches!(self, Self::Code(0 | 143 | 130) | Self::Signal(1 | 2 | 3 | 15))
    }
}

/// Latest result of one health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthSeen {
    /// Service.
    pub service: String,
    /// Name of the check, unique within the service.
    pub check: String,
    /// When it ended.
    pub at: TimestampMs,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// Empty: passed. Else a short reason: `connection refused`, `status 500`, `no answer within 2 s`.
    pub failure: Option<String>,
    /// How many results in a row have been like this one.
    pub in_a_row: u32,
}

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesystemSeen {
    /// Mount point.
    pub mountpoint: String,
    /// Device.
    pub device: String,
    /// Type: `ext4`, `xfs`, …
    pub fstype: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Free including the part reserved for root, bytes.
    pub free_bytes: u64,
    /// Available to ordinary users, bytes.
    pub avail_bytes: u64,
    /// Inodes; 0 where the file system has no fixed number.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Mounted read-only.
    pub read_only: bool,
}

/// One file named in the keep file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// Service that declares it.
    pub service: String,
    /// Its path.
    pub path: String,
    /// What is there.
    pub state: FileState,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// A regular file.
    Present {
        /// SHA-256 of the content, hex.
        sha256: String,
        /// Size, bytes.
        len: u64,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Permission bits.
        mode: u32,
        /// Modification time.
        modified_at: TimestampMs,
    },
    /// Nothing.
    Missing,
    /// Something that cannot be read or is no regular file; why.
    Unreadable(String),
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListenerSeen {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address and port.
    pub address: String,
    /// Owner of the socket.
    pub uid: u32,
    /// Process that holds it, when it could be found.
    pub pid: Option<u32>,
    /// More about that process.
    #[serde(default)]
    pub holder: Option<HolderSeen>,
}

/// The process that holds a listening socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HolderSeen {
    /// Which.
    pub process: ProcessRef,
    /// Short name.
    pub comm: String,
    /// Owner of the process.
    pub user: String,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectProblem {
    /// Which collector.
    pub collector: String,
    /// What went wrong, in words.
    pub message: String,
}

/// What fills a file system, found by looking when it is full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceUse {
    /// Mount point.
    pub mountpoint: String,
    /// What each declared rule could free now.
    pub rules: Vec<RuleUse>,
    /// Biggest directories directly below the mount point, bytes, biggest first, at most ten.
    pub biggest: Vec<(String, u64)>,
    /// True when the walk stopped at its bound.
    pub incomplete: bool,
}

/// What one `free_space` rule matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleUse {
    /// The rule's pattern.
    pub glob: String,
    /// Files that may be removed.
    pub files: u64,
    /// Their size on disk, bytes.
    pub bytes: u64,
    /// Matching files that are open and therefore stay.
    pub open: u64,
    /// Names of users that own the matched files.
    pub owners: Vec<String>,
    /// Newest modification time among them.
    pub newest_at: Option<TimestampMs>,
}
