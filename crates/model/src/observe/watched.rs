//! What the slower looks saw: names, networks, databases, credentials, backups, outside services.
//!
//! Each has the time of its look. A look that failed says so in `problem` and nothing else about its object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CacheSeen, DataSeen, DatabaseWorkSeen, KeySeen, ProxySeen, SecuritySeen, VersionsSeen};
use crate::TimestampMs;

/// Latest results by name. What was never looked at is not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watched {
    /// By backup.
    pub backups: BTreeMap<String, BackupSeen>,
    /// By certificate.
    pub certificates: BTreeMap<String, CertificateSeen>,
    /// By service.
    pub caches: BTreeMap<String, CacheSeen>,
    /// By service.
    pub clocks: BTreeMap<String, ClockSeen>,
    /// By service: tests of its configuration.
    pub configs: BTreeMap<String, ConfigSeen>,
    /// By credential.
    pub credentials: BTreeMap<String, CredentialSeen>,
    /// By test of data.
    pub data: BTreeMap<String, DataSeen>,
    /// By key.
    pub keys: BTreeMap<String, KeySeen>,
    /// By service.
    pub proxies: BTreeMap<String, ProxySeen>,
    /// By name of the components that must fit.
    pub versions: BTreeMap<String, VersionsSeen>,
    /// By service.
    pub databases: BTreeMap<String, DatabaseSeen>,
    /// By dependency.
    pub dependencies: BTreeMap<String, DependencySeen>,
    /// By job.
    pub jobs: BTreeMap<String, JobSeen>,
    /// By service: what its resolver answers.
    pub names: BTreeMap<String, NamesSeen>,
    /// Logins, malware and rights.
    pub security: SecuritySeen,
    /// By network.
    pub networks: BTreeMap<String, NetworkSeen>,
}

/// The newest finished file of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSeen {
    /// When.
    pub at: TimestampMs,
    /// Its path; `None`: there is none.
    pub newest: Option<String>,
    /// Its size, bytes.
    pub size: u64,
    /// Length of what a gzip file says it holds, bytes (modulo 2^32).
    pub content: Option<u64>,
    /// When it was written.
    pub modified_at: TimestampMs,
    /// Last line of the job's log that speaks of a refused login.
    pub refused_login: Option<String>,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// A certificate as it is served, and as it lies on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSeen {
    /// When.
    pub at: TimestampMs,
    /// What is served; `None`: nothing could be seen.
    pub served: Option<CertSeen>,
    /// What lies on disk, when a file is declared.
    pub on_disk: Option<CertSeen>,
    /// Looks in a row that saw it served as it is now.
    pub in_a_row: u32,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// One certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertSeen {
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// Valid from.
    pub not_before: TimestampMs,
    /// Valid until.
    pub not_after: TimestampMs,
    /// Names that it is for, at most twenty.
    pub names: Vec<String>,
    /// It is for the declared name.
    pub names_match: bool,
    /// Why the chain leads to nobody who is trusted; `None`: it does lead there, or that was not judged.
    pub untrusted: Option<String>,
}

impl CertSeen {
    /// True when it holds at this time, for the declared name, and is trusted.
    #[must_use]
    pub fn is_good(&self, now: TimestampMs) -> bool {
        self.not_before <= now && now < self.not_after && self.names_match && self.untrusted.is_none()
    }
}

/// A job that runs at its times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSeen {
    /// When.
    pub at: TimestampMs,
    /// When it was looked at first: what is late is counted from then when there is no trace.
    pub first_at: TimestampMs,
    /// Whether its entry is there; `None`: none is declared, or it could not be read.
    pub scheduled: Option<bool>,
    /// When its trace was written last.
    pub last_run: Option<TimestampMs>,
    /// Runs that go on now.
    pub runs: u32,
    /// Since when the oldest of them goes on.
    pub oldest_since: Option<TimestampMs>,
    /// Why something could not be seen.
    pub problem: Option<String>,
}

