//! What can go wrong with kept state, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the data directory or of `state.db`.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A newer Wellkept wrote it.
    #[error("{} is of format {found}, and this version reads up to {supported}; use a newer wellkept", path.display())]
    Newer {
        /// File or directory.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that we read.
        supported: i64,
    },
    /// The directory holds files that are not ours.
    #[error("{} holds other files; give an empty directory or one that wellkept made", .0.display())]
    NotOurs(PathBuf),
    /// Another process works on it.
    #[error("{} is in use by another wellkept; stop it or give another --data-dir", .0.display())]
    InUse(PathBuf),
    /// It may not be written.
    #[error("{} cannot be written by this user; change its owner or give another --data-dir", path.display())]
    NotWritable {
        /// File or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No space or no inode is left.
    #[error("no space is left for {what}; free some and try again")]
    DiskFull {
        /// What was to be written.
        what: String,
    },
    /// Any other failure of a file.
    #[error("failed to {attempt} {}", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was read is not what was written.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// The thing.
        what: String,
        /// In which way.
        why: String,
    },
    /// A kept copy is not there.
    #[error("no copy with SHA-256 {0} is kept")]
    NoSuchCopy(String),
    /// Not a SHA-256 in lower-case hexadecimal.
    #[error("`{0}` is not a SHA-256: write 64 digits 0-9a-f")]
    NotASha256(String),
    /// It is bigger than we keep.
    #[error("{what} has {len} bytes; at most {max} are kept")]
    TooBig {
        /// The thing.
        what: String,
        /// Its size, bytes.
        len: usize,
        /// The bound, bytes.
        max: usize,
    },
    /// The end of an action that has no begin.
    #[error("action {0} was never begun, so it cannot end")]
    NotBegun(String),
    /// The database refused.
    #[error("failed to {attempt} in state.db")]
    Database {
        /// What was tried.
        attempt: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl StateError {
    /// The error for an IO failure, with full disk and missing permission told apart.
    pub(crate) fn io(attempt: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { what: path.display().to_string() }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path: path.to_owned(), source }
            }
            _ => Self::Io { attempt, path: path.to_owned(), source },
        }
    }

    /// The error for a failure of SQLite, with a full disk told apart.
    pub(crate) fn db(attempt: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            let code = source.as_database_error().and_then(|e| e.code());
            if code.is_some_and(|code| SQLITE_FULL.contains(&code.as_ref())) {
                Self::DiskFull { what: "state.db".to_owned() }
            } else {
                Self::Database { attempt, source }
            }
        }
    }
}

/// SQLite's result codes for a full disk, as sqlx writes them: `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE`, which is how
/// it says that there is no room for the index of its write-ahead log.
const SQLITE_FULL: [&str; 2] = ["13", "4874"];
