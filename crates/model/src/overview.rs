//! The one-page answer to "is everything well?".

use crate::{Severity, TimestampMs};

/// What the console's first page and `wellkept status` show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// Host name.
    pub host: String,
    /// When this process began.
    pub started_at: TimestampMs,
    /// When the host was last read; a value that does not move is itself a fault.
    pub last_sample_at: Option<TimestampMs>,
    /// `watch`, `propose` or `act`.
    pub mode: String,
    /// Whether the stop switch is on, since when and by whom.
    pub frozen: Option<String>,
    /// Path of the keep file, when there is one.
    pub keep_file: Option<String>,
    /// Declared services in order of name.
    pub services: Vec<ServiceOverview>,
    /// Watched file systems in order of mount point.
    pub filesystems: Vec<FilesystemOverview>,
    /// Series collected at the last round.
    pub series: usize,
    /// The worst severity of a finding that holds now.
    pub worst: Option<Severity>,
}

/// One service on the overview.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceOverview {
    /// Its name.
    pub name: String,
    /// `running`, `stopped` (state T), `down` or `unknown`.
    pub state: String,
    /// Main process.
    pub pid: Option<u32>,
    /// Since when the main process runs.
    pub since: Option<TimestampMs>,
    /// Health checks that pass, of how many.
    pub healthy: (usize, usize),
    /// Share of one core over the last round, 0 and up.
    pub cpu: f64,
    /// Resident memory, bytes, all processes.
    pub rss_bytes: u64,
    /// Names of services that it depends on.
    pub depends_on: Vec<String>,
}

/// One file system on the overview.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilesystemOverview {
    /// Mount point.
    pub mountpoint: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Available to ordinary users, bytes.
    pub avail_bytes: u64,
    /// Seconds until it is full at the present slope, when it fills.
    pub full_in_seconds: Option<f64>,
}
