//! The store: takes batches, makes them durable, keeps what is known about itself.
//!
//! Three locks. `miner` is held while lines are split. `state` is held for moments only: append puts lines into the
//! head, a search takes references to what it will read. `log` is held while the disk syncs. Whoever waits for it
//! finds its batch already durable as often as not: that is the group commit, without a thread or a timer.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use wellkept_model::{LogLine, Matcher, ParamKind, Shape, TemplateMiner};

use crate::batch::LogBatch;
use crate::cache::Cache;
use crate::disk::{Disk, DiskLock};
use crate::error::{LogStoreError, SetAside};
use crate::head::{Head, Piece};
use crate::maintain::Upkeep;
use crate::segment::Segment;
use crate::tail::Tails;
use crate::wal::{self, Wal};

/// Most damaged stretches that are remembered by name; further ones are counted only.
const SET_ASIDE_MAX: usize = 1000;

/// Most notes, counting those of one batch as new. A tail keeps one for each file.
/// All of them must fit into one record.
const NOTES_MAX: usize = 20_000;

/// What can be set.
#[derive(Debug, Clone)]
pub struct LogStoreConfig {
    /// Memory of lines at which they become a segment, bytes. Larger segments shrink better.
    pub segment_bytes: usize,
    /// How long lines wait in memory at most before they become a segment however few they are.
    pub segment_age: Duration,
    /// Memory of lines beyond which none are taken until a segment was written, bytes.
    pub head_bytes_max: usize,
    /// Bytes that may wait in memory for a disk that does not take them.
    pub pending_bytes_max: usize,
    /// How long lines are kept for which no rule says otherwise. By the earlier of their own time and the time at
    /// which they became a segment, so that a clock in the future keeps nothing for ever.
    pub retention: Duration,
    /// Streams that are kept for another time; the first rule whose matchers all fit holds.
    pub rules: Vec<RetentionRule>,
    /// Size of all segments beyond which the oldest go, bytes.
    pub bytes_max: u64,
    /// Memory for parts of segments that were read, bytes.
    pub cache_bytes: usize,
}

impl Default for LogStoreConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 128 << 20,
            segment_age: Duration::from_secs(24 * 3600),
            head_bytes_max: 320 << 20,
            pending_bytes_max: 128 << 20,
            retention: Duration::from_secs(30 * 86_400),
            rules: Vec::new(),
            bytes_max: 20 << 30,
            cache_bytes: 64 << 20,
        }
    }
}

/// How long some streams are kept.
#[derive(Debug, Clone)]
pub struct RetentionRule {
    /// All of them must fit a stream's labels.
    pub matchers: Vec<Matcher>,
    /// How long.
    pub keep: Duration,
}

/// Names an append; tickets rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTicket(u64);

/// What the store knows about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Lines in memory.
    pub head_lines: usize,
    /// Memory of those, bytes.
    pub head_bytes: usize,
    /// Bytes that are in memory only.
    pub pending_bytes: usize,
    /// Segments.
    pub segments: usize,
    /// Lines in segments.
    pub segment_lines: u64,
    /// Bytes of segments on disk.
    pub segment_bytes: u64,
    /// Bytes of the write-ahead log on disk.
    pub wal_bytes: u64,
    /// Earliest and latest time of any line, nanoseconds since the epoch.
    pub range_ns: Option<(i64, i64)>,
    /// Lines taken since the start.
    pub appended_total: u64,
    /// Bytes of their texts.
    pub appended_bytes_total: u64,
    /// Lines that batches refused because they were too large.
    pub too_large_total: u64,
    /// Lines refused because there was no room.
    pub full_total: u64,
    /// Lines that live tails were too slow to take.
    pub tail_dropped_total: u64,
    /// Lines whose shape the miner gave wrongly, so that they are kept unsplit.
    pub unsplit_total: u64,
    /// Damage found since the start; the first thousand by name.
    pub set_aside: Vec<SetAside>,
    /// How many were found in all.
    pub set_aside_total: u64,
    /// Log ends that were cut at start because a write had not been finished.
    pub torn: Vec<SetAside>,
}

/// Takes a line as it was split: text, shape, and where in the text the parameters stand.
pub type Seen<'a> = dyn FnMut(&LogLine<'_>, &Arc<Shape>, &[Range<u32>]) + 'a;

/// An open data directory. Shared by reference between threads; dropping it without [`LogStore::commit`] loses only
/// what was not acknowledged.
pub struct LogStore {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: LogStoreConfig,
    pub(crate) state: RwLock<State>,
    pub(crate) miner: Mutex<Box<dyn TemplateMiner + Send>>,
    pub(crate) log: Mutex<Log>,
    pub(crate) upkeep: Mutex<Upkeep>,
    pub(crate) cache: Cache,
    pub(crate) tails: Tails,
    pub(crate) _lock: DiskLock,
}

