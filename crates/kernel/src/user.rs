//! Has a program run as another user from its first instruction on.
//!
//! The standard library can set user and group of a child, but takes its supplementary groups away; a service that
//! reads a key through one of them could not start. Who the user is, is left to the callers.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A user by numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
}

/// Has the child give up who we are before it becomes the program. Where the kernel refuses, the program is not started.
#[expect(
    unsafe_code,
    reason = "setgroups, setgid and setuid in the child have no safe form in the standard library"
)]
pub fn as_user(command: &mut Command, user: User) {
    let set = move || {
        let User { uid, gid, groups } = &user;
        // Groups first: whoever has given up root may not choose them any more.
        // SAFETY: the list lives as long as the call, and its length is its own; the other two take numbers.
        let refused = unsafe {
            libc::setgroups(groups.len(), groups.as_ptr()) != 0
                || libc::setgid(*gid) != 0
                || libc::setuid(*uid) != 0
        };
        if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The three are plain kernel calls in a child
    // of one thread, as the standard library makes them there itself; neither they nor the error allocate or lock.
    unsafe {
        command.pre_exec(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_the_other_user_with_its_groups_and_no_more() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let mut command = Command::new("sh");
        command.args(["-c", "test \"$(id -u) $(id -g) $(id -G)\" = '65534 65533 65533 65532'"]);
        as_user(&mut command, User { uid: 65_534, gid: 65_533, groups: vec![65_533, 65_532] });
        assert!(command.status().unwrap().success());
    }

    #[test]
    fn whoever_may_not_change_who_it_is_starts_nothing() {
        let mut command = Command::new("true");
        as_user(&mut command, User { uid: 65_534, gid: 65_534, groups: vec![65_534] });
        if rustix::process::geteuid().is_root() {
            // A second change has no right to it any more.
            as_user(&mut command, User { uid: 65_533, gid: 65_533, groups: vec![] });
        }
        assert_eq!(command.status().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
