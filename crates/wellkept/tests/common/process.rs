//! Running the program and waiting for its end.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::PATIENCE;

/// The program under test, deaf to the caller's locale and colours.
pub fn wellkept() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wellkept"));
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "WELLKEPT_LOG", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (out, err) = (std::thread::spawn(move || text(out)), std::thread::spawn(move || text(err)));
    let Some(status) = end_of(&mut child) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end; it said: {} {}", out.join().unwrap(), err.join().unwrap());
    };
    Ended { code: status.code(), out: out.join().unwrap(), err: err.join().unwrap() }
}

/// Waits for the end, but not for ever.
pub fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE * 2 {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn text(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