/// What readers and writers share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// The head before this one, while it becomes a segment.
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// In order of their numbers.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) pending: Vec<LogBatch>,
    pub(crate) pending_bytes: usize,
    pub(crate) last_ticket: u64,
    /// Durable notes.
    pub(crate) notes: usize,
    pub(crate) counters: Counters,
}

/// Lines that are becoming a segment.
pub(crate) struct Frozen {
    pub(crate) pieces: Vec<Arc<Piece>>,
    /// Last file of the log with their lines.
    pub(crate) covers: u64,
    pub(crate) memory: usize,
    pub(crate) range: Option<(i64, i64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    appended: u64,
    appended_bytes: u64,
    too_large: u64,
    full: u64,
    pub(crate) unsplit: u64,
    pub(crate) torn: Vec<SetAside>,
    set_aside: Vec<SetAside>,
    set_aside_total: u64,
}

impl Counters {
    pub(crate) fn note(&mut self, damage: SetAside) {
        // A damaged part is met by every search; it is one damage.
        if self.set_aside.contains(&damage) {
            return;
        }
        self.set_aside_total += 1;
        if self.set_aside.len() < SET_ASIDE_MAX {
            self.set_aside.push(damage);
        }
    }
}

pub(crate) struct Log {
    pub(crate) wal: Wal,
    pub(crate) durable: u64,
}

/// A line's shape and parameters.
struct Split {
    shape: Arc<Shape>,
    params: Range<usize>,
}

impl LogStore {
    /// Takes a batch: searches and tails see it at once, a crash may still lose it until [`Self::commit`].
    ///
    /// # Errors
    /// [`LogStoreError::Full`] when too much waits for a disk that does not take it or for a segment. Nothing of the
    /// batch is stored then.
    pub fn append(&self, batch: &LogBatch) -> Result<LogTicket, LogStoreError> {
        self.append_seen(batch, &mut |_, _, _| {})
    }

    /// As [`Self::append`]; `seen` gets every line as it was split, for those who look for what is new.
    ///
    /// # Errors
    /// As [`Self::append`]; nothing was handed to `seen` then.
    pub fn append_seen(&self, batch: &LogBatch, seen: &mut Seen<'_>) -> Result<LogTicket, LogStoreError> {
        let size = batch.size();
        self.check_room(batch, size)?;
        if batch.is_empty() {
            return Ok(LogTicket(self.state().last_ticket));
        }
        let mut ranges: Vec<Range<u32>> = Vec::new();
        let (splits, unsplit) = self.split(batch, &mut ranges, seen);
        let mut bytes = 0;
        let ticket = {
            let mut state = self.state_mut();
            let mut splits = splits.iter();
            batch.for_each(|line| {
                if let Some(split) = splits.next() {
                    let params = ranges.get(split.params.clone()).unwrap_or_default();
                    state.head.push(line, &split.shape, params);
                    bytes += line.text.len() as u64;
                }
            });
            state.pending.push(batch.clone());
            state.pending_bytes += size;
            state.last_ticket += 1;
            state.counters.appended += batch.len() as u64;
            state.counters.appended_bytes += bytes;
            state.counters.too_large += batch.refused();
            state.counters.unsplit += unsplit;
            LogTicket(state.last_ticket)
        };
        let tails = self.tails.active();
        if !tails.is_empty() {
            let mut splits = splits.iter();
            batch.for_each(|line| {
                if let Some(split) = splits.next() {
                    tails.iter().for_each(|tail| self.tails.offer(tail, line, split.shape.template));
                }
            });
        }
        Ok(ticket)
    }

    fn split(
        &self,
        batch: &LogBatch,
        ranges: &mut Vec<Range<u32>>,
        seen: &mut Seen<'_>,
    ) -> (Vec<Split>, u64) {
        let mut miner = self.miner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut splits = Vec::with_capacity(batch.len());
        let mut unsplit = 0;
        let mut params = Vec::new();
        batch.for_each(|line| {
            let (shape, is_right) = split_line(miner.as_mut(), line.text, &mut params);
            unsplit += u64::from(!is_right);
            let start = ranges.len();
            ranges.append(&mut params.clone());
            seen(line, &shape, &params);
            splits.push(Split { shape, params: start..ranges.len() });
        });
        (splits, unsplit)
    }

    fn check_room(&self, batch: &LogBatch, size: usize) -> Result<(), LogStoreError> {
        let mut state = self.state_mut();
        let frozen = state.frozen.as_ref().map_or(0, |f| f.memory);
        let what = if state.pending_bytes + size > self.config.pending_bytes_max {
            "too many lines wait for the disk"
        } else if state.head.memory() + frozen + size > self.config.head_bytes_max {
            "too many lines in memory wait to become a segment"
        } else if state.notes + batch.notes().len() > NOTES_MAX && !batch.notes().is_empty() {
            return Err(LogStoreError::TooLarge {
                what: "number of notes",
                got: state.notes + batch.notes().len(),
                limit: NOTES_MAX,
            });
        } else {
            return Ok(());
        };
        state.counters.full += batch.len() as u64;
        Err(LogStoreError::Full { what: what.to_owned(), source: None })
    }

