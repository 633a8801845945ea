//! Files named in the keep file: content (as a checksum), owner, mode.
//!
//! A file is read again only when something that the kernel keeps about it has changed: device, inode, size, time of
//! modification or time of change. The last one cannot be set by anybody, so a forged modification time is no hiding
//! place. A path may be a symbolic link (releases are switched with one); what it leads to must be a regular file.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use wellkept_model::TimestampMs;
use wellkept_model::keep::Service;
use wellkept_model::observe::{FileSeen, FileState};

/// Longest kept file, bytes. Settings are kilobytes; what is longer is data, and data has backups.
pub const KEPT_MAX: u64 = 4 << 20;

/// What the kernel keeps about a file and changes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([i64; 4], [u64; 3], [u32; 3]);

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self(
            [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()],
            [meta.dev(), meta.ino(), meta.size()],
            [meta.uid(), meta.gid(), meta.mode()],
        )
    }
}

/// The kept files, with what was found last.
#[derive(Debug, Default)]
pub(crate) struct KeptFiles {
    known: HashMap<PathBuf, (Stamp, FileState)>,
}

impl KeptFiles {
    /// Looks at all files of one service.
    pub(crate) fn look(&mut self, service: &Service) -> Vec<FileSeen> {
        let seen = |path: &Path, state| FileSeen {
            service: service.name.clone(),
            path: path.to_string_lossy().into_owned(),
            state,
        };
        service.files.iter().map(|file| seen(&file.path, self.state(&file.path))).collect()
    }

    /// Forgets files that no service names any more.
    pub(crate) fn retain(&mut self, is_named: impl Fn(&Path) -> bool) {
        self.known.retain(|path, _| is_named(path));
    }

    fn state(&mut self, path: &Path) -> FileState {
        let meta = match std::fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) => return without_file(&e),
        };
        let stamp = Stamp::of(&meta);
        if let Some((known, state)) = self.known.get(path)
            && *known == stamp
        {
            return state.clone();
        }
        match read(path) {
            Ok((bytes, meta)) => {
                let state = present(&bytes, &meta);
                self.known.insert(path.to_owned(), (Stamp::of(&meta), state.clone()));
                state
            }
            Err(e) => without_file(&e),
        }
    }
}

/// A kept file as it is now, for storing a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptContent {
    /// The content.
    pub bytes: Vec<u8>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Modification time.
    pub modified_at: TimestampMs,
}

/// Reads a kept file, at most [`KEPT_MAX`] bytes.
///
/// # Errors
/// When it is missing, unreadable, no regular file, too long, or written while it is read.
pub fn read_kept(path: &Path) -> io::Result<KeptContent> {
    let (bytes, meta) = read(path)?;
    let (uid, gid, mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
    Ok(KeptContent { bytes, uid, gid, mode, modified_at: modified_at(&meta) })
}

/// SHA-256 in hexadecimal, as [`FileState::Present`] holds it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Content and metadata that belong together: the file is the same before and after it was read.
fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    // Without NONBLOCK, opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    if before.size() > KEPT_MAX {
        return Err(io::Error::other(too_long()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.size()).unwrap_or(0));
    (&mut file).take(KEPT_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > KEPT_MAX {
        return Err(io::Error::other(too_long()));
    }
    let after = file.metadata()?;
    if Stamp::of(&before) != Stamp::of(&after) || after.size() != bytes.len() as u64 {
        return Err(io::Error::other("is being written"));
    }
    Ok((bytes, after))
}

fn too_long() -> String {
    format!("larger than {} MiB", KEPT_MAX >> 20)
}

pub(crate) fn without_file(error: &io::Error) -> FileState {
    // ENOTDIR: a folder on the way to it was replaced by a file. What is named is not there either way.
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileState::Missing,
        _ => FileState::Unreadable(error.to_string()),
    }
}

fn present(bytes: &[u8], meta: &Metadata) -> FileState {
    FileState::Present {
        sha256: sha256_hex(bytes),
        len: bytes.len() as u64,
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.mode() & 0o7777,
        modified_at: modified_at(meta),
    }
}

pub(crate) fn modified_at(meta: &Metadata) -> TimestampMs {
    TimestampMs(meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn content_owner_and_mode_are_seen_through_a_link() {
        let dir = folder();
        let (file, link) = (dir.path().join("v1"), dir.path().join("current"));
        fs::write(&file, "abc").expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
        symlink(&file, &link).expect("a link can be made");
        let FileState::Present { sha256, len, mode, .. } = KeptFiles::default().state(&link) else {
            panic!("it is there")
        };
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((len, mode), (3, 0o640));
        assert_eq!(read_kept(&link).expect("it is there").bytes, b"abc");
    }

    #[test]
    fn other_content_of_the_same_length_and_with_a_forged_time_is_noticed() {
        let dir = folder();
        let path = dir.path().join("env");
        let mut kept = KeptFiles::default();
        fs::write(&path, "KEY=1").expect("it can be written");
        let before = kept.state(&path);
        let time = fs::metadata(&path).and_then(|m| m.modified()).expect("it has one");
        assert_eq!(kept.state(&path), before, "unchanged");
        // Kernels before 6.13 tick every few milliseconds: write until the change is stamped.
        let changed = (0..1000).any(|_| {
            fs::write(&path, "KEY=2").expect("it can be written");
            let file = File::options().write(true).open(&path).expect("it is ours");
            file.set_modified(time).expect("it is ours");
            kept.state(&path) != before
        });
        assert!(changed);
    }

    #[test]
    fn what_is_missing_too_long_or_no_file_is_told_apart() {
        let dir = folder();
        let mut kept = KeptFiles::default();
        assert_eq!(kept.state(&dir.path().join("none")), FileState::Missing);
        assert_eq!(kept.state(dir.path()), FileState::Unreadable("is not a regular file".into()));
        let long = dir.path().join("long");
        File::create(&long).and_then(|f| f.set_len(KEPT_MAX + 1)).expect("it can be written");
        assert_eq!(kept.state(&long), FileState::Unreadable("larger than 4 MiB".into()));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from(0o600), 0)
            .expect("a pipe can be made");
        assert_eq!(
            kept.state(&pipe),
            FileState::Unreadable("is not a regular file".into()),
            "and does not hang"
        );
    }

    #[test]
    fn a_file_that_went_and_came_back_is_read_again() {
        let dir = folder();
        let path = dir.path().join("env");
        let mut kept = KeptFiles::default();
        fs::write(&path, "a").expect("it can be written");
        let first = kept.state(&path);
        fs::remove_file(&path).expect("it is ours");
        assert_eq!(kept.state(&path), FileState::Missing);
        fs::write(&path, "b").expect("it can be written");
        assert_ne!(kept.state(&path), first);
    }
}
