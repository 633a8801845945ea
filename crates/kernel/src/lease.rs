//! Whether anybody has a file open, asked through a lease.
//!
//! The kernel grants a write lease only while nobody else has the file open, in any process, also in those that
//! `/proc` hides from us.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::io::Errno;

/// Sets the signal of a lease; with SIGURG, which is ignored by default, a breaker cannot end us.
///
/// The same number on every machine that Rust's Linux targets run on but PA-RISC; `libc` does not name it everywhere.
const F_SETSIG: i32 = 10;

/// What a lease proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nobody else has it open.
    Nobody,
    /// Somebody has it open.
    Somebody,
    /// The file system gives no leases, or not to us.
    Untold,
}

/// Asks for a write lease on an open file and gives it back at once.
#[must_use]
pub fn use_of_file(file: &OwnedFd) -> Use {
    if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
        return Use::Untold;
    }
    match fcntl(file, libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => {
            // Closing gives it back as well.
            let _ = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
            Use::Nobody
        }
        Err(Errno::AGAIN) => Use::Somebody,
        Err(_) => Use::Untold,
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of F_SETLEASE and F_SETSIG exists")]
fn fcntl(file: &OwnedFd, command: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: both commands take an int by value and touch no memory of ours; the descriptor is open for the call,
    // because `file` is borrowed.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
    if result >= 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_we_have_open_twice_is_not_free() {
        let path = std::env::temp_dir().join(format!("wellkept-lease-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let (first, second) = (std::fs::File::open(&path).unwrap(), std::fs::File::open(&path).unwrap());
        assert_ne!(use_of_file(&OwnedFd::from(first)), Use::Nobody);
        drop(second);
        std::fs::remove_file(&path).unwrap();
    }
}
