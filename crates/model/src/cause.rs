//! Why something is ill.

use serde::{Deserialize, Serialize};

use crate::{EntityId, Evidence, FindingKey, Text};

/// Kinds of causes that a rule can name. New kinds join with their rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The process ended unexpectedly, by a signal or an error.
    ProcessCrash,
    /// The process was stopped or has ended in order, and nothing started it again.
    ProcessDown,
    /// The process is in the stopped state and is not scheduled.
    ProcessStopped,
    /// A setting is absent or has a wrong value.
    BadSetting,
    /// No space is left on a file system.
    DiskFull,
    /// No inode is left on a file system.
    InodeExhaustion,
    /// A kept file was changed without a record, and nothing else is wrong yet.
    UnauthorisedFileChange,
    /// A file that belongs to the component is absent.
    MissingFile,
    /// The clock that it sees is off against the host's clock.
    ClockSkew,
    /// A configuration file cannot be parsed.
    ConfigSyntaxError,
    /// All connection slots are taken.
    ConnectionExhaustion,
    /// It presents a credential that the other side no longer accepts.
    CredentialMismatch,
    /// A backup was written without content.
    EmptyDump,
    /// A dependency is well again and a fallback that was switched on is still on.
    FallbackLeftOn,
    /// A network link is down or has no carrier.
    LinkDown,
    /// Queries read whole tables because an index is absent.
    MissingIndex,
    /// Packets are lost or delayed between two services.
    PacketLoss,
    /// A standby receives changes and does not apply them.
    ReplayPaused,
    /// It answers much more slowly than usual.
    Slow,
    /// It answers, and its answers are wrong.
    WrongAnswers,
    /// A backup that was due was never made.
    BackupMissing,
    /// It runs and does not answer at all.
    Down,
    /// A deployed release carries the defect.
    BadRelease,
    /// A parent process never waits for its ended children.
    ChildrenNotReaped,
    /// Processes that belong to no service take the processors from those that do.
    CpuContention,
    /// A deleted file still takes space because a process holds it open.
    DeletedOpenFile,
    /// The component keeps ever more file descriptors open.
    FdLeak,
    /// The memory of the component grows without bound.
    MemoryLeak,
    /// Another process holds the port that the component needs.
    PortConflict,
    /// A process creates children without end.
    RunawayFork,
    /// A process listens on a port that nobody declared.
    UnexpectedListener,
    /// The served certificate has passed its end, or will soon.
    TlsCertificateExpired,
    /// The served certificate is for another name.
    TlsNameMismatch,
    /// What is in force differs from the file that it was loaded from.
    ConfigDrift,
    /// Memory pressure makes the host swap or reclaim all the time.
    MemoryThrash,
    /// The kernel killed a process because memory ran out; the reason for it is unknown.
    OomKill,
    /// A quota of a control group holds the processes back.
    CpuThrottled,
    /// A disk cannot serve the requests fast enough.
    DiskIoSaturation,
    /// A file system became read-only.
    DiskReadOnly,
    /// A file system that should be mounted is not.
    MountMissing,
    /// The connection tracking table is full.
    NatTableFull,
    /// The host no longer follows a time source.
    TimeSyncLost,
    /// A scheduled job is no longer scheduled, or was not run.
    JobMissing,
    /// Runs of one scheduled job overlap and disturb each other.
    JobOverlap,
    /// Many failed logins over SSH from one address.
    SshBruteforce,
    /// A login over SSH succeeded after many failed ones.
    SshCompromisedAccount,
    /// A scanner knows the content of a file as malware.
    Malware,
    /// A file has the content of a known malware test pattern.
    MalwareTestFile,
    /// A process or account gained rights that it should not have.
    PrivilegeEscalation,
    /// The host has no route to a network that it needs.
    RouteMissing,
    /// Large packets do not get through because of differing sizes.
    MtuMismatch,
    /// A network link is slow or loses packets.
    LinkDegraded,
    /// Two machines or interfaces use the same network address.
    AddressConflict,
    /// A component writes far more log lines than usual.
    LogFlood,
    /// The process exists but makes no progress.
    Hang,
    /// Sessions wait for a lock that one session holds.
    LockContention,
    /// Transactions wait for each other in a circle.
    Deadlock,
    /// Dead rows make a table much bigger than its content.
    TableBloat,
    /// The database is close to the end of its transaction numbers.
    TransactionWraparound,
    /// The database writes checkpoints so often that other work waits.
    CheckpointStorm,
    /// The standby has lost the connection to its primary or the needed log.
    ReplicationBroken,
    /// Two nodes both act as the primary.
    SplitBrain,
    /// The component and the database disagree about the tables.
    SchemaMismatch,
    /// The cache drops entries that are still needed because its limit is reached.
    CacheEviction,
    /// The cache cannot write its content to disk.
    PersistenceFailed,
    /// A queue has reached its limit.
    QueueFull,
    /// One message fails again and again and stops the queue.
    PoisonMessage,
    /// The other side refuses requests because there are too many.
    RateLimited,
    /// A proxy sends requests to the wrong place.
    WrongUpstream,
    /// A signing key or token has passed its end.
    KeyExpired,
    /// Two components run versions that do not fit together.
    VersionMismatch,
    /// A data file of the component is damaged.
    CorruptedData,
    /// A network link passes less traffic than it should.
    Throttled,
    /// The load is far above what the component can serve.
    TrafficSurge,
    /// Repeated attempts of clients keep a recovered component down.
    RetryStorm,
    /// All threads of the component are busy and requests wait; the reason is inside the component.
    ThreadPoolExhaustion,
    /// A run-time system stops the component for long collections.
    GcPause,
    /// A packet filter rule stops wanted traffic.
    FirewallBlock,
    /// Components wait for each other.
    DependencyLoop,
    /// A background daemon that should run always does not run.
    DaemonDown,
    /// It runs but does not answer, and nothing that we know explains it.
    Unknown,
}

