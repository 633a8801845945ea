//! What a detector says.

use serde::{Deserialize, Serialize};

use crate::{EntityId, Text, TimestampMs};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will become a problem, or degrades.
    Warning,
    /// Something does not work.
    Critical,
}

impl Severity {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a finding is about; one kind for each thing that a detector can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A declared service has no process.
    ProcessGone,
    /// A declared service's process is in the stopped state.
    ProcessStopped,
    /// A service was started too often in a short time.
    RestartingOften,
    /// A health check fails.
    HealthFailing,
    /// A file system has (nearly) no space or inodes left.
    FilesystemFull,
    /// A file system will be full soon at its present slope.
    FilesystemFilling,
    /// A kept file differs from its last good version and nobody recorded a change.
    FileChanged,
    /// Work that belongs to no service takes most of the processors, and others wait.
    CpuContended,
    /// A service writes to a file that was deleted, and the space stays taken.
    DeletedOpen,
    /// A service comes near its limit of open descriptors and goes on rising.
    FdsRising,
    /// A health check that used to pass fails now and then.
    HealthUnsteady,
    /// A process listens where the keep file declares nothing.
    ListenerUnexpected,
    /// A service comes near its memory limit in a steady line.
    MemoryRising,
    /// The control group of a service has no process numbers left.
    PidsExhausted,
    /// Ended children of a process pile up, because it does not wait for them.
    ZombiesRising,
    /// Another process holds a port that a service declares.
    PortTaken,
    /// A chosen series is far from its usual range.
    Unusual,
    /// A source has stopped reporting.
    Silent,
    /// The newest backup is too small, empty or too old.
    BackupUnusable,
    /// A service shows another time than the host.
    ClockOff,
    /// The configuration of a service cannot be parsed.
    ConfigInvalid,
    /// A database has (nearly) no connection slot left.
    ConnectionsFull,
    /// Logins are refused, or a copy of a credential is not what its store holds.
    CredentialRefused,
    /// A service of somebody else answers slowly or not at all.
    DependencySlow,
    /// A fallback is on though its dependency is well again.
    FallbackOn,
    /// A declared index is absent.
    IndexMissing,
    /// A declared link is down or has no carrier.
    LinkDown,
    /// A resolver gives wrong answers or none.
    NamesWrong,
    /// Packets are sent again and the packet filter or a queue is not as declared.
    NetworkAltered,
    /// A standby was told not to replay.
    ReplayPaused,
    /// A served certificate has run out or will soon, is for another name, or is not the one on disk.
    CertificateUnfit,
    /// The host does little else than move memory in and out.
    MemoryThrashing,
    /// The kernel killed a process because memory ran out.
    OomKilled,
    /// A quota of a control group holds a service back.
    CpuThrottled,
    /// A disk cannot serve its requests fast enough.
    DiskSaturated,
    /// A file system that must be writable is read-only.
    FilesystemReadOnly,
    /// A file system that must be mounted is not.
    MountMissing,
    /// The connection tracking table is (nearly) full.
    ConnectionsTrackedFull,
    /// The clock of the host follows no time source.
    TimeUnsynchronised,
    /// A declared job is no longer scheduled.
    JobUnscheduled,
    /// A declared job has not run for too long.
    JobLate,
    /// Runs of one declared job overlap.
    JobOverlapping,
    /// Many logins over SSH fail from one address.
    LoginsFailing,
    /// A login over SSH succeeded after many failed ones.
    LoginSuspicious,
    /// A file is known as malware, or as the test for it.
    MalwareFound,
    /// An account or a file has rights that it did not have.
    PrivilegeGained,
    /// A declared route is not there.
    RouteMissing,
    /// A link has another size of packets than is declared.
    MtuWrong,
    /// A link is slower than declared, or loses packets.
    LinkDegraded,
    /// Two machines use one address.
    AddressConflicting,
    /// A service runs, nobody listens where it should any more, and connections are refused.
    ConnectionsRefused,
    /// A service writes far more to its log than it should.
    LogFlooding,
    /// A service runs and makes no progress.
    ServiceHung,
    /// Sessions of a database wait long for a lock that another one holds.
    LocksHeld,
    /// A database ends transactions because they wait for each other in a circle, again and again.
    DeadlocksOften,
    /// Dead rows make a table much bigger than its content.
    TableBloated,
    /// A database comes near the end of its transaction numbers.
    WraparoundNear,
    /// A database writes checkpoints again and again because its log is full, not because it is time.
    CheckpointsForced,
    /// A standby receives nothing, or what it needs is no longer kept for it.
    ReplicationBroken,
    /// Two nodes of one cluster both act as the primary.
    TwoPrimaries,
    /// A declared table or column is absent.
    SchemaDiffers,
    /// A cache drops entries that are still needed, or refuses new ones, because its limit is reached.
    CacheEvicting,
    /// A cache cannot write its content to disk.
    PersistenceFailing,
    /// A queue has reached its declared limit.
    QueueLong,
    /// One entry stays the next one of a queue and is not done with.
    QueueStuck,
    /// A service of somebody else refuses requests because there are too many.
    DependencyRefusing,
    /// A service runs with an older configuration than the one in its file.
    ConfigStale,
    /// A proxy cannot reach what it sends requests to.
    UpstreamFailing,
    /// A key or token has passed its end, or soon will.
    KeyEnding,
    /// Components run versions that are declared to fit and do not.
    VersionsApart,
    /// A test of a data file failed, or a database met damaged pages.
    DataDamaged,
    /// A declared signal of a service is far above what is usual; the subject names the signal.
    SignalHigh,
    /// Services wait for each other in a circle; the subject names all of them.
    WaitingInCircle,
    /// An alerting rule fires; the subject names the alert.
    Alert,
    /// Lines of a log are new, too many or missing, and it goes on; the subject names what is odd and the template.
    LogUnusual,
    /// A host is not as a playbook says it should be; the subject names the declared state.
    StateDiffers,
}

