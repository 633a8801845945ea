//! The way to a directory, without following any symbolic link, and what must never be touched on it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat};

use super::rule::SpaceError;

/// One directory on the way, opened.
pub(super) struct Step {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
}

/// Opens a directory part by part from the root, following no symbolic link.
pub(super) fn open_chain(path: &Path) -> io::Result<Vec<Step>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut chain: Vec<Step> = Vec::new();
    for component in path.components() {
        let fd = match (component, chain.last()) {
            (Component::RootDir, None) => rustix::fs::open("/", flags, Mode::empty())?,
            (Component::Normal(name), Some(last)) => {
                rustix::fs::openat(&last.fd, name, flags, Mode::empty())?
            }
            _ => return Err(io::Error::other("must be an absolute path without `..`")),
        };
        let stat = rustix::fs::fstat(&fd)?;
        chain.push(Step { fd, stat });
    }
    if chain.is_empty() { Err(io::Error::other("must be an absolute path")) } else { Ok(chain) }
}

/// Paths that are never touched, by name and by identity: a path through a bind mount or a link to a protected
/// directory is protected too.
pub(super) struct Protected {
    paths: Vec<PathBuf>,
    identities: HashSet<(u64, u64)>,
}

impl Protected {
    /// Looks at every path; one that does not exist protects its name only.
    pub(super) fn new(paths: &[PathBuf]) -> Result<Self, SpaceError> {
        let mut protected = Self { paths: Vec::new(), identities: HashSet::new() };
        for path in paths {
            match fs::metadata(path) {
                Ok(meta) => {
                    protected.identities.insert((meta.dev(), meta.ino()));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(SpaceError::NeverTouch { path: path.clone(), source }),
            }
            protected.paths.push(path.components().collect());
        }
        Ok(protected)
    }

    /// True when a directory, opened as `chain`, is protected or lies in something that is.
    pub(super) fn covers(&self, directory: &Path, chain: &[Step]) -> bool {
        self.paths.iter().any(|p| directory.starts_with(p))
            || chain.iter().any(|d| self.identities.contains(&(d.stat.st_dev, d.stat.st_ino)))
    }

    /// The same for a file in an unprotected directory.
    pub(super) fn covers_file(&self, path: &Path, stat: &Stat) -> bool {
        self.paths.iter().any(|p| path.starts_with(p))
            || self.identities.contains(&(stat.st_dev, stat.st_ino))
    }
}
