//! What a program's file looked like when its hash was compared last, so that it need not be computed each time.
//!
//! A stamp is the file's device, inode, size, and the times of its last change of content and of anything. The last one
//! is set by the kernel alone: whoever changes the file or puts another in its place changes the stamp, and the hash is
//! computed then. The stamps are kept on the controller, where the host cannot change them.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// As many programs are remembered.
const STAMPS_MAX: usize = 10_000;
/// The longest stamp, bytes.
const STAMP_MAX: usize = 200;
/// The largest file of stamps, bytes.
const FILE_MAX: u64 = 8 * 1024 * 1024;
/// What `stat` of the host is asked for, in the form of [`of`].
pub(super) const STAT: &str = "%d:%i:%s:%.9Y:%.9Z";

/// Stamps by what they belong to; kept in a file, when there is one.
#[derive(Default)]
pub struct Stamps {
    path: Option<PathBuf>,
    seen: Mutex<BTreeMap<String, String>>,
}

/// The stamp of a file.
pub(super) fn of(about: &Metadata) -> String {
    let (dev, inode, size) = (about.dev(), about.ino(), about.size());
    let (mtime, ctime) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
    format!("{dev}:{inode}:{size}:{}.{:09}:{}.{:09}", mtime.0, mtime.1, ctime.0, ctime.1)
}

impl Stamps {
    /// Those of a file; none when it is not there or is damaged.
    pub fn at(path: PathBuf) -> Self {
        let fits = std::fs::metadata(&path).is_ok_and(|about| about.len() <= FILE_MAX);
        let bytes = if fits { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let seen = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { path: Some(path), seen: Mutex::new(seen) }
    }

    /// What was seen.
    pub(super) fn get(&self, of: &str) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    /// Remembers it; that it cannot be stored only costs the next run its time.
    pub(super) fn put(&self, of: &str, stamp: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.len() > STAMP_MAX || seen.get(of).is_some_and(|known| known == stamp) {
            return;
        }
        if seen.len() >= STAMPS_MAX {
            seen.pop_first();
        }
        seen.insert(of.to_owned(), stamp.to_owned());
        let _ = self.store(&seen);
    }

    fn store(&self, seen: &BTreeMap<String, String>) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let folder = path.parent().unwrap_or(path);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".stamps-")
            .permissions(std::fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(&serde_json::to_vec(seen)?)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_kept_and_are_what_stat_of_the_host_says() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("cache/stamps");
        Stamps::at(path.clone()).put("h", "1:2");
        assert_eq!(Stamps::at(path.clone()).get("h").as_deref(), Some("1:2"));
        std::fs::write(&path, "damaged").expect("write");
        assert_eq!(Stamps::at(path.clone()).get("h"), None);
        let ours = of(&std::fs::metadata(&path).expect("about"));
        let said = std::process::Command::new("stat").args(["-c", STAT]).arg(&path).output().expect("stat");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), ours);
        std::fs::write(&path, "Damaged").expect("write");
        assert_ne!(of(&std::fs::metadata(&path).expect("about")), ours, "the same size, another content");
    }
}