    /// Makes everything appended so far durable. Returns the last ticket that is.
    ///
    /// # Errors
    /// [`LogStoreError::Full`] or [`LogStoreError::Io`]. Nothing is lost then: the lines stay visible, wait in
    /// memory, and the next call tries again in a new file.
    pub fn commit(&self) -> Result<LogTicket, LogStoreError> {
        self.commit_log(&mut self.log())
    }

    /// Takes a batch and returns when it is on disk. Callers that come at the same time share one sync.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::commit`]. After an error of the latter the batch is visible and may become
    /// durable later: giving it again would give it twice.
    pub fn append_durable(&self, batch: &LogBatch) -> Result<LogTicket, LogStoreError> {
        let ticket = self.append(batch)?;
        self.wait_durable(ticket)?;
        Ok(ticket)
    }

    /// Returns when an append is on disk.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn wait_durable(&self, ticket: LogTicket) -> Result<(), LogStoreError> {
        let mut log = self.log();
        if log.durable >= ticket.0 {
            return Ok(());
        }
        self.commit_log(&mut log).map(|_| ())
    }

    pub(crate) fn commit_log(&self, log: &mut Log) -> Result<LogTicket, LogStoreError> {
        let (batches, last) = {
            let mut state = self.state_mut();
            (std::mem::take(&mut state.pending), state.last_ticket)
        };
        let result = log.wal.commit(batches);
        {
            let mut state = self.state_mut();
            let waiting: usize = state.pending.iter().map(LogBatch::size).sum();
            state.pending_bytes = waiting + log.wal.unwritten_bytes();
            state.notes = log.wal.notes.len();
        }
        result?;
        log.durable = last;
        Ok(LogTicket(last))
    }

    /// A durable note: the value that the last committed batch gave for the key.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<Vec<u8>> {
        self.log().wal.notes.get(key).cloned()
    }

    /// All durable notes whose key begins with `prefix`, in order of their keys.
    #[must_use]
    pub fn notes(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let log = self.log();
        let found = log.wal.notes.range(prefix.to_owned()..);
        found.take_while(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// What the store knows about itself. Asks the disk for the log's size.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let files = self.disk.list(wal::DIR).unwrap_or_default();
        let wal_bytes = files.iter().filter_map(|f| self.disk.len(&format!("{}/{f}", wal::DIR)).ok()).sum();
        let state = self.state();
        let frozen = state.frozen.as_deref();
        let heads = frozen.and_then(|f| f.range).into_iter().chain(state.head.range);
        let ranges = heads.chain(state.segments.iter().map(|s| (s.header.min, s.header.max)));
        let counters = &state.counters;
        LogStats {
            head_lines: frozen.map_or(0, |f| f.pieces.iter().map(|p| p.rows.len()).sum())
                + state.head.lines(),
            head_bytes: frozen.map_or(0, |f| f.memory) + state.head.memory(),
            pending_bytes: state.pending_bytes,
            segments: state.segments.len(),
            segment_lines: state.segments.iter().map(|s| s.header.rows).sum(),
            segment_bytes: state.segments.iter().map(|s| s.bytes).sum(),
            wal_bytes,
            range_ns: ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
            appended_total: counters.appended,
            appended_bytes_total: counters.appended_bytes,
            too_large_total: counters.too_large,
            full_total: counters.full,
            tail_dropped_total: self.tails.dropped(),
            unsplit_total: counters.unsplit,
            set_aside: counters.set_aside.clone(),
            set_aside_total: counters.set_aside_total,
            torn: counters.torn.clone(),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Splits a line. The store trusts no miner: what would not give back the line, byte for byte, is kept as one
/// parameter of the same template. Gives whether the miner was right.
pub(crate) fn split_line(
    miner: &mut (dyn TemplateMiner + Send),
    text: &[u8],
    params: &mut Vec<Range<u32>>,
) -> (Arc<Shape>, bool) {
    let shape = miner.split(text, params);
    if gives_back(&shape, text, params) {
        return (shape, true);
    }
    params.clear();
    params.push(0..text.len() as u32);
    let unsplit = Shape {
        template: shape.template,
        literals: vec![Box::default(), Box::default()],
        kinds: vec![ParamKind::Text],
    };
    (Arc::new(unsplit), false)
}

fn gives_back(shape: &Shape, text: &[u8], params: &[Range<u32>]) -> bool {
    if shape.literals.len() != params.len() + 1 || shape.kinds.len() != params.len() {
        return false;
    }
    let mut at = 0;
    for (literal, param) in shape.literals.iter().zip(params) {
        if text.get(at..param.start as usize) != Some(literal) || param.end < param.start {
            return false;
        }
        at = param.end as usize;
    }
    text.get(at..) == shape.literals.last().map(AsRef::as_ref)
}