impl CauseKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 81] = [
        Self::ProcessCrash,
        Self::ProcessDown,
        Self::ProcessStopped,
        Self::BadSetting,
        Self::DiskFull,
        Self::InodeExhaustion,
        Self::UnauthorisedFileChange,
        Self::MissingFile,
        Self::ClockSkew,
        Self::ConfigSyntaxError,
        Self::ConnectionExhaustion,
        Self::CredentialMismatch,
        Self::EmptyDump,
        Self::FallbackLeftOn,
        Self::LinkDown,
        Self::MissingIndex,
        Self::PacketLoss,
        Self::ReplayPaused,
        Self::Slow,
        Self::WrongAnswers,
        Self::BackupMissing,
        Self::Down,
        Self::BadRelease,
        Self::ChildrenNotReaped,
        Self::CpuContention,
        Self::DeletedOpenFile,
        Self::FdLeak,
        Self::MemoryLeak,
        Self::PortConflict,
        Self::RunawayFork,
        Self::UnexpectedListener,
        Self::TlsCertificateExpired,
        Self::TlsNameMismatch,
        Self::ConfigDrift,
        Self::MemoryThrash,
        Self::OomKill,
        Self::CpuThrottled,
        Self::DiskIoSaturation,
        Self::DiskReadOnly,
        Self::MountMissing,
        Self::NatTableFull,
        Self::TimeSyncLost,
        Self::JobMissing,
        Self::JobOverlap,
        Self::SshBruteforce,
        Self::SshCompromisedAccount,
        Self::Malware,
        Self::MalwareTestFile,
        Self::PrivilegeEscalation,
        Self::RouteMissing,
        Self::MtuMismatch,
        Self::LinkDegraded,
        Self::AddressConflict,
        Self::LogFlood,
        Self::Hang,
        Self::LockContention,
        Self::Deadlock,
        Self::TableBloat,
        Self::TransactionWraparound,
        Self::CheckpointStorm,
        Self::ReplicationBroken,
        Self::SplitBrain,
        Self::SchemaMismatch,
        Self::CacheEviction,
        Self::PersistenceFailed,
        Self::QueueFull,
        Self::PoisonMessage,
        Self::RateLimited,
        Self::WrongUpstream,
        Self::KeyExpired,
        Self::VersionMismatch,
        Self::CorruptedData,
        Self::Throttled,
        Self::TrafficSurge,
        Self::RetryStorm,
        Self::ThreadPoolExhaustion,
        Self::GcPause,
        Self::FirewallBlock,
        Self::DependencyLoop,
        Self::DaemonDown,
        Self::Unknown,
    ];

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }

    /// The word of the API and of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProcessCrash => "process_crash",
            Self::ProcessDown => "process_down",
            Self::ProcessStopped => "process_stopped",
            Self::BadSetting => "bad_setting",
            Self::DiskFull => "disk_full",
            Self::InodeExhaustion => "inode_exhaustion",
            Self::UnauthorisedFileChange => "unauthorised_file_change",
            Self::MissingFile => "missing_file",
            Self::ClockSkew => "clock_skew",
            Self::ConfigSyntaxError => "config_syntax_error",
            Self::ConnectionExhaustion => "connection_exhaustion",
            Self::CredentialMismatch => "credential_mismatch",
            Self::EmptyDump => "empty_dump",
            Self::FallbackLeftOn => "fallback_left_on",
            Self::LinkDown => "link_down",
            Self::MissingIndex => "missing_index",
            Self::PacketLoss => "packet_loss",
            Self::ReplayPaused => "replay_paused",
            Self::Slow => "slow",
            Self::WrongAnswers => "wrong_answers",
            Self::BackupMissing => "backup_missing",
            Self::Down => "down",
            Self::BadRelease => "bad_release",
            Self::ChildrenNotReaped => "children_not_reaped",
            Self::CpuContention => "cpu_contention",
            Self::DeletedOpenFile => "deleted_open_file",
            Self::FdLeak => "fd_leak",
            Self::MemoryLeak => "memory_leak",
            Self::PortConflict => "port_conflict",
            Self::RunawayFork => "runaway_fork",
            Self::UnexpectedListener => "unexpected_listener",
            Self::TlsCertificateExpired => "tls_certificate_expired",
            Self::TlsNameMismatch => "tls_name_mismatch",
            Self::ConfigDrift => "config_drift",
            Self::MemoryThrash => "memory_thrash",
            Self::OomKill => "oom_kill",
            Self::CpuThrottled => "cpu_throttled",
            Self::DiskIoSaturation => "disk_io_saturation",
            Self::DiskReadOnly => "disk_read_only",
            Self::MountMissing => "mount_missing",
            Self::NatTableFull => "nat_table_full",
            Self::TimeSyncLost => "time_sync_lost",
            Self::JobMissing => "job_missing",
            Self::JobOverlap => "job_overlap",
            Self::SshBruteforce => "ssh_bruteforce",
            Self::SshCompromisedAccount => "ssh_compromised_account",
            Self::Malware => "malware",
            Self::MalwareTestFile => "malware_test_file",
            Self::PrivilegeEscalation => "privilege_escalation",
            Self::RouteMissing => "route_missing",
            Self::MtuMismatch => "mtu_mismatch",
            Self::LinkDegraded => "link_degraded",
            Self::AddressConflict => "address_conflict",
            Self::LogFlood => "log_flood",
            Self::Hang => "hang",
            Self::LockContention => "lock_contention",
            Self::Deadlock => "deadlock",
            Self::TableBloat => "table_bloat",
            Self::TransactionWraparound => "transaction_wraparound",
            Self::CheckpointStorm => "checkpoint_storm",
            Self::ReplicationBroken => "replication_broken",
            Self::SplitBrain => "split_brain",
            Self::SchemaMismatch => "schema_mismatch",
            Self::CacheEviction => "cache_eviction",
            Self::PersistenceFailed => "persistence_failed",
            Self::QueueFull => "queue_full",
            Self::PoisonMessage => "poison_message",
            Self::RateLimited => "rate_limited",
            Self::WrongUpstream => "wrong_upstream",
            Self::KeyExpired => "key_expired",
            Self::VersionMismatch => "version_mismatch",
            Self::CorruptedData => "corrupted_data",
            Self::Throttled => "throttled",
            Self::TrafficSurge => "traffic_surge",
            Self::RetryStorm => "retry_storm",
            Self::ThreadPoolExhaustion => "thread_pool_exhaustion",
            Self::GcPause => "gc_pause",
            Self::FirewallBlock => "firewall_block",
            Self::DependencyLoop => "dependency_loop",
            Self::DaemonDown => "daemon_down",
            Self::Unknown => "unknown",
        }
    }
}

/// A kind of cause on an entity, with the reasons for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Who is the root.
    pub entity: EntityId,
    /// In which way.
    pub kind: CauseKind,
    /// The object inside the entity that recovery needs: a path, a pattern, a process id. May be empty.
    pub subject: String,
    /// One sentence for people.
    pub detail: Text,
    /// 0 to 1; higher is likelier. Comparable within one incident only.
    pub score: f64,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// Findings that this cause explains: its own and its symptoms.
    pub explains: Vec<FindingKey>,
}
