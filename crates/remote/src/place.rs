//! Opens directories without being led astray by links, and reads and replaces files in them.
//!
//! We may be root, and directories on the way may belong to others. So a path is resolved once, every link on
//! it must be trusted, and the result is walked by directory handles that follow no link: a link that is slipped in
//! between makes the walk fail instead of leading it elsewhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, openat, renameat, unlinkat,
};

use crate::FileCopy;

/// Most links on one path; the kernel's own limit.
const LINKS_MAX: usize = 40;
/// Biggest file that is read or put back, bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The directory of a file, and the file's name in it.
#[derive(Debug)]
pub(crate) struct Place {
    dir: OwnedFd,
    name: OsString,
}

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// A link on the path belongs to somebody who does not own where it leads.
    #[error("the link {0} belongs to a user who does not own the directory that it leads to")]
    UntrustedLink(PathBuf),
    /// Anything that the system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for PlaceError {
    fn from(e: rustix::io::Errno) -> Self {
        Self::Io(e.into())
    }
}

impl Place {
    /// The place that `path` (absolute) leads to; the file itself need not be there.
    pub(crate) fn of(path: &Path) -> Result<Self, PlaceError> {
        let (real, links) = resolve(path)?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file").into());
        };
        let dir = open_dir(parent)?;
        let owner = fstat(&dir)?.st_uid;
        let us = rustix::process::geteuid().as_raw();
        match links.into_iter().find(|(_, uid)| *uid != 0 && *uid != us && *uid != owner) {
            Some((link, _)) => Err(PlaceError::UntrustedLink(link)),
            None => Ok(Self { dir, name: name.to_owned() }),
        }
    }

    /// The file as it is now; `None` when there is none.
    pub(crate) fn read(&self) -> Result<Option<FileCopy>, PlaceError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match openat(&self.dir, &self.name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let stat = fstat(&fd)?;
        let other = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return other("it is no regular file");
        }
        let mut content = Vec::new();
        File::from(fd).take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return other("it has more than 16 MiB");
        }
        Ok(Some(FileCopy { content, uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 }))
    }

    /// Puts a file here, wholly or not at all: written beside with the right owner and mode, synced, renamed.
    pub(crate) fn put(&self, copy: &FileCopy) -> Result<(), PlaceError> {
        let temp = private_name()?;
        let done = self.write_beside(&temp, copy).and_then(|()| {
            renameat(&self.dir, &temp, &self.dir, &self.name)?;
            Ok(rustix::fs::fsync(&self.dir)?)
        });
        if done.is_err() {
            // It is ours by its random name; after a rename it is gone, which is no failure.
            let _ = unlinkat(&self.dir, &temp, AtFlags::empty());
        }
        done
    }

    fn write_beside(&self, temp: &str, copy: &FileCopy) -> Result<(), PlaceError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.dir, temp, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(fd);
        file.write_all(&copy.content)?;
        // The owner before the mode: a change of the owner takes special bits away.
        let stat = fstat(&file)?;
        if (stat.st_uid, stat.st_gid) != (copy.uid, copy.gid) {
            fchown(&file, Some(Uid::from_raw(copy.uid)), Some(Gid::from_raw(copy.gid)))?;
        }
        fchmod(&file, Mode::from_raw_mode(copy.mode & 0o7777))?;
        Ok(file.sync_all()?)
    }

    /// Removes the file; one that is not there is no error.
    pub(crate) fn remove(&self) -> Result<(), PlaceError> {
        match unlinkat(&self.dir, &self.name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(rustix::fs::fsync(&self.dir)?),
            Err(e) => Err(e.into()),
        }
    }
}

/// A name that nobody can guess, for a file between two states.
pub(crate) fn private_name() -> io::Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(format!(".wellkept-{:016x}", u64::from_be_bytes(bytes)))
}

/// Opens a directory by an absolute path without links.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open("/", flags, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => dir = open_child(dir.as_fd(), name)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the path is not absolute and plain",
                ));
            }
        }
    }
    Ok(dir)
}

/// Opens one directory below another; a link is refused.
pub(crate) fn open_child(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

/// The path without links, and the links that were on it with their owners. The last part need not exist.
fn resolve(path: &Path) -> io::Result<(PathBuf, Vec<(PathBuf, u32)>)> {
    use std::os::unix::fs::MetadataExt;
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not absolute"));
    }
    let parts = |p: &Path| p.components().map(|c| c.as_os_str().to_owned()).collect::<VecDeque<_>>();
    let (mut at, mut links, mut todo) = (PathBuf::from("/"), Vec::new(), parts(path));
    while let Some(part) = todo.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                at.pop();
            }
            Some(Component::Normal(name)) => {
                let here = at.join(name);
                match std::fs::symlink_metadata(&here) {
                    Ok(meta) if meta.file_type().is_symlink() => {
                        if links.len() == LINKS_MAX {
                            return Err(io::Error::from(rustix::io::Errno::LOOP));
                        }
                        let mut target = parts(&std::fs::read_link(&here)?);
                        target.append(&mut todo);
                        todo = target;
                        links.push((here, meta.uid()));
                    }
                    Ok(_) => at = here,
                    Err(e) if e.kind() == io::ErrorKind::NotFound && todo.is_empty() => at = here,
                    Err(e) => return Err(e),
                }
            }
            _ => {}
        }
    }
    Ok((at, links))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_on_the_way_are_resolved_and_named() {
        let temp = tempfile::tempdir().expect("temp");
        let root = std::fs::canonicalize(temp.path()).expect("real");
        std::fs::create_dir_all(root.join("releases/7")).expect("dir");
        symlink("releases/7", root.join("current")).expect("link");
        symlink("../../etc-env", root.join("releases/7/env")).expect("link");
        let (real, links) = resolve(&root.join("current/env")).expect("resolves");
        assert_eq!(real, root.join("etc-env"));
        assert_eq!(
            links.into_iter().map(|l| l.0).collect::<Vec<_>>(),
            [root.join("current"), root.join("releases/7/env")]
        );
    }

    #[test]
    fn a_circle_of_links_ends() {
        let temp = tempfile::tempdir().expect("temp");
        symlink("b", temp.path().join("a")).expect("link");
        symlink("a", temp.path().join("b")).expect("link");
        assert!(resolve(&temp.path().join("a")).is_err());
    }

    #[test]
    fn a_walk_follows_no_link() {
        let temp = tempfile::tempdir().expect("temp");
        let root = std::fs::canonicalize(temp.path()).expect("real");
        std::fs::create_dir(root.join("real")).expect("dir");
        symlink("real", root.join("link")).expect("link");
        open_dir(&root.join("real")).expect("a directory");
        open_dir(&root.join("link")).expect_err("a link");
        open_dir(&root.join("real/../real")).expect_err("not plain");
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::create_dir(temp.path().join("dir")).expect("dir");
        assert!(Place::of(&temp.path().join("dir")).expect("place").read().is_err());
        assert_eq!(Place::of(&temp.path().join("none")).expect("place").read().expect("reads"), None);
        Place::of(Path::new("/dev/null")).expect("place").read().expect_err("a device");
    }
}