/// What time a service believes it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSeen {
    /// When.
    pub at: TimestampMs,
    /// Its clock less the host's, milliseconds.
    pub offset_ms: i64,
    /// How many looks in a row saw it off by more than is declared.
    pub off_in_a_row: u32,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// Whether a configuration can be parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSeen {
    /// When.
    pub at: TimestampMs,
    /// The test's last words when it failed; `None`: it passed.
    pub failure: Option<String>,
}

/// Whether a credential is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialSeen {
    /// When.
    pub at: TimestampMs,
    /// Refused logins of its account in the last [`REFUSALS_WINDOW_S`] seconds, as the other side's log tells.
    pub refusals: u32,
    /// The last of them.
    pub refused_at: Option<TimestampMs>,
    /// A copy that is not what the store holds.
    pub differs: Option<String>,
    /// Whether the other side accepts the value of the store; `None`: not asked.
    pub store_accepted: Option<bool>,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// In which time refusals are counted, seconds.
pub const REFUSALS_WINDOW_S: u64 = 60;

/// What a PostgreSQL server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSeen {
    /// When.
    pub at: TimestampMs,
    /// Client connections.
    pub used: u64,
    /// Slots for ordinary users.
    pub slots: u64,
    /// By application: what it holds.
    pub applications: BTreeMap<String, ApplicationSeen>,
    /// Declared indexes that are absent or not valid, with their table when it is known.
    pub indexes_missing: BTreeMap<String, String>,
    /// Since when one is missing.
    pub missing_since: Option<TimestampMs>,
    /// Rows that sequential scans read per second, by table, where there are many.
    pub scanned: BTreeMap<String, u64>,
    /// A standby that was told not to replay, since when we see it.
    pub paused_since: Option<TimestampMs>,
    /// Bytes that a standby has received and not replayed.
    pub behind_bytes: u64,
    /// Why nothing could be seen.
    pub problem: Option<String>,
    /// What else it says of itself.
    #[serde(default)]
    pub care: DatabaseCareSeen,
    /// What it is busy with.
    #[serde(default)]
    pub work: DatabaseWorkSeen,
}

/// Locks, deadlocks, dead rows, transaction numbers, checkpoints, role and tables of a database server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseCareSeen {
    /// Sessions for which others wait, while they wait for nobody; the one with the most waiting first.
    pub holders: Vec<HolderOfLock>,
    /// Deadlocks that the server ended in the last minute.
    pub deadlocks: u64,
    /// Big tables with many dead rows.
    pub dead_rows: BTreeMap<String, DeadRows>,
    /// Age of the oldest transaction that keeps dead rows from being removed, milliseconds, and whose it is.
    pub horizon_ms: u64,
    /// Application of that transaction.
    pub horizon_of: String,
    /// Highest age of a database's oldest transaction number.
    pub oldest_xid: u64,
    /// The database with it.
    pub oldest_xid_in: String,
    /// Checkpoints in the last two minutes that came because the log was full.
    pub checkpoints_forced: u64,
    /// Checkpoints in the last two minutes that came because it was time.
    pub checkpoints_timed: u64,
    /// Whether it follows another node; `None`: it did not say.
    pub follows: Option<bool>,
    /// Since when a follower receives nothing, and why as far as the server says.
    pub broken_since: Option<TimestampMs>,
    /// What is known of that.
    pub broken_why: String,
    /// Followers whose log is no longer kept.
    pub lost_slots: Vec<String>,
    /// Declared columns that are absent: `orders.total`, or `orders` for a whole table.
    pub columns_missing: Vec<String>,
    /// Since when one is missing.
    pub columns_missing_since: Option<TimestampMs>,
    /// Damaged pages that the server has met since its statistics began.
    pub damaged_pages: u64,
}

