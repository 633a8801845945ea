//! What was run where, by whom, and what came of it: one file for each run, in the data directory when one is there.
//!
//! A file is one line of JSON for the run (the [`Head`]) and one for each host, so that a list is made of first lines and
//! reads no outputs. It is put in place by one rename: a reader sees whole records only. Outputs and messages are cut to
//! bounds, and the oldest records go first: a record says what happened and is no archive of logs. What reads is in
//! `look`, what hears a playbook's output in `ear`.

mod ear;
mod look;

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adhoc::{Row, Status};

pub use ear::Ear;
pub use look::{Listed, Unreadable, Wanted, Whole, is_id};

/// The version of the format. The first one was one JSON object in a file named `.json`; it is still read.
const FORMAT: u32 = 2;
/// So much of each output is kept, bytes.
const OUTPUT_MAX: usize = 16 * 1024;
/// So many records are kept; the oldest go first.
const RECORDS_MAX: usize = 1000;
/// So many bytes of records are kept; the oldest go first, and the newest stays whatever its size.
const BYTES_MAX: u64 = 512 << 20;
/// A look that says the same as the one before is looked for among so many records.
const SAME_LOOK_AMONG: usize = 50;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Record {
    /// What is known of the whole.
    #[serde(flatten)]
    pub head: Head,
    /// One for each host.
    pub hosts: Vec<HostRecord>,
}

/// What is known of a whole run; the first line of its file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub format: u32,
    /// Milliseconds since the epoch.
    pub began_ms: i64,
    /// Milliseconds since the epoch.
    pub ended_ms: i64,
    /// The user on this machine.
    pub who: String,
    /// `run`, `copy`, `play`, …
    pub kind: String,
    /// The command, or the playbook, as it was given.
    pub what: Vec<String>,
    /// The host pattern.
    pub pattern: String,
    /// The exit code.
    pub exit: u8,
    /// Nothing was changed, only looked at.
    #[serde(default)]
    pub check: bool,
    /// Names of hosts with how it went there; filled in when it is written.
    #[serde(default, rename = "seen")]
    pub hosts: Vec<(String, String)>,
    /// On so many hosts something changed.
    #[serde(default)]
    pub changed: u32,
}

/// One host of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its name.
    pub host: String,
    /// `ok`, `failed`, `unreachable`, `unknown`, `not_begun`.
    pub status: String,
    /// Exit status of the command.
    pub exit: Option<u32>,
    /// Why, or what was done.
    pub note: Option<String>,
    /// The beginning of standard output.
    pub stdout: String,
    /// The beginning of standard error.
    pub stderr: String,
    /// Milliseconds.
    pub took_ms: u64,
    /// Bytes of the outputs that were not kept.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// Counts of a playbook's tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Tasks of a playbook that failed; not all when there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// Counts of tasks, as the recap has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the recap")]
pub struct Counts {
    pub ok: u32,
    pub changed: u32,
    pub failed: u32,
    pub unreachable: u32,
    /// Of which nobody knows whether they ran to their end; the recap counts them as unreachable.
    pub unknown: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
}

/// A task that failed on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// Its name.
    pub task: String,
    /// `failed`, `unreachable`, `unknown`.
    pub how: String,
    /// What it said. Empty when it may not be told.
    pub message: String,
    /// It may not be told (`no_log`).
    #[serde(default)]
    pub hidden: bool,
    /// The playbook ignored it.
    #[serde(default)]
    pub ignored: bool,
}

impl HostRecord {
    /// From a row. Bytes that are no text become `�`.
    pub fn of(row: &Row) -> Self {
        let cut = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.get(..bytes.len().min(OUTPUT_MAX)).unwrap_or_default()).into_owned()
        };
        let left = |bytes: &[u8]| bytes.len().saturating_sub(OUTPUT_MAX) as u64;
        Self {
            host: row.host.clone(),
            status: row.status.word().to_owned(),
            exit: row.exit,
            note: row.note.clone(),
            stdout: cut(&row.stdout),
            stderr: cut(&row.stderr),
            took_ms: row.took.as_millis() as u64,
            dropped_bytes: row.dropped.saturating_add(left(&row.stdout)).saturating_add(left(&row.stderr)),
            ..Self::default()
        }
    }

    /// From the counts of a playbook on a host, and its tasks that failed.
    pub fn played(host: &str, counts: Counts, failures: Vec<Failure>) -> Self {
        let status = match counts {
            Counts { unknown: 1.., .. } => Status::Unknown,
            Counts { unreachable: 1.., .. } => Status::Unreached,
            Counts { failed: 1.., .. } => Status::Failed,
            _ => Status::Ok,
        };
        let status = status.word().to_owned();
        Self { host: host.to_owned(), status, counts: Some(counts), failures, ..Self::default() }
    }
}

