//! One run of `wellkept apply` as a child: bounded in time and output, and stopped when it may not go on.

use std::future::Future;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use wellkept_model::keep::DesiredState;

use crate::commands::apply::Report;

/// The longest report, bytes.
const REPORT_MAX: u64 = 8 << 20;
/// So much of what it complains about is kept, bytes.
const COMPLAINT_MAX: u64 = 2000;
/// How long it may take to stop by itself.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Run<'a> {
    pub(super) exe: &'a Path,
    pub(super) state: &'a DesiredState,
    pub(super) data_dir: &'a Path,
    pub(super) keep_file: Option<&'a Path>,
    pub(super) check: bool,
}

impl Run<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.exe);
        command.args(["--output", "json", "apply", "--diff"]).arg("--data-dir").arg(self.data_dir);
        if self.check {
            command.arg("--check");
        } else {
            // Nobody is there: only what somebody has signed. What was stopped in the middle is gone on with.
            command.args(["--automatic", "--go-on"]);
        }
        if let Some(file) = self.keep_file {
            command.arg("--keep").arg(file);
        }
        for source in &self.state.inventory {
            command.arg("--inventory").arg(source);
        }
        for pattern in &self.state.limit {
            command.arg("--limit").arg(pattern);
        }
        command.arg("--").arg(&self.state.playbook);
        if let Some(folder) = self.state.playbook.parent() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs it. When `stop` completes first, it is asked to end: it begins no further step then.
    pub(super) async fn to_end(&self, stop: impl Future<Output = ()>) -> Result<Report, String> {
        let mut child = self.command().spawn().map_err(|e| e.to_string())?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        let ending = async {
            let (report, complaint) = tokio::join!(read(out, REPORT_MAX), read(err, COMPLAINT_MAX));
            (child.wait().await, report, complaint)
        };
        tokio::pin!(ending);
        let interrupt = || {
            if let Some(pid) = pid {
                // One that has ended meanwhile needs no signal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            }
        };
        let ended = tokio::select! {
            ended = &mut ending => Ok(ended),
            () = tokio::time::sleep(self.state.within) => Err("it took longer than `within`"),
            () = stop => Err("it was stopped"),
        };
        match ended {
            Ok((status, report, complaint)) => told(status, &report, &complaint),
            Err(why) => {
                interrupt();
                // What it says after that is not wanted; what does not stop is killed when it is dropped.
                let _ = tokio::time::timeout(GRACE, ending).await;
                Err(why.to_owned())
            }
        }
    }
}

fn told(
    status: std::io::Result<std::process::ExitStatus>,
    report: &[u8],
    complaint: &[u8],
) -> Result<Report, String> {
    let complaint = String::from_utf8_lossy(complaint).trim().to_owned();
    let status = status.map_err(|e| e.to_string())?;
    match serde_json::from_slice::<Report>(report) {
        Ok(report) if report.exit == 0 || !report.hosts.is_empty() => Ok(report),
        _ if complaint.is_empty() => Err(status.to_string()),
        _ => Err(complaint),
    }
}

/// Reads to the end and keeps so much of it.
async fn read(pipe: Option<impl AsyncRead + Unpin>, max: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        // A pipe that breaks has said what it said.
        let _ = (&mut pipe).take(max).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}
