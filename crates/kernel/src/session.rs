//! Puts a program into a session of its own before it starts.
//!
//! The standard library can put a child into a process group, but not into a session.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Has the child call `setsid` before it becomes the program: no terminal, no signals meant for us.
#[expect(unsafe_code, reason = "setsid in the child has no safe form in the standard library")]
pub fn in_new_session(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. setsid is one, and neither it nor the
    // conversion of its error number allocates or locks.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_leads_a_session_of_its_own() {
        let mut command = Command::new("sh");
        command.args(["-c", "read _ _ _ _ _ sid _ < /proc/$$/stat; test $sid = $$"]);
        in_new_session(&mut command);
        assert!(command.status().unwrap().success());
    }
}
