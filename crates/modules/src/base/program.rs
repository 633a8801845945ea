//! Starts programs by argument vector, with bounded output and time.
//!
//! Reading stops when the program is gone and its pipes are closed, or when it is gone and nothing came for a second:
//! a daemon that it left behind may hold the pipes for ever.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Most bytes of output and of errors that are kept; beyond it the program is ended.
const OUTPUT_MAX: usize = 64 << 20;
/// How long an inherited pipe may be silent after the program has ended.
const SILENCE: Duration = Duration::from_secs(1);
/// Where programs are looked for besides `PATH`.
const ALSO: &[&str] = &["/sbin", "/usr/sbin", "/usr/local/sbin", "/bin", "/usr/bin", "/usr/local/bin"];

/// A program to start.
pub(crate) struct Program {
    argv: Vec<OsString>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
    input: Option<Vec<u8>>,
    limit: Option<u64>,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Exit status; a signal as its negative number.
    pub(crate) rc: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Ran {
    pub(crate) fn out_text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn err_text(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }
}

impl Program {
    pub(crate) fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { argv, environment: Vec::new(), folder: None, input: None, limit: None }
    }

    pub(crate) fn environment(mut self, more: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(more);
        self
    }

    pub(crate) fn folder(mut self, folder: Option<&Path>) -> Self {
        self.folder = folder.map(Path::to_owned);
        self
    }

    pub(crate) fn input(mut self, input: Option<Vec<u8>>) -> Self {
        self.input = input;
        self
    }

    /// Seconds after which it is killed.
    pub(crate) fn limit(mut self, seconds: Option<u64>) -> Self {
        self.limit = seconds;
        self
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started, `TimedOut` when it was killed, `FileTooLarge` when it said too much.
    pub(crate) fn run(self) -> io::Result<Ran> {
        let Some((program, words)) = self.argv.split_first() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut command = Command::new(program);
        command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), self.input) {
            // A program that does not read its input ends the pipe; that is its own affair.
            std::thread::spawn(move || drop(pipe.write_all(&input)));
        }
        let ran = collect(&mut child, self.limit.map(Duration::from_secs));
        if ran.is_err() {
            end(&mut child);
        }
        ran
    }
}

#[expect(clippy::disallowed_methods, reason = "time limits of programs are measured where they run")]
fn tick() -> Instant {
    Instant::now()
}

enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Closed,
}

fn collect(child: &mut Child, limit: Option<Duration>) -> io::Result<Ran> {
    let (sender, pieces) = mpsc::sync_channel(16);
    if let Some(out) = child.stdout.take() {
        reader(out, sender.clone(), Piece::Out);
    }
    if let Some(err) = child.stderr.take() {
        reader(err, sender.clone(), Piece::Err);
    }
    drop(sender);
    let start = tick();
    let mut ran = Ran::default();
    let mut open = 2;
    let mut gone_since: Option<Instant> = None;
    let mut status = None;
    while open > 0 {
        match pieces.recv_timeout(Duration::from_millis(if status.is_some() { 50 } else { 20 })) {
            Ok(Piece::Out(bytes)) => ran.out.extend(bytes),
            Ok(Piece::Err(bytes)) => ran.err.extend(bytes),
            Ok(Piece::Closed) => {
                open -= 1;
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if status.is_none() {
                    status = child.try_wait()?;
                }
                if status.is_some() && gone_since.get_or_insert_with(tick).elapsed() > SILENCE {
                    break;
                }
                in_time(start, limit)?;
                continue;
            }
        }
        gone_since = None;
        if ran.out.len() > OUTPUT_MAX || ran.err.len() > OUTPUT_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        in_time(start, limit)?;
    }
    let status = match status {
        Some(status) => status,
        None => wait(child, start, limit)?,
    };
    ran.rc = status.code().unwrap_or_else(|| -status.signal().unwrap_or(1));
    Ok(ran)
}

/// Waits for a program that has closed its pipes.
fn wait(child: &mut Child, start: Instant, limit: Option<Duration>) -> io::Result<std::process::ExitStatus> {
    if limit.is_none() {
        return child.wait();
    }
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        in_time(start, limit)?;
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn in_time(start: Instant, limit: Option<Duration>) -> io::Result<()> {
    match limit {
        Some(limit) if start.elapsed() > limit => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn reader(mut from: impl Read + Send + 'static, to: mpsc::SyncSender<Piece>, piece: fn(Vec<u8>) -> Piece) {
    std::thread::spawn(move || {
        let mut buffer = vec![0u8; 32 << 10];
        while let Ok(got) = from.read(&mut buffer) {
            let bytes = buffer.get(..got).unwrap_or_default().to_vec();
            if got == 0 || to.send(piece(bytes)).is_err() {
                break;
            }
        }
        // Nobody may listen any more.
        drop(to.send(Piece::Closed));
    });
}

/// Ends the program and all that it started in its group.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Full path of a program: in `PATH` of these variables, else of this process, else where system programs are.
pub(crate) fn find(name: &str, environment: &[(String, String)]) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| runnable(path));
    }
    let own = || std::env::var_os("PATH").unwrap_or_default();
    let path =
        environment.iter().rev().find(|(key, _)| key == "PATH").map_or_else(own, |(_, path)| path.into());
    let folders = std::env::split_paths(&path).chain(ALSO.iter().map(PathBuf::from)).collect::<Vec<_>>();
    folders.into_iter().map(|folder| folder.join(name)).find(|path| runnable(path))
}

fn runnable(path: &Path) -> bool {
    path.is_file() && super::files::executable(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_status_and_input_pass() {
        let ran =
            Program::new(["sh", "-c", "cat; echo e >&2; exit 3"]).input(Some(b"in".to_vec())).run().unwrap();
        assert_eq!((ran.rc, ran.out.as_slice(), ran.err.as_slice()), (3, &b"in"[..], &b"e\n"[..]));
        assert_eq!(Program::new(["sh", "-c", "kill -9 $$"]).run().unwrap().rc, -9);
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let ran = Program::new(["sh", "-c", "sleep 600; true"]).limit(Some(0)).run();
        assert_eq!(ran.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn endless_output_ends_the_program() {
        let ran = Program::new(["yes"]).run();
        assert_eq!(ran.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_daemon_that_holds_the_pipes_is_not_waited_for() {
        let start = tick();
        let ran = Program::new(["sh", "-c", "sleep 30 & echo started"]).run().unwrap();
        assert_eq!(ran.out, b"started\n");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
