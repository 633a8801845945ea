//! Follows files: found by patterns, known by inode and content, read on where they stopped.
//!
//! A rotated file is read to its end under its new name; a copy of an emptied one is read from where the original
//! stopped; what was rotated and compressed while nobody looked is found by its content. A source's place is committed
//! together with its lines, so a restart loses and doubles nothing. One thread does all of it, a turn at a time, and
//! each file has its share of a turn, so that one that floods does not hold up others.

mod catch_up;
mod config;
mod family;
mod followed;
mod generation;
mod identity;
pub(crate) mod rotation;
mod run;
mod scan;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wellkept_logintake::rate::Limiter;
use wellkept_model::{Labels, LogLine, LogSink};

use crate::batch::{Batch, Note, Outlet};
use crate::container;
use crate::ledger::Position;
use crate::pipe::{Pipe, PipeConfig};
use config::Source;
pub use config::{FileSource, FileSourceError, FilesOptions, Multiline, Start};
use followed::{Followed, Outcome};
use generation::Generation;
use identity::FileKey;
pub use run::Turn;
pub use watch::Waker;
use watch::Watch;

/// Why files cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A source is not written as it should be.
    #[error(transparent)]
    Source(#[from] FileSourceError),
    /// The system gives no descriptor to wait on.
    #[error("nothing to wait for changes with")]
    Wait(#[source] io::Error),
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilesCounts {
    /// Files followed now.
    pub followed: u64,
    /// Lines handed on.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Lines longer than allowed, handed on in pieces.
    pub split: u64,
    /// Lines from the future, which got the time of their reading.
    pub ahead: u64,
    /// Lines dropped because their file brought too many.
    pub dropped: u64,
    /// Files that were emptied while they were followed.
    pub truncated: u64,
    /// Emptied or lost files of which no copy was found.
    pub not_found: u64,
    /// Bytes of nothing (holes) that were passed over.
    pub nul_bytes: u64,
    /// Files that could not be read at the last look, those beyond the limit included.
    pub unreadable: u64,
    /// Batches that were not taken at first.
    pub commits_failed: u64,
}

/// Follows files.
pub struct Files {
    sources: Vec<Source>,
    limiters: Vec<Option<Limiter<String>>>,
    pipes: Vec<[Arc<PipeConfig>; 2]>,
    options: FilesOptions,
    followed: BTreeMap<FileKey, Followed>,
    /// Lives that are over, or were noted and not found yet, by the keys of their notes.
    known: BTreeMap<String, Generation>,
    /// Where written files are looked up: real paths.
    real_paths: HashMap<PathBuf, FileKey>,
    listings: family::Listings,
    queue: VecDeque<FileKey>,
    queued: HashSet<FileKey>,
    /// Files whose pipe holds something that becomes due.
    waiting: BTreeSet<FileKey>,
    /// Files whose place changed since the last commit.
    touched: BTreeSet<FileKey>,
    watch: Watch,
    batch: Batch,
    /// The batch was offered and not taken.
    refused: bool,
    buffer: Vec<u8>,
    next_scan_ns: i64,
    /// When the next file that is gone may have rested long enough.
    rest_ns: i64,
    last_scan_ns: i64,
    /// Everything that was written before is followed or known, milliseconds since the epoch.
    complete_ms: i64,
    first_scan: bool,
    /// Nothing was ever noted: what is there was there before us.
    first_ever: bool,
    counts: FilesCounts,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("followed", &self.followed.len()).finish_non_exhaustive()
    }
}

impl Files {
    /// `notes`: all that were committed before, those of other sources too.
    ///
    /// # Errors
    /// [`FilesError`] names the source that cannot be used.
    pub fn new(sources: &[FileSource], options: FilesOptions, notes: &[Note]) -> Result<Self, FilesError> {
        let sources = (1..)
            .zip(sources)
            .map(|(number, source)| Source::check(number, source, &options.limits))
            .collect::<Result<Vec<_>, _>>()?;
        let pipe = |source: &Source, wrapped| {
            let (limits, zone) = (options.limits, Arc::clone(&options.zone));
            Arc::new(PipeConfig { limits, join: source.join.clone(), zone, wrapped })
        };
        let pipes = sources.iter().map(|s| [pipe(s, false), pipe(s, true)]).collect();
        let limiters =
            sources.iter().map(|s| s.rate.map(|rate| Limiter::new(rate, options.files_max))).collect();
        let known: BTreeMap<_, _> =
            notes.iter().filter_map(Generation::from_note).map(|g| (g.note_key(), g)).collect();
        Ok(Self {
            limiters,
            pipes,
            sources,
            followed: BTreeMap::new(),
            first_ever: known.is_empty(),
            known,
            real_paths: HashMap::new(),
            listings: family::Listings::default(),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            waiting: BTreeSet::new(),
            touched: BTreeSet::new(),
            watch: Watch::new(options.inotify).map_err(FilesError::Wait)?,
            batch: Batch::default(),
            refused: false,
            buffer: vec![0; options.turn_bytes.max(4096)],
            next_scan_ns: i64::MIN,
            rest_ns: i64::MAX,
            last_scan_ns: i64::MIN,
            complete_ms: 0,
            first_scan: true,
            counts: FilesCounts::default(),
            options,
        })
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> FilesCounts {
        let mut counts = self.counts;
        counts.followed = self.followed.len() as u64;
        for file in self.followed.values() {
            add_counts(&mut counts, file);
        }
        counts
    }

    /// Files whose lines were dropped since the last call, with how many; `None` is all those beyond the limit of files.
    pub fn take_dropped(&mut self) -> Vec<(Option<String>, u64)> {
        self.limiters.iter_mut().flatten().flat_map(Limiter::take_dropped).collect()
    }

    /// Ends the waiting of [`Self::wait`] and [`Self::run`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.watch.waker()
    }

    fn enqueue(&mut self, key: FileKey) {
        if self.queued.insert(key) {
            self.queue.push_back(key);
        }
    }

    /// Reads what is queued until the batch is full or nothing is left.
    fn read_queued(&mut self, now_ns: i64) {
        let mut left = self.queue.len();
        while left > 0 && self.batch.bytes() < self.options.batch_bytes {
            left -= 1;
            let Some(key) = self.queue.pop_front() else { return };
            self.queued.remove(&key);
            self.read_one(key, now_ns);
        }
    }

    fn read_one(&mut self, key: FileKey, now_ns: i64) {
        let Some(file) = self.followed.get_mut(&key) else { return };
        let before = file.pipe.read_offset();
        let limiter = self.limiters.get_mut(file.source).and_then(Option::as_mut);
        let mut sink = Limited::new(limiter, &mut self.batch, &file.generation.place.path, now_ns);
        let outcome = file.read(&mut self.buffer, now_ns, &mut sink);
        self.counts.dropped += sink.dropped;
        self.counts.bytes += file.pipe.read_offset().saturating_sub(before);
        self.touched.insert(key);
        if file.pipe.due_ns().is_some() {
            self.waiting.insert(key);
        }
        match outcome {
            Ok(Outcome::More) => self.enqueue(key),
            Ok(Outcome::AtEnd) => {}
            Ok(Outcome::Truncated) => self.truncated(key, now_ns),
            Ok(Outcome::Finished) => self.end(key, now_ns),
            Ok(Outcome::Gone) => {
                file.replaced = true;
                self.next_scan_ns = i64::MIN;
            }
            Err(_) => {
                self.counts.unreadable += 1;
                // A compressed file that is broken is not read again; any other may be mended.
                if matches!(file.reader, followed::Reader::Gzip(_)) {
                    self.end(key, now_ns);
                }
            }
        }
    }

    /// Hands on what has waited long enough.
    fn flush_waiting(&mut self, now_ns: i64) {
        let waiting: Vec<FileKey> = self.waiting.iter().copied().collect();
        for key in waiting {
            let due = self.with_sink(key, now_ns, |file, sink| {
                file.pipe.flush_due(now_ns, sink);
                file.pipe.due_ns()
            });
            if due.flatten().is_none() {
                self.waiting.remove(&key);
            }
        }
    }

    /// Lets a file hand lines on.
    fn with_sink<T>(
        &mut self,
        key: FileKey,
        now_ns: i64,
        work: impl FnOnce(&mut Followed, &mut dyn LogSink) -> T,
    ) -> Option<T> {
        let file = self.followed.get_mut(&key)?;
        let limiter = self.limiters.get_mut(file.source).and_then(Option::as_mut);
        let mut sink = Limited::new(limiter, &mut self.batch, &file.generation.place.path, now_ns);
        let outcome = work(file, &mut sink);
        self.counts.dropped += sink.dropped;
        self.touched.insert(key);
        Some(outcome)
    }

    /// Ends a file: what it holds is handed on, and what is known of it kept for its copies.
    fn end(&mut self, key: FileKey, now_ns: i64) {
        self.with_sink(key, now_ns, |file, sink| file.pipe.finish(now_ns, sink));
        let Some(mut file) = self.followed.remove(&key) else { return };
        add_counts(&mut self.counts, &file);
        let mut generation = file.generation(now_ns);
        generation.ended = true;
        self.remember(generation);
        self.waiting.remove(&key);
        self.touched.remove(&key);
        if let Some(real) = &file.real {
            self.real_paths.remove(real);
        }
    }

    /// Keeps what is known of a life, and notes it.
    fn remember(&mut self, generation: Generation) {
        let note = generation.note();
        self.batch.note(&note.key, note.value);
        self.known.insert(note.key, generation);
    }

    fn forget(&mut self, note_key: &str) {
        if self.known.remove(note_key).is_some() {
            self.batch.note(note_key, None);
        }
    }

    /// Puts the notes of all touched files into the batch.
    fn note_touched(&mut self, now_ns: i64) {
        for key in std::mem::take(&mut self.touched) {
            let Some(file) = self.followed.get_mut(&key) else { continue };
            let before = file.generation.position.clone();
            let note = file.generation(now_ns);
            if note.position != before || file.note_due {
                file.note_due = false;
                let note = note.note();
                self.batch.note(&note.key, note.value);
            }
        }
    }

    /// Offers the batch. False when it was not taken; it is offered again then before anything else is read.
    fn commit(&mut self, outlet: &dyn Outlet) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        self.refused = outlet.commit(&self.batch).is_err();
        if self.refused {
            self.counts.commits_failed += 1;
        } else {
            self.batch.clear();
        }
        !self.refused
    }

    /// The labels of a file's lines.
    fn labels_of(&self, path: &Path, source: usize) -> Labels {
        let filename = path.to_string_lossy().into_owned();
        let own = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
        let mut pairs = vec![own(("filename", &filename)), own(("host", &self.options.host))];
        // The real path of a container's log is Docker's, its link's name is Kubernetes'.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let told = container::labels_of(path).or_else(|| container::labels_of(&real));
        let is_container = told.is_some();
        pairs.extend(told.into_iter().flatten().map(|(n, v)| (n.to_owned(), v)));
        if is_container && let Some(config) = read_config(&real) {
            pairs.extend(container::docker_labels(&config).into_iter().map(|(n, v)| (n.to_owned(), v)));
        }
        pairs.extend(self.sources.get(source).into_iter().flat_map(|s| s.labels.iter().cloned()));
        let mapped = self.options.mapping.apply(&Labels::new(pairs));
        match container::guess_service(path).filter(|_| mapped.get("service").is_empty()) {
            Some(service) => Labels::new(mapped.iter().map(own).chain([("service".to_owned(), service)])),
            None => mapped,
        }
    }

    fn pipe(&self, path: &Path, source: usize, at: &Position) -> Pipe {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let wrapped = container::labels_of(path).is_some() || container::labels_of(&real).is_some();
        let config = self.pipes.get(source).and_then(|p| p.get(usize::from(wrapped)));
        let config = config.cloned().unwrap_or_default();
        Pipe::new(config, &self.labels_of(path, source), at)
    }
}

