//! Change records that deploy tools append to a file, one JSON object a line.
//!
//! ```json
//! {"id":"7","time":"2026-11-21T02:00:00Z","who":"ann","kind":"setting","what":"/srv/app/env","before":"…","after":"…"}
//! ```
//!
//! Only whole lines are read, each once. A file that was replaced or became shorter is read from its beginning: the
//! reader of changes must therefore take the same id twice. What was there before we began is read too, because a
//! change just before our start can be the cause of what we find.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use wellkept_model::observe::CollectProblem;
use wellkept_model::{Change, ChangeId, ChangeKind, TimestampMs};

/// Longest line, bytes.
const LINE_MAX: usize = 64 << 10;

/// Most that is read of one file in one round, bytes; the rest follows in the next rounds.
const READ_MAX: u64 = 1 << 20;

/// How much of the end of a file is read at the start, bytes: some ten thousand records.
const START_MAX: u64 = 4 << 20;

/// Reads new records of one file.
#[derive(Debug)]
pub struct ChangeLogTail {
    path: PathBuf,
    /// Device and inode of the file that we read last.
    file: Option<(u64, u64)>,
    offset: u64,
    /// Beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// True while we are inside a line that is too long.
    skipping: bool,
    bad_lines: u64,
}

#[derive(Deserialize)]
struct Record {
    id: Id,
    time: String,
    #[serde(default)]
    who: String,
    #[serde(default)]
    kind: String,
    what: String,
    #[serde(default)]
    before: Option<String>,
    #[serde(default)]
    after: Option<String>,
}

/// Some tools write numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl ChangeLogTail {
    /// A reader that begins near the end of what is there (see the head of this module).
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, offset: 0, partial: Vec::new(), skipping: false, bad_lines: 0 }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines so far that were no change record.
    #[must_use]
    pub fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// New whole records, in the order of the file. Lines that are no record are left out and reported; a missing
    /// file is no problem, because the first change creates it.
    pub fn read(&mut self, problems: &mut Vec<CollectProblem>) -> Vec<Change> {
        let mut problem = |message: String| {
            let message = format!("{}: {message}", self.path.display());
            problems.push(CollectProblem { collector: "change_log".to_owned(), message });
        };
        let bytes = match Self::new_bytes(&self.path, &mut self.file, &mut self.offset) {
            Ok(Fresh { bytes, from_start: false }) => bytes,
            Ok(Fresh { bytes, from_start: true }) => {
                self.partial.clear();
                self.skipping = false;
                bytes
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                problem(e.to_string());
                Vec::new()
            }
        };
        let before = self.bad_lines;
        let mut last_error = String::new();
        let mut changes = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.take_piece(piece, &mut changes, &mut last_error);
        }
        if self.bad_lines > before {
            let bad = self.bad_lines - before;
            let message = format!(
                "{}: {bad} lines are no change record, the last one: {last_error}",
                self.path.display()
            );
            problems.push(CollectProblem { collector: "change_log".to_owned(), message });
        }
        changes
    }

    fn new_bytes(path: &Path, known: &mut Option<(u64, u64)>, offset: &mut u64) -> io::Result<Fresh> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let meta = std::fs::metadata(path)?;
        let now = Some((meta.dev(), meta.ino()));
        if now == *known && meta.size() == *offset {
            return Ok(Fresh { bytes: Vec::new(), from_start: false });
        }
        let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        let now = Some((meta.dev(), meta.ino()));
        let from_start = now != *known || meta.size() < *offset;
        if from_start {
            *offset = meta.size().saturating_sub(START_MAX);
            if *offset > 0 {
                *offset = next_line(&mut file, *offset)?;
            }
            *known = now;
        }
        file.seek(SeekFrom::Start(*offset))?;
        let mut bytes = Vec::new();
        file.take(READ_MAX).read_to_end(&mut bytes)?;
        *offset += bytes.len() as u64;
        Ok(Fresh { bytes, from_start })
    }

    fn take_piece(&mut self, piece: &[u8], changes: &mut Vec<Change>, last_error: &mut String) {
        let ends = piece.ends_with(b"\n");
        if !self.skipping && self.partial.len() + piece.len() > LINE_MAX {
            self.skipping = true;
            self.partial.clear();
            self.bad_lines += 1;
            *last_error = format!("longer than {LINE_MAX} bytes");
        }
        if !self.skipping {
            self.partial.extend_from_slice(piece);
        }
        if !ends {
            return;
        }
        self.skipping = false;
        let line = std::mem::take(&mut self.partial);
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        match parse(line) {
            Ok(change) => changes.push(change),
            Err(e) => {
                self.bad_lines += 1;
                *last_error = e;
            }
        }
    }
}

