//! The product as its user starts it, and its sudden ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{clock, http};

/// Longest start, also after the worst end.
const START_MAX: Duration = Duration::from_secs(60);

/// One running server.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(super) fn start(product: &Path, data: &Path, log: &Path) -> Result<Self> {
        let mut server = Self::launch(Command::new(product), data, log)?;
        if !server.wait_ready(START_MAX) {
            bail!("it does not start:{}", server.last_words());
        }
        Ok(server)
    }

    /// Starts it, below another program if `command` is one, and does not wait.
    pub(super) fn launch(mut command: Command, data: &Path, log: &Path) -> Result<Self> {
        let port = http::free_port()?;
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .args(["up", "--no-collect", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data)
            .env("WELLKEPT_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("failed to start the product")?;
        Ok(Self { child, port, log: log.to_owned() })
    }

    /// True once it is ready; false when it ended or the time is over.
    pub(super) fn wait_ready(&mut self, limit: Duration) -> bool {
        let port = self.port;
        let verdict = clock::wait_for(limit, Duration::from_millis(5), || {
            if self.ended() { Some(false) } else { http::answers(port, "/-/ready").then_some(true) }
        });
        verdict == Some(true)
    }

    /// Whether it has ended by itself.
    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// `kill -9`.
    pub(super) fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        // Whatever it is, it shall be gone; one that is gone is as wanted.
        let _ = kill_process(self.pid(), Signal::CONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The last lines that it said.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(5)).map(|line| format!("\n    {line}")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_now();
    }
}
