//! Waits for changes: the kernel tells which files in watched folders were written, made or moved (inotify).
//!
//! Folders are watched, not files, so that thousands of files need few watches and new ones are seen. Where the kernel
//! does not tell (no more watches, other file systems), the caller looks by itself; [`Watch::is_complete`] says so.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Folders watched at most; more are looked at by polling.
const FOLDERS_MAX: usize = 4096;
/// Events read in one go.
const EVENTS_MAX: usize = 10_000;

/// What changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Files that were written.
    pub(super) written: HashSet<PathBuf>,
    /// Something was made, moved or removed, or events were lost: everything is to be looked up.
    pub(super) scan: bool,
}

/// Ends the waiting of a [`Watch`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Ends the present waiting, or the next one.
    pub fn wake(&self) {
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    by_watch: HashMap<i32, PathBuf>,
    by_folder: HashMap<PathBuf, i32>,
    unwatched: bool,
    wake: Arc<OwnedFd>,
}

impl Watch {
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn new(use_inotify: bool) -> io::Result<Self> {
        let inotify =
            use_inotify.then(|| inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()).flatten();
        Ok(Self {
            unwatched: inotify.is_none(),
            inotify,
            by_watch: HashMap::new(),
            by_folder: HashMap::new(),
            wake: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
        })
    }

    pub(super) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Whether the kernel tells of every change.
    pub(super) fn is_complete(&self) -> bool {
        !self.unwatched
    }

    /// Watches a folder. When it cannot be watched, changes in it are not told.
    pub(super) fn folder(&mut self, path: &Path) {
        let Some(fd) = &self.inotify else { return };
        if self.by_folder.contains_key(path) {
            return;
        }
        if self.by_folder.len() >= FOLDERS_MAX {
            self.unwatched = true;
            return;
        }
        let what = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(fd, path, what) {
            Ok(watch) => {
                self.by_folder.insert(path.to_owned(), watch);
                self.by_watch.insert(watch, path.to_owned());
            }
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
            Err(_) => self.unwatched = true,
        }
    }

    /// What changed since the last call.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let Some(fd) = &self.inotify else { return changes };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(fd, &mut buffer);
        for _ in 0..EVENTS_MAX {
            let Ok(event) = reader.next() else { break };
            let what = event.events();
            if what.contains(ReadFlags::IGNORED) {
                // The folder is gone; should it come back, it is watched anew.
                if let Some(path) = self.by_watch.remove(&event.wd()) {
                    self.by_folder.remove(&path);
                }
                changes.scan = true;
            } else if what.intersects(ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE) {
                let name = event.file_name().map(|n| OsStr::from_bytes(n.to_bytes()));
                let path = self.by_watch.get(&event.wd()).zip(name).map(|(folder, name)| folder.join(name));
                changes.written.extend(path);
            } else {
                changes.scan = true;
            }
        }
        changes
    }

    /// Waits until [`Waker::wake`] is called, the time is over, or, if `for_changes`, something changes; true when the
    /// waker was called.
    pub(super) fn wait(&self, at_most: Duration, for_changes: bool) -> bool {
        let timeout = rustix::time::Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut fds = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        let inotify = self.inotify.as_ref().filter(|_| for_changes);
        fds.extend(inotify.map(|fd| PollFd::new(fd, PollFlags::IN)));
        // An interrupted wait is a short one; the caller looks and waits again.
        let _ = poll(&mut fds, Some(&timeout));
        rustix::io::read(&*self.wake, &mut [0_u8; 8]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_making_files_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "x").unwrap();
        let mut watch = Watch::new(true).unwrap();
        watch.folder(folder.path());
        watch.folder(Path::new("/nowhere"));
        assert!(watch.is_complete());
        std::fs::write(&path, "y").unwrap();
        assert!(!watch.wait(Duration::from_secs(60), true));
        let changes = watch.changes();
        assert_eq!((changes.written, changes.scan), (HashSet::from([path.clone()]), false));
        std::fs::rename(&path, folder.path().join("b")).unwrap();
        watch.wait(Duration::from_secs(60), true);
        assert!(watch.changes().scan);
    }

    #[test]
    fn a_wait_is_ended_from_another_thread() {
        let watch = Watch::new(false).unwrap();
        let waker = watch.waker();
        let other = std::thread::spawn(move || waker.wake());
        assert!(watch.wait(Duration::from_secs(600), true));
        other.join().unwrap();
        assert!(!watch.is_complete());
    }
}
