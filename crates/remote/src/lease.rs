//! Asks the kernel whether anybody else has a file open.
//!
//! A write lease is only given to the one who alone has the file open, in whatever process, container or mapping. So
//! being given one proves what a look through `/proc` can only make likely. It is given back at once. No safe
//! wrapper of this call exists, so it sits here, alone.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

/// The same number on every machine that Rust's Linux targets run on but PA-RISC; `libc` does not name it everywhere.
const F_SETSIG: i32 = 10;

/// What the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nobody has it open.
    Nobody,
    /// Somebody has it open.
    Somebody,
    /// This file system gives no leases, or we may not take one.
    Untold,
}

/// Whether anybody has the file `name` in `dir` open.
pub(crate) fn use_of(dir: impl AsFd, name: impl rustix::path::Arg) -> Use {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(dir, name, flags, Mode::empty()) else { return Use::Untold };
    // Whoever opens it while we hold the lease has a signal sent to us. SIGIO would end us; SIGURG is ignored.
    if fcntl(&file, F_SETSIG, libc::SIGURG).is_err() {
        return Use::Untold;
    }
    match fcntl(&file, libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => {
            // Closing gives it back as well.
            let _ = fcntl(&file, libc::F_SETLEASE, libc::F_UNLCK);
            Use::Nobody
        }
        Err(rustix::io::Errno::AGAIN) => Use::Somebody,
        Err(_) => Use::Untold,
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of F_SETLEASE and F_SETSIG exists")]
fn fcntl(file: &OwnedFd, command: i32, value: i32) -> Result<(), rustix::io::Errno> {
    // SAFETY: both commands take an int by value and touch no memory of ours; the descriptor is open for the call,
    // because `file` is borrowed.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
    if result >= 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(rustix::io::Errno::from_raw_os_error(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn an_open_file_is_told_from_one_that_nobody_has_open() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("x"), "x").expect("write");
        let dir = File::open(temp.path()).expect("open");
        let free = use_of(&dir, "x");
        // Some file systems give no leases; then it must never claim that a file is free.
        assert!(matches!(free, Use::Nobody | Use::Untold));
        for open in
            [File::open(temp.path().join("x")), File::options().append(true).open(temp.path().join("x"))]
        {
            let open = open.expect("open");
            assert_ne!(use_of(&dir, "x"), Use::Nobody);
            drop(open);
        }
        assert_eq!(use_of(&dir, "x"), free);
        assert_eq!(use_of(&dir, "none"), Use::Untold);
    }

    #[test]
    fn opening_while_it_is_asked_harms_nobody() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("x");
        std::fs::write(&path, "x").expect("write");
        let dir = File::open(temp.path()).expect("open");
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                for _ in 0..2000 {
                    assert_eq!(std::fs::read(&path).expect("read"), b"x");
                }
            });
            while !opener.is_finished() {
                use_of(&dir, "x");
            }
        });
    }
}
