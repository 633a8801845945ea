//! The small trait that stands between the store and a disk, and the real disk.
//!
//! Names are relative to the data directory, with `/` between folder and file. Files are only ever appended to,
//! renamed and removed, never changed in place: that keeps the crash cases few enough to try them all
//! (see [`crate::sim`]).

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Held while a directory is in use; dropping it lets others in.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// The calls that the store makes. All block.
pub trait Disk: Send + Sync {
    /// Makes a new empty file; an existing one is an error.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Up to `len` bytes from `offset`; fewer where the file ends.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Opens a file to read from it often; it can be read on after it was removed.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskReader>>;

    /// Length of a file, bytes.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn len(&self, name: &str) -> io::Result<u64>;

    /// Makes the content of a closed file durable.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn sync_file(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Names of the files directly in a folder (without the folder), sorted. The empty text is the root.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a folder with its parents; an existing one is fine.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn make_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Where this is in the file system, when it is there at all: files may be linked from it.
    fn root(&self) -> Option<&Path> {
        None
    }

    /// Takes an exclusive lock that ends with the process at the latest.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another holder has it, else as the operating system gives them.
    fn lock(&self, name: &str) -> io::Result<DiskLock>;
}

/// A file that is being read.
pub trait DiskReader: Send + Sync {
    /// Up to `len` bytes from `offset`; fewer where the file ends.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// A file that is being written.
pub trait DiskFile: Send {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// As the operating system gives them; some of the bytes may have been written then.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything appended is durable. After an error nothing may be taken as durable.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the operating system.
#[derive(Debug, Clone)]
pub struct OsDisk {
    root: PathBuf,
}

impl OsDisk {
    /// The disk below `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }
}

impl Disk for OsDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.path(name))?;
        Ok(Box::new(OsFile(file)))
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.open(name)?.read(offset, len)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskReader>> {
        Ok(Box::new(OsReader(File::open(self.path(name))?)))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name))?.len())
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        fs::create_dir_all(self.path(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn lock(&self, name: &str) -> io::Result<DiskLock> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

struct OsReader(File);

impl DiskReader for OsReader {
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // What is asked for comes from checked places as a rule: the length is only asked when it does not fit.
        const TRUSTED: usize = 8 << 20;
        let mut len = len;
        if len > TRUSTED {
            let left = self.0.metadata()?.len().saturating_sub(offset);
            len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let mut bytes = vec![0; len];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|r| !r.is_empty()) {
            match self.0.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_read_renamed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(dir.path());
        disk.make_dir("a").unwrap();
        let mut f = disk.create("a/x").unwrap();
        f.append(b"hello").unwrap();
        f.sync().unwrap();
        assert!(disk.create("a/x").is_err());
        assert_eq!(disk.read("a/x", 1, 100).unwrap(), b"ello");
        disk.rename("a/x", "a/y").unwrap();
        disk.sync_dir("a").unwrap();
        assert_eq!(disk.list("a").unwrap(), ["y"]);
        assert_eq!(disk.len("a/y").unwrap(), 5);
        disk.remove("a/y").unwrap();
        assert!(disk.list("a").unwrap().is_empty());
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(dir.path());
        let held = disk.lock("LOCK").unwrap();
        assert_eq!(disk.lock("LOCK").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(disk.lock("LOCK").is_ok());
    }
}
