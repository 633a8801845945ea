//! The lease: a process of its own that undoes the fault when the drill ends, however it ends, and when time is up.
//!
//! It is there and says so before anything is done. The drill holds the other end of its standard input: a drill that is
//! interrupted or killed closes it as well as one that ends by itself. It leads a session of its own, so that what is
//! typed at the terminal does not reach it, and it undoes before it follows a signal.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::fault::Fault;
use crate::exit::OK;
use crate::say;

/// What it says once it watches.
const READY: &str = "ready";
/// What it says at its end: whether there was something left to undo.
const UNDONE: &str = "undone";
const NOTHING: &str = "nothing";
/// How long it may take to begin, and to undo.
const PATIENCE: Duration = Duration::from_secs(20);

/// The drill's end of it.
#[derive(Debug)]
pub(super) struct Lease {
    child: Child,
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Lease {
    /// Starts it and waits until it watches.
    pub(super) async fn take(fault: &Fault, within: Duration) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["drill-lease", "--within", &within.as_secs().to_string(), "--fault"]);
        command.arg(serde_json::to_string(fault)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| anyhow::anyhow!("the lease has no pipes"))?;
        let mut said = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(PATIENCE, said.next_line()).await??;
        anyhow::ensure!(first.as_deref() == Some(READY), "the lease did not begin; nothing was done");
        Ok(Self { child, stdin, said })
    }

    /// Has it undo what is left; true when there was something.
    pub(super) async fn end(self) -> bool {
        let Self { mut child, stdin, mut said } = self;
        drop(stdin);
        let last = tokio::time::timeout(PATIENCE, said.next_line()).await;
        let _ = tokio::time::timeout(PATIENCE, child.wait()).await;
        matches!(last, Ok(Ok(Some(line))) if line == UNDONE)
    }
}

/// The lease's own end: `wellkept drill-lease`.
pub(in crate::commands) async fn hold(fault: &str, within: Duration) -> anyhow::Result<u8> {
    let fault: Fault = serde_json::from_str(fault)?;
    // The first process of a group cannot lead another session; it has one already then.
    let _ = rustix::process::setsid();
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    say::line(READY);
    let [Ok(term), Ok(int), Ok(hup)] = &mut ends else { anyhow::bail!("signals cannot be received") };
    let (closed, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0; 1]);
        closed.send(())
    });
    tokio::select! {
        _ = end => {}
        () = tokio::time::sleep(within) => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = hup.recv() => {}
    }
    let undone = fault.undo();
    say::line(if matches!(undone, Ok(true)) { UNDONE } else { NOTHING });
    undone?;
    Ok(OK)
}
