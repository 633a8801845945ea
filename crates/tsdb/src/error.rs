//! What can go wrong in the store, in words that name the thing.

use std::io;

use wellkept_model::TimestampMs;

/// A call to the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("failed to {action} {file}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder, relative to the data directory.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no room. Queries go on; the same call works again once there is room.
    #[error("the store is full: {what}; free space on its file system and try again")]
    Full {
        /// What has no room: the disk, or the memory for samples that could not be written yet.
        what: String,
        /// The system's answer, when the disk is full.
        #[source]
        source: Option<io::Error>,
    },
    /// The batch is too old for its target group.
    #[error("batch at {at} is out of order; its target group accepts {oldest} and later")]
    OutOfOrder {
        /// The batch's time.
        at: TimestampMs,
        /// Oldest time that would be accepted.
        oldest: TimestampMs,
    },
    /// A bound was hit.
    #[error("{what} {got} is more than the store accepts; use at most {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there were.
        got: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// Another process has the directory open.
    #[error(
        "the data directory is in use by another process ({file} is locked); stop it or use another directory"
    )]
    Locked {
        /// The lock file.
        file: String,
    },
    /// A snapshot was to go where something is already.
    #[error("the target of the snapshot has files in `{folder}` already; use an empty folder")]
    NotEmpty {
        /// The folder, relative to the target.
        folder: String,
    },
    /// A newer program wrote this data.
    #[error("{file} has format version {found}; this program reads up to {supported}; use the newer program")]
    NewerFormat {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest version this program knows.
        supported: u32,
    },
}

impl StoreError {
    /// Names the file and action of a failed call; a full disk becomes [`Self::Full`].
    pub(crate) fn io(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { what: format!("no room to {action} {file}"), source: Some(source) }
            }
            _ => Self::Io { action, file, source },
        }
    }

    /// True when the same call may work later without a person's help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// A stretch of data that is damaged and no longer served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// File, relative to the data directory, under its name at the time.
    pub file: String,
    /// Where the damage begins, bytes from the start of the file.
    pub offset: u64,
    /// How many bytes are given up.
    pub len: u64,
    /// Earliest time that may be missing, when known.
    pub from: Option<TimestampMs>,
    /// Latest time that may be missing, when known.
    pub to: Option<TimestampMs>,
    /// What was found, in words.
    pub what: String,
}

impl std::fmt::Display for Quarantined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.file, self.offset)?;
        if let (Some(from), Some(to)) = (self.from, self.to) {
            write!(f, " (samples from {from} to {to})")?;
        }
        write!(f, ": {}", self.what)
    }
}