/// A session that others wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderOfLock {
    /// Its number in the server.
    pub id: u64,
    /// What it calls itself.
    pub application: String,
    /// Its account.
    pub user: String,
    /// How long its transaction has lasted, milliseconds.
    pub held_ms: u64,
    /// It does nothing and keeps its transaction open.
    pub idle: bool,
    /// It belongs to a client and not to the server itself.
    pub client: bool,
    /// How many sessions wait for it, directly or behind others.
    pub waiting: u64,
    /// The longest that one of them was seen to wait, milliseconds.
    pub waited_ms: u64,
}

/// Rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRows {
    /// Rows that count.
    pub live: u64,
    /// Rows that only take space.
    pub dead: u64,
}

/// Sessions of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSeen {
    /// All of them.
    pub sessions: u64,
    /// Those idle in a transaction for longer than is declared for it.
    pub stale: u64,
    /// The longest time that one has been idle in a transaction, milliseconds.
    pub idle_ms: u64,
}

/// How an outside service answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencySeen {
    /// When.
    pub at: TimestampMs,
    /// How long the answer took; the limit of the look when none came, milliseconds.
    pub took_ms: u64,
    /// Slow or failed looks in a row.
    pub slow_in_a_row: u32,
    /// Quick looks in a row.
    pub quick_in_a_row: u32,
    /// Why no answer came.
    pub problem: Option<String>,
    /// Looks in a row that were answered with "too many requests".
    #[serde(default)]
    pub refused_in_a_row: u32,
    /// We switched its fallback on and not off again.
    #[serde(default)]
    pub fallback_ours: bool,
}

/// What a resolver answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesSeen {
    /// When.
    pub at: TimestampMs,
    /// Names with a wrong answer or none: what came (`no answer`, `NXDOMAIN`, an address).
    pub wrong: BTreeMap<String, String>,
    /// True when nothing answered at all.
    pub silent: bool,
    /// Looks in a row with something wrong.
    pub wrong_in_a_row: u32,
}

/// Links, queues and packet filter of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSeen {
    /// When.
    pub at: TimestampMs,
    /// Declared links by name.
    pub links: BTreeMap<String, LinkSeen>,
    /// Tables of the packet filter that are not as declared: `inet f` and in which way.
    pub tables: BTreeMap<String, TableState>,
    /// Rules in those tables that drop whole flows and not a share of them: `inet f: tcp dport 80 drop`, at most twenty.
    #[serde(default)]
    pub blocking: Vec<String>,
    /// Routes, sizes of packets, quality of links and addresses that are not as they should be.
    #[serde(default)]
    pub roads: RoadsSeen,
    /// When the packet filter was looked at.
    pub rules_at: TimestampMs,
    /// Share of TCP segments that were sent again in the last seconds, 0 to 1.
    pub resent: f64,
    /// Segments that were sent again in the last seconds.
    pub resent_count: u64,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// What is wrong with the ways through a network; empty is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoadsSeen {
    /// When.
    pub at: TimestampMs,
    /// Declared routes that are not there.
    pub routes_missing: Vec<String>,
    /// Links whose size of packets is another one than declared, with theirs.
    pub mtu: BTreeMap<String, u32>,
    /// Links that are slower than declared or lose packets, and in which way.
    pub degraded: BTreeMap<String, String>,
    /// Addresses that two machines use, and how that shows.
    pub conflicts: BTreeMap<String, String>,
    /// Why nothing could be seen.
    pub problem: Option<String>,
}

/// One link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSeen {
    /// It exists.
    pub exists: bool,
    /// It is switched on.
    pub up: bool,
    /// It has a carrier.
    pub carrier: bool,
    /// Kind of its root queueing discipline.
    pub queue: String,
    /// When it was seen to go down, newest last, at most ten.
    pub downs: Vec<TimestampMs>,
}

/// In which way a table is not as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// Nobody declared it.
    Undeclared,
    /// Its rules are others.
    Changed,
    /// It is declared and not there.
    Missing,
}