impl FindingKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 76] = [
        Self::ProcessGone,
        Self::ProcessStopped,
        Self::RestartingOften,
        Self::HealthFailing,
        Self::FilesystemFull,
        Self::FilesystemFilling,
        Self::FileChanged,
        Self::CpuContended,
        Self::DeletedOpen,
        Self::FdsRising,
        Self::HealthUnsteady,
        Self::ListenerUnexpected,
        Self::MemoryRising,
        Self::PidsExhausted,
        Self::ZombiesRising,
        Self::PortTaken,
        Self::Unusual,
        Self::Silent,
        Self::BackupUnusable,
        Self::ClockOff,
        Self::ConfigInvalid,
        Self::ConnectionsFull,
        Self::CredentialRefused,
        Self::DependencySlow,
        Self::FallbackOn,
        Self::IndexMissing,
        Self::LinkDown,
        Self::NamesWrong,
        Self::NetworkAltered,
        Self::ReplayPaused,
        Self::CertificateUnfit,
        Self::MemoryThrashing,
        Self::OomKilled,
        Self::CpuThrottled,
        Self::DiskSaturated,
        Self::FilesystemReadOnly,
        Self::MountMissing,
        Self::ConnectionsTrackedFull,
        Self::TimeUnsynchronised,
        Self::JobUnscheduled,
        Self::JobLate,
        Self::JobOverlapping,
        Self::LoginsFailing,
        Self::LoginSuspicious,
        Self::MalwareFound,
        Self::PrivilegeGained,
        Self::RouteMissing,
        Self::MtuWrong,
        Self::LinkDegraded,
        Self::AddressConflicting,
        Self::ConnectionsRefused,
        Self::LogFlooding,
        Self::ServiceHung,
        Self::LocksHeld,
        Self::DeadlocksOften,
        Self::TableBloated,
        Self::WraparoundNear,
        Self::CheckpointsForced,
        Self::ReplicationBroken,
        Self::TwoPrimaries,
        Self::SchemaDiffers,
        Self::CacheEvicting,
        Self::PersistenceFailing,
        Self::QueueLong,
        Self::QueueStuck,
        Self::DependencyRefusing,
        Self::ConfigStale,
        Self::UpstreamFailing,
        Self::KeyEnding,
        Self::VersionsApart,
        Self::DataDamaged,
        Self::SignalHigh,
        Self::WaitingInCircle,
        Self::Alert,
        Self::LogUnusual,
        Self::StateDiffers,
    ];

    /// The word of the API and of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProcessGone => "process_gone",
            Self::ProcessStopped => "process_stopped",
            Self::RestartingOften => "restarting_often",
            Self::HealthFailing => "health_failing",
            Self::FilesystemFull => "filesystem_full",
            Self::FilesystemFilling => "filesystem_filling",
            Self::FileChanged => "file_changed",
            Self::CpuContended => "cpu_contended",
            Self::DeletedOpen => "deleted_open",
            Self::FdsRising => "fds_rising",
            Self::HealthUnsteady => "health_unsteady",
            Self::ListenerUnexpected => "listener_unexpected",
            Self::MemoryRising => "memory_rising",
            Self::PidsExhausted => "pids_exhausted",
            Self::ZombiesRising => "zombies_rising",
            Self::PortTaken => "port_taken",
            Self::Unusual => "unusual",
            Self::Silent => "silent",
            Self::BackupUnusable => "backup_unusable",
            Self::ClockOff => "clock_off",
            Self::ConfigInvalid => "config_invalid",
            Self::ConnectionsFull => "connections_full",
            Self::CredentialRefused => "credential_refused",
            Self::DependencySlow => "dependency_slow",
            Self::FallbackOn => "fallback_on",
            Self::IndexMissing => "index_missing",
            Self::LinkDown => "link_down",
            Self::NamesWrong => "names_wrong",
            Self::NetworkAltered => "network_altered",
            Self::ReplayPaused => "replay_paused",
            Self::CertificateUnfit => "certificate_unfit",
            Self::MemoryThrashing => "memory_thrashing",
            Self::OomKilled => "oom_killed",
            Self::CpuThrottled => "cpu_throttled",
            Self::DiskSaturated => "disk_saturated",
            Self::FilesystemReadOnly => "filesystem_read_only",
            Self::MountMissing => "mount_missing",
            Self::ConnectionsTrackedFull => "connections_tracked_full",
            Self::TimeUnsynchronised => "time_unsynchronised",
            Self::JobUnscheduled => "job_unscheduled",
            Self::JobLate => "job_late",
            Self::JobOverlapping => "job_overlapping",
            Self::LoginsFailing => "logins_failing",
            Self::LoginSuspicious => "login_suspicious",
            Self::MalwareFound => "malware_found",
            Self::PrivilegeGained => "privilege_gained",
            Self::RouteMissing => "route_missing",
            Self::MtuWrong => "mtu_wrong",
            Self::LinkDegraded => "link_degraded",
            Self::AddressConflicting => "address_conflicting",
            Self::ConnectionsRefused => "connections_refused",
            Self::LogFlooding => "log_flooding",
            Self::ServiceHung => "service_hung",
            Self::LocksHeld => "locks_held",
            Self::DeadlocksOften => "deadlocks_often",
            Self::TableBloated => "table_bloated",
            Self::WraparoundNear => "wraparound_near",
            Self::CheckpointsForced => "checkpoints_forced",
            Self::ReplicationBroken => "replication_broken",
            Self::TwoPrimaries => "two_primaries",
            Self::SchemaDiffers => "schema_differs",
            Self::CacheEvicting => "cache_evicting",
            Self::PersistenceFailing => "persistence_failing",
            Self::QueueLong => "queue_long",
            Self::QueueStuck => "queue_stuck",
            Self::DependencyRefusing => "dependency_refusing",
            Self::ConfigStale => "config_stale",
            Self::UpstreamFailing => "upstream_failing",
            Self::KeyEnding => "key_ending",
            Self::VersionsApart => "versions_apart",
            Self::DataDamaged => "data_damaged",
            Self::SignalHigh => "signal_high",
            Self::WaitingInCircle => "waiting_in_circle",
            Self::Alert => "alert",
            Self::LogUnusual => "log_unusual",
            Self::StateDiffers => "state_differs",
        }
    }
}

/// What makes two findings the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingKey {
    /// Who is ill.
    pub entity: EntityId,
    /// In which way.
    pub kind: FindingKind,
    /// Which part, when an entity can be ill twice in one way: the check's name, the file, the series. May be empty.
    pub subject: String,
}

/// Something that was seen and can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was seen.
    pub at: TimestampMs,
    /// What was seen.
    pub text: Text,
    /// PromQL that shows it as a chart, when it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// One detector's statement that an entity is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Identity.
    pub key: FindingKey,
    /// How bad.
    pub severity: Severity,
    /// When it began, as far as can be told.
    pub since: TimestampMs,
    /// When it was stated last.
    pub at: TimestampMs,
    /// One sentence.
    pub text: Text,
    /// Why the detector says so.
    pub evidence: Vec<Evidence>,
    /// How long it must last before it opens an incident by itself, milliseconds. Zero: at once.
    #[serde(default)]
    pub hold_ms: u64,
}
