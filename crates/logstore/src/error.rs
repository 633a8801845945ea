//! What can go wrong in the store, in words that name the thing.

use std::io;

/// A call to the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum LogStoreError {
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
    /// There is no room. Searches go on; the same call works again once there is room.
    #[error("the log store is full: {what}; free space on its file system and try again")]
    Full {
        /// What has no room: the disk, or the memory for lines that could not be written yet.
        what: String,
        /// The system's answer, when the disk is full.
        #[source]
        source: Option<io::Error>,
    },
    /// A bound was hit.
    #[error("{what} {got} is more than the log store accepts; use at most {limit}")]
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
        "the log directory is in use by another process ({file} is locked); stop it or use another directory"
    )]
    Locked {
        /// The lock file.
        file: String,
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

impl LogStoreError {
    /// Names the file and action of a failed call; a full disk becomes [`Self::Full`].
    pub(crate) fn io(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
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
pub struct SetAside {
    /// File, relative to the data directory, under its name at the time.
    pub file: String,
    /// Where the damage begins, bytes from the start of the file.
    pub offset: u64,
    /// How many bytes are given up.
    pub len: u64,
    /// Earliest and latest time of lines that may be missing, nanoseconds since the epoch, when known.
    pub range_ns: Option<(i64, i64)>,
    /// What was found, in words.
    pub what: String,
}
