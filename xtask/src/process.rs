//! Starting programs: their output goes on to the person at once, and is kept for counting.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;

/// How long output is still awaited after a program ended, in case a child that it left behind holds the pipe.
const OUTPUT_GRACE: Duration = Duration::from_secs(5);

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Both streams, in order of arrival.
    pub(crate) text: String,
}

/// Runs a program to its end, passing on its output.
pub(crate) fn stream(command: &mut Command) -> Result<Finished> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{shown}`"))?;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (done, ended) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|s| pass_on(s, std::io::stdout(), &kept, &done)),
        child.stderr.take().map(|s| pass_on(s, std::io::stderr(), &kept, &done)),
    ];
    let status = child.wait().with_context(|| format!("failed to wait for `{shown}`"))?;
    for _ in readers.iter().flatten() {
        if ended.recv_timeout(OUTPUT_GRACE).is_err() {
            eprintln!("note: `{shown}` ended, but something that it started still holds its output");
        }
    }
    let bytes = kept.lock().map(|b| b.clone()).unwrap_or_default();
    Ok(Finished { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn pass_on(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    kept: &Arc<Mutex<Vec<u8>>>,
    done: &mpsc::Sender<()>,
) -> std::thread::JoinHandle<()> {
    let (kept, done) = (Arc::clone(kept), done.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let Some(bytes) = buffer.get(..n) else { break };
            // A closed terminal must not end the run: the summary still counts.
            let _ = to.write_all(bytes).and_then(|()| to.flush());
            if let Ok(mut kept) = kept.lock() {
                kept.extend_from_slice(bytes);
            }
        }
        let _ = done.send(());
    })
}

/// The standard output of a program that must succeed, trimmed; its errors go to the person.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let out =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("failed to start `{shown}`"))?;
    anyhow::ensure!(out.status.success(), "`{shown}` ended with {}", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// The first line that a program says about its version, on either stream.
pub(crate) fn version(program: &str, argument: &str) -> Option<String> {
    let out = Command::new(program).arg(argument).output().ok()?;
    let text = if out.stdout.is_empty() { out.stderr } else { out.stdout };
    String::from_utf8_lossy(&text).lines().next().map(|l| l.trim().to_owned())
}

/// Whether a program of this name is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// A program that runs beside us and is ended, at the latest, when this value is dropped.
#[derive(Debug)]
pub(crate) struct Beside {
    child: Child,
    name: String,
    /// Where its errors go when the person need not see them.
    log: Option<PathBuf>,
}

impl Beside {
    /// Starts it; its standard output is dropped, its errors go to the person.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command, None)
    }

    /// Starts a talkative one: its errors go to `log`, and are shown only when it does not become ready.
    pub(crate) fn start_quietly(command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        Self::spawn(command.stderr(file), Some(log))
    }

    fn spawn(command: &mut Command, log: Option<PathBuf>) -> Result<Self> {
        let name = shown(command);
        eprintln!("$ {name} &");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start `{name}`"))?;
        Ok(Self { child, name, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its status when it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `ready`, or fails when the program ends or the limit passes.
    pub(crate) fn wait_ready(&mut self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let verdict = clock::wait_for(limit, Duration::from_millis(20), || match self.ended() {
            Some(status) => Some(Err(format!("ended with {status}"))),
            None => ready().then_some(Ok(())),
        });
        match verdict {
            Some(Ok(())) => Ok(()),
            Some(Err(how)) => bail!("`{}` {how}{}", self.name, self.last_words()),
            None => bail!("`{}` was not ready after {} s{}", self.name, limit.as_secs(), self.last_words()),
        }
    }

    /// The last lines of its log, when it has one.
    fn last_words(&self) -> String {
        let text = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(10)).map(|line| format!("\n  {line}")).collect()
    }

    /// SIGTERM, ten seconds of patience, SIGKILL.
    fn end(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let gone = clock::wait_for(Duration::from_secs(10), Duration::from_millis(20), || self.ended());
        if gone.is_none() {
            eprintln!("note: `{}` did not end within 10 s of SIGTERM", self.name);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.end();
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_status_of_a_program_are_kept() {
        let done = stream(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert!(done.text.contains("out\n") && done.text.contains("err\n"), "{:?}", done.text);
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = stream(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
    }

    #[test]
    fn a_program_beside_us_ends_when_it_is_dropped() {
        let beside = Beside::start(Command::new("sleep").arg("1000")).unwrap();
        let stat = format!("/proc/{}/stat", beside.pid());
        assert!(std::path::Path::new(&stat).exists());
        drop(beside);
        assert!(!std::path::Path::new(&stat).exists());
    }

    #[test]
    fn waiting_for_a_program_that_ends_early_fails_at_once() {
        let mut beside = Beside::start(&mut Command::new("false")).unwrap();
        let error = beside.wait_ready(Duration::from_secs(60), || false).unwrap_err();
        assert!(error.to_string().contains("ended with"), "{error}");
    }

    #[test]
    fn the_last_words_of_a_quiet_program_come_with_its_failure() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such colour >&2; exit 4"]);
        let mut beside = Beside::start_quietly(&mut command, folder.path().join("log")).unwrap();
        let error = beside.wait_ready(Duration::from_secs(60), || false).unwrap_err();
        assert!(error.to_string().contains("no such colour"), "{error}");
    }
}