/// A new record.
pub fn record(kind: &str, what: &[String], pattern: &str, who: &str, began_ms: i64) -> Record {
    let head = Head {
        format: FORMAT,
        began_ms,
        ended_ms: began_ms,
        who: who.to_owned(),
        kind: kind.to_owned(),
        what: what.to_vec(),
        pattern: pattern.to_owned(),
        ..Head::default()
    };
    Record { head, hosts: Vec::new() }
}

impl Head {
    /// The hosts on which it may be tried again: those that failed, were not reached or not begun. Where nobody knows
    /// what happened a person decides.
    pub fn to_retry(&self) -> Vec<&str> {
        let again = [Status::Failed, Status::Unreached, Status::NotBegun].map(Status::word);
        self.hosts
            .iter()
            .filter(|(_, s)| again.contains(&s.as_str()))
            .map(|(host, _)| host.as_str())
            .collect()
    }

    /// A look at the same thing that found the same.
    fn is_same_look(&self, other: &Self) -> bool {
        let same = |a: &Self, b: &Self| (a.exit, a.changed) == (b.exit, b.changed) && a.hosts == b.hosts;
        self.check && other.check && self.is_about(other) && same(self, other)
    }

    fn is_about(&self, other: &Self) -> bool {
        self.kind == other.kind && self.what == other.what && self.pattern == other.pattern
    }
}

impl Record {
    /// The lines of its file.
    fn lines(&self) -> std::io::Result<(Head, Vec<u8>)> {
        let changed = |host: &&HostRecord| host.counts.is_some_and(|counts| counts.changed > 0);
        let head = Head {
            format: FORMAT,
            hosts: self.hosts.iter().map(|host| (host.host.clone(), host.status.clone())).collect(),
            changed: u32::try_from(self.hosts.iter().filter(changed).count()).unwrap_or(u32::MAX),
            ..self.head.clone()
        };
        let mut bytes = serde_json::to_vec(&head)?;
        for host in &self.hosts {
            bytes.push(b'\n');
            serde_json::to_writer(&mut bytes, host)?;
        }
        bytes.push(b'\n');
        Ok((head, bytes))
    }
}

/// The folder of records in a data directory.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Those of a data directory; `None` when there is no such directory.
    pub fn of(data_dir: &Path) -> Option<Self> {
        data_dir.join("VERSION").is_file().then(|| Self { folder: data_dir.join("fleet/runs") })
    }

    /// Writes one down and forgets the oldest beyond the bounds. A look that found what the last look at the same found
    /// takes its place, so that looks on a schedule leave room for others.
    ///
    /// # Errors
    /// The disk.
    pub fn put(&self, record: &Record) -> std::io::Result<PathBuf> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let (head, bytes) = record.lines()?;
        let replaced = if head.check { self.same_look(&head)? } else { None };
        let name = format!("{:015}-{}.jsonl", head.began_ms, std::process::id());
        let (part, path) = (self.folder.join(format!(".{name}")), self.folder.join(&name));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, &path)?;
        if let Some(old) = replaced.filter(|old| *old != name) {
            self.forget(&old)?;
        }
        self.tidy()?;
        Ok(path)
    }

    /// The newest record of the same kind and subject, when it says the same.
    fn same_look(&self, head: &Head) -> std::io::Result<Option<String>> {
        for name in self.names()?.into_iter().rev().take(SAME_LOOK_AMONG) {
            match self.head(&name) {
                Ok(old) if old.is_about(head) => return Ok(old.is_same_look(head).then_some(name)),
                _ => {}
            }
        }
        Ok(None)
    }

    fn tidy(&self) -> std::io::Result<()> {
        let names = self.names()?;
        let (mut bytes, mut kept) = (0_u64, 0);
        for name in names.iter().rev() {
            let size = std::fs::symlink_metadata(self.folder.join(name)).map_or(0, |data| data.len());
            bytes = bytes.saturating_add(size);
            if kept >= RECORDS_MAX || (kept > 0 && bytes > BYTES_MAX) {
                break;
            }
            kept += 1;
        }
        names.iter().take(names.len() - kept).try_for_each(|old| self.forget(old))
    }

    /// That another process has removed it already is as good.
    fn forget(&self, name: &str) -> std::io::Result<()> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Names of records, oldest first.
    fn names(&self) -> std::io::Result<Vec<String>> {
        let mut names: Vec<String> = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
        };
        names.retain(|name| look::id_of(name).is_some_and(is_id));
        names.sort_unstable();
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
