//! Which file is which: device and inode, and what the file begins with, because inodes are used again and copies have
//! others.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes at the beginning of a file by which it is known again.
pub(crate) const HEAD_BYTES: usize = 512;

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FileKey {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl FileKey {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// What a file begins with: as many bytes as were there, up to [`HEAD_BYTES`], as a hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) hash: String,
}

impl Head {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
        let digest = Sha256::digest(bytes);
        Self { len: bytes.len(), hash: digest.iter().take(16).map(|b| format!("{b:02x}")).collect() }
    }

    /// Whether a file that begins with `bytes` (up to [`HEAD_BYTES`]) is this one, or this one grown.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        self.len == 0 || bytes.get(..self.len).is_some_and(|bytes| Self::of(bytes).hash == self.hash)
    }
}

/// Opens a file for reading. Never waits for the other end of a pipe.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] for what is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata))
}

/// The first bytes of a file, at most `max`.
pub(crate) fn head_bytes(file: &File, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; max];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read_at(room, filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grew_is_the_same_and_one_that_begins_otherwise_is_not() {
        let head = Head::of(b"2024 started\n");
        assert!(head.fits(b"2024 started\n") && head.fits(b"2024 started\nmore"));
        assert!(!head.fits(b"2025 started\nmore") && !head.fits(b"2024 star"));
        assert!(Head::of(b"").fits(b"anything") && Head::default().fits(b"anything"));
        let long = vec![b'x'; 2000];
        assert_eq!(Head::of(&long).len, HEAD_BYTES);
        assert!(Head::of(&long).fits(long.get(..HEAD_BYTES).unwrap()));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(open(&fifo).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(open(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
