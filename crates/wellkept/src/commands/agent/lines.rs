//! Lines of this host's logs into the agent's queue, each once: how far a source was read is part of the record that holds
//! the lines, and beside the queue for when that record has been sent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use wellkept_agent::agent::Sending;
use wellkept_agent::queue::Queue;
use wellkept_agent::wire::{Kind, Line, Lines, RECORD_MAX};
use wellkept_logintake::Limits;
use wellkept_logintake::mapping::Mapping;
use wellkept_model::keep::Keep;
use wellkept_model::{LogLine, LogSink};
use wellkept_tail::files::{Files, FilesOptions, Waker};
use wellkept_tail::journal::{self, JournalConfig, JournalCounts};
use wellkept_tail::{Batch, CommitError, Note, Outlet};

use crate::clock::now_ns;

/// Bytes of lines in one record; well below [`RECORD_MAX`].
const RECORD: usize = RECORD_MAX / 4;
/// The file beside the queue.
const NOTES_FILE: &str = "notes.json";
/// Largest file of notes, bytes.
const NOTES_MAX: u64 = 16 << 20;

/// How far sources were read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// The record that they come from.
    seq: u64,
    notes: BTreeMap<String, String>,
}

struct QueueOutlet {
    sending: Sending,
    file: PathBuf,
    notes: Mutex<Notes>,
}

/// What follows logs; it ends when this is dropped.
pub(super) struct Following {
    ended: Arc<AtomicBool>,
    waker: Waker,
    tasks: JoinSet<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
        self.tasks.abort_all();
    }
}

/// Follows what the keep file names, or what hosts usually have.
pub(super) fn follow(
    keep: &Keep,
    name: &str,
    folder: &Path,
    (sending, notes): (Sending, Notes),
) -> anyhow::Result<Following> {
    let plan = crate::logs::plan(keep, folder, true)?;
    let file = folder.join(NOTES_FILE);
    let told: Vec<Note> =
        notes.notes.iter().map(|(key, v)| Note { key: key.clone(), value: Some(v.clone()) }).collect();
    let outlet = Arc::new(QueueOutlet { sending, file, notes: Mutex::new(notes) });
    let mut tasks = JoinSet::new();
    if plan.journal {
        let (outlet, told) = (Arc::clone(&outlet) as Arc<dyn Outlet>, told.clone());
        let clock: wellkept_tail::Clock = Arc::new(now_ns);
        let counts = Arc::new(JournalCounts::default());
        tasks.spawn(async move {
            journal::follow(JournalConfig::default(), &told, outlet, clock, counts).await;
        });
    }
    let options = FilesOptions {
        host: name.to_owned(),
        limits: Limits::default(),
        mapping: Arc::new(Mapping::default()),
        ..FilesOptions::default()
    };
    let mut files = Files::new(&plan.files, options, &told)?;
    let (waker, ended) = (files.waker(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&ended);
    std::thread::Builder::new().name("tail".to_owned()).spawn(move || {
        files.run(outlet.as_ref(), &now_ns, &stop, |_, _| {});
    })?;
    Ok(Following { ended, waker, tasks })
}

impl Notes {
    /// The notes beside the queue, and those of records in it that are newer.
    pub(super) fn read(folder: &Path, queue: &Queue) -> anyhow::Result<Self> {
        let file = folder.join(NOTES_FILE);
        let mut notes: Self = match std::fs::metadata(&file) {
            Ok(about) if about.len() <= NOTES_MAX => serde_json::from_slice(&std::fs::read(&file)?)?,
            Ok(_) => anyhow::bail!("{}: too large", file.display()),
            Err(_) => Self::default(),
        };
        for record in queue.after(notes.seq, Kind::Lines)? {
            if let Ok(lines) = serde_json::from_slice::<Lines>(&record.bytes) {
                notes.take(&lines.notes, record.seq);
            }
        }
        Ok(notes)
    }

    fn take(&mut self, notes: &[(String, Option<String>)], seq: u64) {
        for (key, value) in notes {
            match value {
                Some(value) => drop(self.notes.insert(key.clone(), value.clone())),
                None => drop(self.notes.remove(key)),
            }
        }
        self.seq = seq;
    }
}

/// Lines in parts that fit into records.
#[derive(Default)]
struct Parts {
    parts: Vec<Lines>,
    bytes: usize,
}

impl LogSink for Parts {
    fn line(&mut self, line: &LogLine<'_>) {
        let text = std::str::from_utf8(line.text);
        let whole = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Vec<(String, String)> {
            pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        };
        let own = Line {
            at_ns: line.at_ns,
            labels: whole(&mut line.labels.iter()),
            level: line.level.map(|level| level.word().to_owned()),
            text: text.unwrap_or_default().to_owned(),
            bytes: text.is_err().then(|| STANDARD.encode(line.text)),
            fields: whole(&mut line.fields.iter().copied()),
        };
        let pairs = own.labels.iter().chain(&own.fields).map(|(n, v)| n.len() + v.len() + 8).sum::<usize>();
        // JSON may write a byte as six.
        let size = line.text.len() * 2 + pairs + 64;
        if self.parts.is_empty() || self.bytes + size > RECORD {
            self.parts.push(Lines::default());
            self.bytes = 0;
        }
        self.bytes += size;
        if let Some(part) = self.parts.last_mut() {
            part.lines.push(own);
        }
    }
}

impl Outlet for QueueOutlet {
    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let told = |e: &dyn std::error::Error| CommitError(e.to_string());
        let mut parts = Parts::default();
        batch.replay(&mut parts);
        let mut parts = parts.parts;
        let noted: Vec<_> = batch.notes().iter().map(|n| (n.key.clone(), n.value.clone())).collect();
        if parts.is_empty() {
            parts.push(Lines::default());
        }
        if let Some(last) = parts.last_mut() {
            last.notes.clone_from(&noted);
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seq = notes.seq;
        for part in parts.iter().filter(|part| !part.lines.is_empty()) {
            let bytes = serde_json::to_vec(part).map_err(|e| told(&e))?;
            // What is too large even so is dropped and counted by the queue.
            seq = self.sending.push(Kind::Lines, bytes).map_err(|e| told(&e))?.unwrap_or(seq);
        }
        notes.take(&noted, seq);
        // The records hold them, too: this file is for when those are gone.
        if let Err(error) = save(&self.file, &notes) {
            tracing::warn!(%error, "how far logs were read could not be noted beside the queue");
        }
        Ok(())
    }
}

fn save(file: &Path, notes: &Notes) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(&serde_json::to_vec(notes)?)?;
    fresh.as_file().sync_data()?;
    fresh.persist(file).map(drop).map_err(|e| e.error)
}
