//! What a transfer of a file is told to do, what it did, and why it did not.

use crate::process::End;

/// Whether the destination of a failed transfer still is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Nothing was changed.
    Unchanged,
    /// The line broke while the new content was put in place.
    Unknown,
}

/// A transfer that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The host has no SFTP, or the connection ended before.
    #[error("there is no SFTP: {0:?}")]
    NoSftp(End),
    /// A path that cannot be one.
    #[error("{path:?} is no path of a file: {why}")]
    Path {
        /// As it was given.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The host says no.
    #[error("{path}: cannot {attempt}: {reason}")]
    Host {
        /// The path there.
        path: String,
        /// What was tried.
        attempt: &'static str,
        /// What the host says, harmless.
        reason: String,
        /// It is not there.
        absent: bool,
        /// What became of the destination.
        destination: Destination,
    },
    /// Our side could not be read or written.
    #[error("our side of the transfer of {path} failed")]
    Ours {
        /// The path there.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than it may.
    #[error("{path} has more than the {max} bytes that are accepted")]
    TooLong {
        /// The path there.
        path: String,
        /// The bound.
        max: u64,
    },
    /// What arrived is not what was sent.
    #[error("{path}: what arrived is not what was sent ({sent} became {arrived})")]
    Mismatch {
        /// The path there.
        path: String,
        /// SHA-256 of what was sent.
        sent: String,
        /// SHA-256 of what was read back.
        arrived: String,
    },
}

impl TransferError {
    /// Whether the destination still is what it was.
    pub fn destination(&self) -> Destination {
        match self {
            Self::Host { destination, .. } => *destination,
            _ => Destination::Unchanged,
        }
    }
}

/// How a file is put in place.
#[derive(Debug, Clone, Copy)]
pub struct Placing {
    /// Permission bits; `None` keeps those of the file that is replaced, or gives 0644.
    pub mode: Option<u32>,
    /// User and group by number; `None` leaves it to the host.
    pub owner: Option<(u32, u32)>,
    /// The most bytes.
    pub max_bytes: u64,
    /// It is read back and compared before it is put in place.
    pub read_back: bool,
}

impl Default for Placing {
    fn default() -> Self {
        Self { mode: None, owner: None, max_bytes: u64::MAX, read_back: false }
    }
}

/// What was transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// How much.
    pub bytes: u64,
    /// SHA-256 of it, in hex.
    pub sha256: String,
}

/// What a host says about a path; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Bytes.
    pub size: u64,
    /// Kind and permission bits, as in `st_mode`.
    pub mode: u32,
    /// User by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// Last change of the content, Unix time, seconds.
    pub modified_seconds: u32,
}
