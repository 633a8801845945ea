//! How a process that is not our child ended.
//!
//! A pidfd says *that* a process has ended, for any process. *How* it ended was for long told to its parent only.
//! Since Linux 6.15 the ioctl `PIDFD_GET_INFO` tells it to every holder of a pidfd, from the moment the parent has
//! collected the process. No crate offers this ioctl without a second async runtime or a second libc binding.
//!
//! [`Readable`] waits on a pidfd (or any other descriptor) in the event loop. It is here for the same reason: tokio's
//! registration is `unsafe`, because the descriptor must stay open and the same while it is registered.
//!
//! Opening pidfds is left to the callers (`rustix::process::pidfd_open`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Exit status, 0 to 255.
    Code(i32),
    /// Number of the signal that killed it.
    Signal(i32),
}

impl Ended {
    /// Reads a wait status as `waitpid(2)` and `/proc/<pid>/stat` give it.
    #[must_use]
    pub fn from_wait_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) & 0xff),
            signal => Self::Signal(signal),
        }
    }
}

/// An owned descriptor in the event loop: a pidfd is readable when its process has ended.
#[derive(Debug)]
pub struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers a descriptor; must be called inside a tokio runtime. For [`Self::drain`] it must be
    /// non-blocking.
    ///
    /// # Errors
    /// When the kernel's event queue does not take it (a regular file, too many descriptors).
    #[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays what it is")]
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is valid and open; it moves into the registration and is never replaced or closed
        // before it, because the field is private and only shared references of it are given out.
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self(registered.map_err(io::Error::from)?))
    }

    /// Waits until the descriptor is readable. Returns at once from then on. Cancel safe.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.readable().await.map(|_| ())
    }

    /// Waits until the descriptor is readable, then reads all there is and throws it away: for descriptors whose
    /// readiness is the message (inotify). Cancel safe.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn drain(&self) -> io::Result<()> {
        // The guard is taken before the read, so what arrives after the read is not cleared with it.
        let mut guard = self.0.readable().await?;
        let mut buffer = [0; 4096];
        while rustix::io::read(guard.get_inner(), &mut buffer).is_ok_and(|n| n > 0) {}
        guard.clear_ready();
        Ok(())
    }
}

impl AsFd for Readable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// `struct pidfd_info` of `linux/pidfd.h` in its first published size (64 bytes), which every kernel with this
/// ioctl accepts. Fields we do not read keep their place.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// Asks for, and says that there is, `exit_code`.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `_IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: ioctl::Opcode = ioctl::opcode::read_write::<PidfdInfo>(0xFF, 11);

/// How the process behind `pidfd` ended; `None` while it runs, is not yet collected by its parent, or when the
/// kernel is older than 6.15.
///
/// # Errors
/// An [`Errno`] other than the ones that mean "this kernel does not know" or "not yet".
pub fn exit_info(pidfd: impl AsFd) -> Result<Option<Ended>, Errno> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    match get_info(pidfd, &mut info) {
        Ok(()) if info.mask & PIDFD_INFO_EXIT != 0 => Ok(Some(Ended::from_wait_status(info.exit_code))),
        Ok(()) | Err(Errno::NOTTY | Errno::INVAL | Errno::SRCH | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

#[expect(unsafe_code, reason = "PIDFD_GET_INFO has no safe wrapper")]
fn get_info(pidfd: impl AsFd, info: &mut PidfdInfo) -> Result<(), Errno> {
    // SAFETY: the opcode is computed from the type of the argument, whose layout is the kernel's (checked below by
    // size); the kernel writes at most that many bytes into `info`, which outlives the call. On a descriptor that is
    // no pidfd the kernel answers ENOTTY and writes nothing.
    unsafe {
        let call = ioctl::Updater::<{ PIDFD_GET_INFO }, PidfdInfo>::new(info);
        ioctl::ioctl(pidfd, call)
    }
}

const _: () = assert!(size_of::<PidfdInfo>() == 64, "the first published size of struct pidfd_info");

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
    use std::process::{Child, Command, Stdio};

    fn shell(line: &str) -> Child {
        Command::new("/bin/sh").args(["-c", line]).stdin(Stdio::piped()).spawn().expect("a shell starts")
    }

    fn ended(mut child: Child, kill: Option<Signal>) -> Option<Ended> {
        let pid = Pid::from_raw(child.id() as i32).expect("a child has a process id");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("pidfds are supported");
        assert_eq!(exit_info(&pidfd), Ok(None), "it still runs");
        match kill {
            Some(signal) => kill_process(pid, signal).expect("our own child can be killed"),
            None => drop(child.stdin.take()),
        }
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).expect("poll works on a pidfd");
        child.wait().expect("our child can be waited for");
        exit_info(&pidfd).expect("a pidfd takes this ioctl")
    }

    /// True where the kernel is new enough to tell.
    fn told() -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut parts = release.split(['.', '-']).map_while(|p| p.parse::<u32>().ok());
        (parts.next(), parts.next()) >= (Some(6), Some(15))
    }

    #[test]
    fn an_exit_status_is_told_on_new_kernels_and_unknown_on_old_ones() {
        assert_eq!(ended(shell("read line; exit 7"), None), told().then_some(Ended::Code(7)));
    }

    #[test]
    fn a_signal_is_told_on_new_kernels_and_unknown_on_old_ones() {
        let got = ended(shell("read line"), Some(Signal::KILL));
        assert_eq!(got, told().then_some(Ended::Signal(9)));
    }

    #[tokio::test]
    async fn the_event_loop_wakes_at_the_end_of_a_process() {
        let mut child = shell("read line");
        let pid = Pid::from_raw(child.id() as i32).expect("a child has a process id");
        let pidfd = Readable::new(pidfd_open(pid, PidfdFlags::empty()).expect("pidfds are supported"));
        let pidfd = pidfd.expect("the event loop takes it");
        assert_eq!(exit_info(&pidfd), Ok(None), "it still runs");
        drop(child.stdin.take());
        pidfd.wait().await.expect("the runtime runs");
        pidfd.wait().await.expect("it stays readable");
        child.wait().expect("our child can be waited for");
    }

    #[test]
    fn a_descriptor_that_is_no_pidfd_tells_nothing() {
        let file = std::fs::File::open("/dev/null").expect("/dev/null is there");
        assert_eq!(exit_info(&file), Ok(None));
    }

    #[test]
    fn a_wait_status_is_read_as_the_kernel_writes_it() {
        assert_eq!(Ended::from_wait_status(0x0700), Ended::Code(7));
        assert_eq!(Ended::from_wait_status(9), Ended::Signal(9));
        assert_eq!(Ended::from_wait_status(0x8b), Ended::Signal(11), "with a core dump");
    }
}
