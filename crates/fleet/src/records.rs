//! What was run where, by whom, and what came of it: one file for each run, in the data directory when one is there.
//!
//! A record is written in place by one rename, so that a reader sees whole ones only. Outputs are cut to a bound: a
//! record says what happened and is no archive of logs.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adhoc::{Row, Status};

/// The version of the format.
const FORMAT: u32 = 1;
/// So much of each output is kept, bytes.
const OUTPUT_MAX: usize = 16 * 1024;
/// So many records are kept; the oldest go first.
const RECORDS_MAX: usize = 1000;
/// The largest record that is read, bytes.
const RECORD_MAX: u64 = 256 * 1024 * 1024;

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
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
    /// One for each host.
    pub hosts: Vec<HostRecord>,
}

/// One host of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
}

impl HostRecord {
    /// From a row. Bytes that are no text become `�`.
    pub fn of(row: &Row) -> Self {
        let cut = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.get(..bytes.len().min(OUTPUT_MAX)).unwrap_or_default()).into_owned()
        };
        Self {
            host: row.host.clone(),
            status: row.status.word().to_owned(),
            exit: row.exit,
            note: row.note.clone(),
            stdout: cut(&row.stdout),
            stderr: cut(&row.stderr),
            took_ms: row.took.as_millis() as u64,
        }
    }
}

/// A new record.
pub fn record(kind: &str, what: &[String], pattern: &str, who: &str, began_ms: i64) -> Record {
    Record {
        format: FORMAT,
        began_ms,
        ended_ms: began_ms,
        who: who.to_owned(),
        kind: kind.to_owned(),
        what: what.to_vec(),
        pattern: pattern.to_owned(),
        exit: 0,
        hosts: Vec::new(),
    }
}

impl Record {
    /// The hosts on which it may be tried again: those that failed, were not reached or not begun. Where nobody knows
    /// what happened a person decides.
    pub fn to_retry(&self) -> Vec<&str> {
        let again = [Status::Failed, Status::Unreached, Status::NotBegun].map(Status::word);
        self.hosts.iter().filter(|h| again.contains(&h.status.as_str())).map(|h| h.host.as_str()).collect()
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

    /// Writes one down and forgets the oldest beyond the bound.
    ///
    /// # Errors
    /// The disk.
    pub fn put(&self, record: &Record) -> std::io::Result<PathBuf> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let name = format!("{:015}-{}.json", record.began_ms, std::process::id());
        let (part, path) = (self.folder.join(format!(".{name}")), self.folder.join(name));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        std::fs::rename(&part, &path)?;
        let names = self.names()?;
        for old in names.iter().take(names.len().saturating_sub(RECORDS_MAX)) {
            std::fs::remove_file(self.folder.join(old))?;
        }
        Ok(path)
    }

    /// Names of records, oldest first.
    fn names(&self) -> std::io::Result<Vec<String>> {
        let mut names: Vec<String> = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
        };
        names.retain(|name| !name.starts_with('.') && name.ends_with(".json"));
        names.sort_unstable();
        Ok(names)
    }

    /// The newest record of a kind; damaged ones are passed over.
    ///
    /// # Errors
    /// The disk.
    pub fn last(&self, kind: &str) -> std::io::Result<Option<Record>> {
        for name in self.names()?.iter().rev() {
            let path = self.folder.join(name);
            if std::fs::metadata(&path)?.len() > RECORD_MAX {
                continue;
            }
            match serde_json::from_slice::<Record>(&std::fs::read(&path)?) {
                Ok(record) if record.format == FORMAT && record.kind == kind => return Ok(Some(record)),
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_record_of_a_kind_says_where_to_try_again() {
        let folder = tempfile::tempdir().expect("temp");
        assert!(Records::of(folder.path()).is_none(), "no data directory");
        std::fs::write(folder.path().join("VERSION"), "1").expect("write");
        let records = Records::of(folder.path()).expect("a data directory");
        assert!(records.last("run").expect("read").is_none());
        for (at, status) in [(1000, Status::Ok), (2000, Status::Failed)] {
            let mut one = record("run", &["uptime".into()], "all", "me", at);
            one.hosts = vec![
                HostRecord::of(&Row::bare("a", status, None)),
                HostRecord::of(&Row::bare("b", Status::Unknown, None)),
            ];
            records.put(&one).expect("written");
        }
        std::fs::write(folder.path().join("fleet/runs/999999999999999-1.json"), "{torn").expect("write");
        let last = records.last("run").expect("read").expect("a record");
        assert_eq!((last.began_ms, last.to_retry()), (2000, vec!["a"]));
    }
}