/// Docker's description of a container, beside its log.
fn read_config(log: &Path) -> Option<Vec<u8>> {
    const CONFIG_BYTES_MAX: usize = 1 << 20;
    let (file, _) = identity::open(&log.parent()?.join("config.v2.json")).ok()?;
    identity::head_bytes(&file, CONFIG_BYTES_MAX).ok()
}

fn add_counts(counts: &mut FilesCounts, file: &Followed) {
    let pipe = file.pipe.counts();
    counts.lines += pipe.lines;
    counts.split += pipe.split;
    counts.ahead += pipe.ahead;
    counts.nul_bytes += file.nul_bytes;
}

/// Drops and counts the lines of a file that brings too many.
struct Limited<'a> {
    /// With the name of the file, by which it has its bucket.
    limiter: Option<(&'a mut Limiter<String>, String)>,
    batch: &'a mut Batch,
    now_ns: i64,
    dropped: u64,
}

impl<'a> Limited<'a> {
    fn new(limiter: Option<&'a mut Limiter<String>>, batch: &'a mut Batch, path: &Path, now_ns: i64) -> Self {
        let limiter = limiter.map(|l| (l, path.to_string_lossy().into_owned()));
        Self { limiter, batch, now_ns, dropped: 0 }
    }
}

impl LogSink for Limited<'_> {
    fn line(&mut self, line: &LogLine<'_>) {
        let allowed = |(limiter, name): &mut (&mut Limiter<String>, String)| {
            limiter.allows(name.as_str(), 1, self.now_ns)
        };
        if self.limiter.as_mut().is_none_or(allowed) {
            self.batch.line(line);
        } else {
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests;