struct Fresh {
    bytes: Vec<u8>,
    from_start: bool,
}

/// Start of the first whole line after `offset`.
fn next_line(file: &mut File, offset: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; LINE_MAX];
    let read = file.read(&mut bytes)?;
    let end = bytes.iter().take(read).position(|b| *b == b'\n').map_or(read, |at| at + 1);
    Ok(offset + end as u64)
}

fn parse(line: &[u8]) -> Result<Change, String> {
    let record: Record = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let time: jiff::Timestamp = record.time.parse().map_err(|e| format!("time: {e}"))?;
    let kind = match record.kind.as_str() {
        "release" => ChangeKind::Release,
        "config" => ChangeKind::Config,
        "setting" => ChangeKind::Setting,
        "secret" => ChangeKind::Secret,
        "migration" => ChangeKind::Migration,
        "restart" => ChangeKind::Restart,
        "package" => ChangeKind::Package,
        _ => ChangeKind::Other,
    };
    // A secret's value must not be carried on, even where a tool wrote it down.
    let value = |text: Option<String>| {
        if kind == ChangeKind::Secret { String::new() } else { text.unwrap_or_default() }
    };
    Ok(Change {
        id: ChangeId(match record.id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }),
        at: TimestampMs(time.as_millisecond()),
        who: record.who,
        kind,
        what: record.what,
        before: value(record.before),
        after: value(record.after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    struct Log {
        _dir: tempfile::TempDir,
        path: PathBuf,
        tail: ChangeLogTail,
    }

    impl Log {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let path = dir.path().join("changes.jsonl");
            Self { tail: ChangeLogTail::new(path.clone()), path, _dir: dir }
        }

        fn append(&self, text: &str) {
            let mut file =
                File::options().append(true).create(true).open(&self.path).expect("it can be opened");
            file.write_all(text.as_bytes()).expect("it can be written");
        }

        fn read(&mut self) -> (Vec<String>, usize) {
            let mut problems = Vec::new();
            let changes = self.tail.read(&mut problems);
            (changes.into_iter().map(|c| c.id.0).collect(), problems.len())
        }
    }

    fn line(id: &str) -> String {
        format!(r#"{{"id":"{id}","time":"2026-11-21T02:00:00Z","who":"a","kind":"setting","what":"/x"}}"#)
            + "\n"
    }

    #[test]
    fn whole_lines_are_read_once_and_half_ones_when_they_are_whole() {
        let mut log = Log::new();
        assert_eq!(log.read(), (vec![], 0), "no file yet");
        let second = line("2");
        let (half, rest) = second.split_at(20);
        log.append(&line("1"));
        log.append(half);
        assert_eq!(log.read().0, ["1"]);
        assert_eq!(log.read().0, [""; 0]);
        log.append(rest);
        assert_eq!(log.read().0, ["2"]);
    }

    #[test]
    fn a_cut_or_replaced_file_is_read_from_its_beginning() {
        let mut log = Log::new();
        log.append(&line("first"));
        log.append(&line("second"));
        assert_eq!(log.read().0.len(), 2);
        fs::write(&log.path, line("cut")).expect("it can be written");
        assert_eq!(log.read().0, ["cut"]);
        let other = log.path.with_extension("new");
        fs::write(&other, line("a") + &line("b") + &line("c")).expect("it can be written");
        fs::rename(&other, &log.path).expect("it is ours");
        assert_eq!(log.read().0, ["a", "b", "c"]);
    }

    #[test]
    fn bad_and_endless_lines_are_counted_and_hide_nothing_after_them() {
        let mut log = Log::new();
        log.append("not json\n{\"id\":\"x\"}\n");
        log.append(&"y".repeat(3 * LINE_MAX));
        log.append("\n\n");
        log.append(&line("good"));
        assert_eq!(log.read(), (vec!["good".to_owned()], 1));
        assert_eq!(log.tail.bad_lines(), 3);
    }

    #[test]
    fn an_unknown_kind_is_kept_as_other_and_a_secrets_value_is_not_kept() {
        let change =
            parse(br#"{"id":5,"time":"2026-11-21T02:00:01.5+01:00","kind":"flag","what":"f","after":"v"}"#)
                .expect("a record");
        assert_eq!((change.kind, change.id.0.as_str(), change.after.as_str()), (ChangeKind::Other, "5", "v"));
        assert_eq!(change.at.0 % 10_000, 1_500);
        let secret = parse(
            br#"{"id":"s","time":"2026-11-21T02:00:01Z","kind":"secret","what":"p","after":"hunter2"}"#,
        );
        assert_eq!(secret.expect("a record").after, "");
    }
}
