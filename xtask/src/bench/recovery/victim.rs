//! The service that is killed: this very program in another role, see [`crate::tiny`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::{clock, http, tiny};

/// One service with its port and pidfile; killed for good when dropped.
pub(super) struct Victim {
    pub(super) port: u16,
    pub(super) pidfile: PathBuf,
    program: PathBuf,
}

impl Victim {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("no path to this program")?;
        Ok(Self { port: http::free_port()?, pidfile: folder.join("tiny.pid"), program })
    }

    /// The command that starts it, as one line.
    pub(super) fn start_line(&self) -> String {
        format!("{} {} {} {}", self.program.display(), tiny::START, self.port, self.pidfile.display())
    }

    /// Starts it and waits until it answers.
    pub(super) fn start(&self, limit: Duration) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args([tiny::START, &self.port.to_string()]).arg(&self.pidfile);
        ensure!(command.status().context("failed to start the tiny service")?.success(), "it did not start");
        clock::wait_for(limit, Duration::from_millis(1), || self.answers().then_some(()))
            .context("the tiny service does not answer")
    }

    pub(super) fn answers(&self) -> bool {
        http::answers(self.port, "/")
    }

    /// Kills it and gives the moment of the kill, once it is gone and reaped.
    pub(super) fn kill(&self) -> Result<Instant> {
        let pid = self.pid()?;
        let at = clock::now();
        kill_process(pid, Signal::KILL).context("failed to kill the tiny service")?;
        // It is our child when we adopted it; when another process did, that one reaps it.
        let _ = waitpid(Some(pid), WaitOptions::empty());
        Ok(at)
    }

    fn pid(&self) -> Result<Pid> {
        let text = std::fs::read_to_string(&self.pidfile)
            .with_context(|| format!("failed to read {}", self.pidfile.display()))?;
        let raw: i32 = text.trim().parse().context("the pidfile holds no number")?;
        Pid::from_raw(raw).context("the pidfile holds no pid")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Whoever keeps it alive has ended before; a service that is already gone is as wanted.
        let _ = self.kill();
    }
}
