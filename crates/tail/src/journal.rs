//! The systemd journal, read through `journalctl`: its format on disk changes, its output does not.
//!
//! The cursor of the last entry is committed with the entries, and reading goes on behind it. When `journalctl` ends, it
//! is started again after a pause; when it refuses the cursor (the journal was removed), reading goes on with what is
//! new, which is counted.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};
use wellkept_logintake::journal::Decoder;
use wellkept_logintake::syslog::Framer;
use wellkept_logintake::{Arrival, Limits, Zone};

use crate::batch::{Batch, Note, Outlet};
use crate::source::{Clock, GATHER, commit};

/// Key of the journal's note.
const NOTE: &str = "journal";
/// Bytes read in one go.
const READ_BYTES: usize = 64 << 10;
/// Bytes of a batch beyond which it is committed before more is read.
const BATCH_BYTES: usize = 1 << 20;
/// Longest entry in JSON: a list of numbers takes four characters for a byte.
const ENTRY_BYTES_MAX: usize = 4 << 20;
/// Pause before `journalctl` is started again, and the longest one.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How the journal is read.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// The program; looked up in the path when it has no folder.
    pub journalctl: PathBuf,
    /// Folder of the journal, when it is not this host's own.
    pub directory: Option<PathBuf>,
    /// Whether what was there before it was ever read is read too.
    pub from_beginning: bool,
    /// Bounds.
    pub limits: Limits,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            journalctl: "journalctl".into(),
            directory: None,
            from_beginning: false,
            limits: Limits::default(),
        }
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct JournalCounts {
    /// Entries handed on.
    pub entries: AtomicU64,
    /// Entries that could not be read or were refused.
    pub refused: AtomicU64,
    /// How often `journalctl` was started.
    pub starts: AtomicU64,
    /// How often the cursor was not found, so that entries may be missing.
    pub cursor_lost: AtomicU64,
}

/// Reads the journal for ever.
///
/// `notes`: all that were committed before. To be ended by dropping the future: `journalctl` ends with it.
pub async fn follow(
    config: JournalConfig,
    notes: &[Note],
    outlet: Arc<dyn Outlet>,
    clock: Clock,
    counts: Arc<JournalCounts>,
) {
    let noted = notes.iter().find(|n| n.key == NOTE).and_then(|n| n.value.clone());
    let mut reader = Reader { decoder: Decoder::new(config.limits), cursor: noted, outlet, clock, counts };
    let mut pause = PAUSE;
    loop {
        reader.counts.starts.fetch_add(1, Ordering::Relaxed);
        let entries = reader.counts.entries.load(Ordering::Relaxed);
        if let Ok(mut child) = start(&config, reader.cursor.as_deref()) {
            if let Some(stdout) = child.stdout.take() {
                reader.read(stdout).await;
            }
            // It has closed its output; a moment later it ends, or is ended.
            let ended = tokio::time::timeout(PAUSE, child.wait()).await;
            let refused = matches!(&ended, Ok(Ok(status)) if !status.success());
            if ended.is_err() {
                let _ = child.kill().await;
            }
            if refused && reader.cursor.is_some() && entries == reader.counts.entries.load(Ordering::Relaxed)
            {
                reader.counts.cursor_lost.fetch_add(1, Ordering::Relaxed);
                reader.cursor = None;
            }
        }
        pause = if entries == reader.counts.entries.load(Ordering::Relaxed) {
            (pause * 2).min(PAUSE_MAX)
        } else {
            PAUSE
        };
        tokio::time::sleep(pause).await;
    }
}

/// The arguments of `journalctl`.
fn arguments(config: &JournalConfig, cursor: Option<&str>) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["--output=json", "--follow", "--all", "--no-pager", "--quiet"].map(Into::into).into();
    if let Some(directory) = &config.directory {
        arguments.push(format!("--directory={}", directory.display()));
    }
    match cursor {
        Some(cursor) => {
            arguments.push(format!("--after-cursor={cursor}"));
            arguments.push("--lines=all".into());
        }
        None if config.from_beginning => arguments.push("--lines=all".into()),
        None => arguments.push("--lines=0".into()),
    }
    arguments
}

fn start(config: &JournalConfig, cursor: Option<&str>) -> std::io::Result<Child> {
    Command::new(&config.journalctl)
        .args(arguments(config, cursor))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

struct Reader {
    decoder: Decoder,
    cursor: Option<String>,
    outlet: Arc<dyn Outlet>,
    clock: Clock,
    counts: Arc<JournalCounts>,
}

impl Reader {
    /// Reads entries to the end of a stream.
    async fn read<R: AsyncRead + Unpin>(&mut self, mut stream: R) {
        let mut lines = Framer::lines(ENTRY_BYTES_MAX);
        let mut buffer = vec![0; READ_BYTES];
        let mut batch = Batch::default();
        let mut due = Instant::now();
        loop {
            let read = if batch.is_empty() {
                stream.read(&mut buffer).await
            } else if let Ok(read) = timeout_at(due, stream.read(&mut buffer)).await {
                read
            } else {
                batch = self.commit(batch).await;
                due = Instant::now() + if self.outlet.hurries() { Duration::ZERO } else { GATHER };
                continue;
            };
            let Ok(read @ 1..) = read else { break };
            lines.push(buffer.get(..read).unwrap_or_default());
            while let Some(line) = lines.next() {
                if line.cut {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                } else {
                    entry(&mut self.decoder, &self.clock, &self.counts, line.bytes, &mut batch);
                }
                if batch.bytes() >= BATCH_BYTES {
                    batch = self.commit(batch).await;
                }
            }
        }
        if !batch.is_empty() {
            self.commit(batch).await;
        }
    }

    async fn commit(&mut self, batch: Batch) -> Batch {
        let cursor = batch.notes().first().and_then(|n| n.value.clone());
        let batch = commit(&self.outlet, batch).await;
        self.cursor = cursor.or_else(|| self.cursor.take());
        batch
    }
}

fn entry(decoder: &mut Decoder, clock: &Clock, counts: &JournalCounts, line: &[u8], batch: &mut Batch) {
    let zone = Zone::utc();
    let arrival = Arrival { now_ns: clock(), zone: &zone, labels: &[("door", "journal")] };
    match decoder.decode(line, &arrival, batch) {
        Ok(entry) => {
            counts.entries.fetch_add(entry.tally.accepted, Ordering::Relaxed);
            counts.refused.fetch_add(entry.tally.refused, Ordering::Relaxed);
            if let Some(cursor) = entry.cursor {
                batch.note(NOTE, Some(cursor));
            }
        }
        Err(_) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
