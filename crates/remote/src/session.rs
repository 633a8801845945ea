//! Starts a program in a session of its own.
//!
//! A service must outlive us: no terminal that hangs up, no process group that gets our Ctrl-C. The standard library
//! can put a child into a group but not into a session; that one call is in `wellkept-kernel`.

use std::fs::File;
use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::who::Who;

/// Where programs are looked for. Ours is not handed on: a start command gets the same world at every start.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts `argv` with an empty standard input, both outputs into `output`, and a fixed environment; as another user when
/// one is named, who then finds its own home.
pub(crate) fn spawn(argv: &[String], output: File, who: Option<&Who>) -> io::Result<Child> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(false);
    wellkept_kernel::in_new_session(command.as_std_mut());
    if let Some(who) = who {
        command.env("HOME", &who.home).env("USER", &who.name).env("LOGNAME", &who.name);
        wellkept_kernel::as_user(command.as_std_mut(), who.user.clone());
    }
    command.spawn()
}
