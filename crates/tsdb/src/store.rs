//! The store: takes batches, makes them durable, keeps what is known about itself.
//!
//! Two locks. `state` is held for moments only: append puts a batch into the head, a query takes what it needs to
//! read later. `log` is held while the disk syncs. Whoever waits for it finds its batch already durable as often
//! as not: that is the group commit, without a thread or a timer of our own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use wellkept_model::{Batch, TimestampMs};

use crate::block::SharedBlock;
use crate::disk::{Disk, DiskLock};
use crate::error::{Quarantined, StoreError};
use crate::head::{Head, Prepared};
use crate::registry::Registry;
use crate::wal::Wal;
use crate::wal_record::GROUP_SERIES_MAX;

/// Most damaged stretches that are remembered by name; further ones are counted only.
const QUARANTINED_MAX: usize = 1000;

/// Most bytes of one label name or value, as generous as Prometheus' own wire limits allow.
const LABEL_BYTES_MAX: usize = 64 << 10;

/// What can be set. The default is meant for one host up to some thousand series.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// How much time is gathered in the head before it becomes a block.
    pub block_span: Duration,
    /// How long samples are kept, by their own time.
    pub retention: Duration,
    /// How much older than the newest batch of its target a batch may be. The default of 25 h lets a clock that
    /// was a day ahead come back without loss.
    pub out_of_order: Duration,
    /// Length at which a log segment is ended, bytes.
    pub segment_bytes: u64,
    /// Samples that may wait in memory for a disk that does not take them.
    pub pending_max: usize,
    /// Samples in the head beyond which nothing is taken until a block could be written.
    pub head_samples_max: usize,
    /// Whether every column of every block is checked at start, or only when it is read.
    pub verify_on_open: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            block_span: Duration::from_secs(2 * 3600),
            retention: Duration::from_secs(15 * 86_400),
            out_of_order: Duration::from_secs(25 * 3600),
            segment_bytes: 16 << 20,
            pending_max: 1 << 20,
            head_samples_max: 100_000_000,
            verify_on_open: true,
        }
    }
}

/// Names an append; tickets rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppendTicket(u64);

/// What the store knows about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series in head and blocks.
    pub series: usize,
    /// Samples in the head, overwritten ones included.
    pub head_samples: usize,
    /// Memory of the head's samples, bytes.
    pub head_bytes: usize,
    /// Samples that are in memory only.
    pub pending_samples: usize,
    /// Samples in blocks.
    pub block_samples: u64,
    /// Blocks.
    pub blocks: usize,
    /// Log segments.
    pub segments: usize,
    /// Bytes of blocks on disk.
    pub block_bytes: u64,
    /// Bytes of log segments on disk.
    pub log_bytes: u64,
    /// Earliest and latest time of any sample.
    pub range: Option<(TimestampMs, TimestampMs)>,
    /// Samples taken since the start.
    pub appended_total: u64,
    /// Samples refused because their batch was out of order.
    pub out_of_order_total: u64,
    /// Samples refused because there was no room.
    pub full_total: u64,
    /// Damage found since the start; the first thousand by name.
    pub quarantined: Vec<Quarantined>,
    /// How many were found in all.
    pub quarantined_total: u64,
    /// Log ends that were cut at start because a write had not been finished.
    pub torn: Vec<Quarantined>,
}

/// An open data directory. Shared by reference between threads; dropping it without [`Store::commit`] loses only
/// what was not acknowledged.
pub struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: StoreConfig,
    pub(crate) state: RwLock<State>,
    pub(crate) log: Mutex<Log>,
    /// Held by the one caller that makes blocks.
    pub(crate) upkeep: Mutex<crate::maintain::Upkeep>,
    pub(crate) _lock: DiskLock,
}

/// What readers and writers share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) head: Head,
    /// The head before this one, while it becomes a block.
    pub(crate) frozen: Option<Arc<Head>>,
    /// In order of their numbers; where times are equal, the later one holds.
    pub(crate) blocks: Vec<SharedBlock>,
    pub(crate) pending: Vec<Prepared>,
    pub(crate) pending_samples: usize,
    pub(crate) last_ticket: u64,
    pub(crate) counters: Counters,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    appended: u64,
    out_of_order: u64,
    full: u64,
    pub(crate) torn: Vec<Quarantined>,
    quarantined: Vec<Quarantined>,
    quarantined_total: u64,
}

impl Counters {
    pub(crate) fn note(&mut self, damage: Quarantined) {
        self.quarantined_total += 1;
        if self.quarantined.len() < QUARANTINED_MAX {
            self.quarantined.push(damage);
        }
    }

    pub(crate) fn damaged_files(&self) -> impl Iterator<Item = &str> {
        self.quarantined.iter().map(|q| q.file.as_str())
    }
}

pub(crate) struct Log {
    pub(crate) wal: Wal,
    pub(crate) durable: u64,
}

impl Store {
    /// Takes a batch: queries see it at once, a crash may still lose it until [`Self::commit`].
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`], [`StoreError::TooLarge`], and [`StoreError::Full`] when too much waits for a
    /// disk that does not take it. The batch is not stored then.
    pub fn append(&self, batch: &Batch) -> Result<AppendTicket, StoreError> {
        check_size(batch)?;
        let mut state = self.state_mut();
        let state = &mut *state;
        let result = self.take(state, batch);
        let samples = batch.samples.len() as u64;
        match &result {
            Ok(_) => state.counters.appended += samples,
            Err(StoreError::OutOfOrder { .. }) => state.counters.out_of_order += samples,
            Err(e) if e.is_full() => state.counters.full += samples,
            Err(_) => {}
        }
        result
    }

    fn take(&self, state: &mut State, batch: &Batch) -> Result<AppendTicket, StoreError> {
        if state.pending_samples + batch.samples.len() > self.config.pending_max {
            return Err(full("too many samples wait for the disk"));
        }
        if state.head.samples + batch.samples.len() > self.config.head_samples_max {
            return Err(full("too many samples in memory wait to become a block"));
        }
        if batch.samples.is_empty() {
            return Ok(AppendTicket(state.last_ticket));
        }
        let window = i64::try_from(self.config.out_of_order.as_millis()).unwrap_or(i64::MAX);
        let prepared = state.head.insert(&mut state.registry, batch, window)?;
        state.pending_samples += prepared.values.len();
        state.pending.push(prepared);
        state.last_ticket += 1;
        Ok(AppendTicket(state.last_ticket))
    }

    /// Makes everything appended so far durable. Returns the last ticket that is.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`]. Nothing is lost then: the samples stay visible, wait in memory,
    /// and the next call tries again in a new file.
    pub fn commit(&self) -> Result<AppendTicket, StoreError> {
        self.commit_log(&mut self.log())
    }

    /// Takes a batch and returns when it is on disk. Callers that come at the same time share one sync.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::commit`]. After an error of the latter the batch may be visible and may
    /// become durable later; taking it again changes nothing.
    pub fn append_durable(&self, batch: &Batch) -> Result<AppendTicket, StoreError> {
        let ticket = self.append(batch)?;
        let mut log = self.log();
        if log.durable >= ticket.0 {
            return Ok(ticket);
        }
        self.commit_log(&mut log)?;
        Ok(ticket)
    }

    pub(crate) fn commit_log(&self, log: &mut Log) -> Result<AppendTicket, StoreError> {
        let (batches, last) = {
            let mut state = self.state_mut();
            (std::mem::take(&mut state.pending), state.last_ticket)
        };
        let result = log.wal.commit(batches);
        self.state_mut().after_commit(log);
        result?;
        log.durable = last;
        Ok(AppendTicket(last))
    }

    /// What the store knows about itself. Asks the disk for the log's size.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (segments, log_bytes) = self.log_size();
        let state = self.state();
        let heads = || state.frozen.as_deref().into_iter().chain([&state.head]);
        let ranges =
            heads().filter_map(|h| h.range).chain(state.blocks.iter().map(|b| (b.header.min, b.header.max)));
        let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Stats {
            series: state.registry.len(),
            head_samples: heads().map(|h| h.samples).sum(),
            head_bytes: heads().map(Head::memory).sum(),
            pending_samples: state.pending_samples,
            block_samples: state.blocks.iter().map(|b| b.samples()).sum(),
            blocks: state.blocks.len(),
            segments,
            block_bytes: state.blocks.iter().map(|b| b.bytes).sum(),
            log_bytes,
            range: range.map(|(a, b)| (TimestampMs(a), TimestampMs(b))),
            appended_total: state.counters.appended,
            out_of_order_total: state.counters.out_of_order,
            full_total: state.counters.full,
            quarantined: state.counters.quarantined.clone(),
            quarantined_total: state.counters.quarantined_total,
            torn: state.counters.torn.clone(),
        }
    }

    fn log_size(&self) -> (usize, u64) {
        let files = self.disk.list(crate::wal::DIR).unwrap_or_default();
        let numbers = files.iter().filter_map(|f| crate::wal::segment_number(f));
        let lens: Vec<u64> =
            numbers.filter_map(|n| self.disk.len(&crate::wal::segment_name(n)).ok()).collect();
        (lens.len(), lens.iter().sum())
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

impl State {
    /// What waits now: what the log could not write, and what came meanwhile.
    pub(crate) fn after_commit(&mut self, log: &Log) {
        let new: usize = self.pending.iter().map(|p| p.values.len()).sum();
        self.pending_samples = new + log.wal.unwritten_samples();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("config", &self.config).finish_non_exhaustive()
    }
}

fn full(what: &str) -> StoreError {
    StoreError::Full { what: what.to_owned(), source: None }
}

fn check_size(batch: &Batch) -> Result<(), StoreError> {
    let got = batch.samples.len();
    if got > GROUP_SERIES_MAX {
        return Err(StoreError::TooLarge {
            what: "number of samples in one batch",
            got,
            limit: GROUP_SERIES_MAX,
        });
    }
    let labels = batch.samples.iter().map(|s| &s.0).chain([&batch.target]);
    let longest = labels.flat_map(|l| l.iter()).map(|(n, v)| n.len().max(v.len())).max().unwrap_or(0);
    if longest > LABEL_BYTES_MAX {
        let limit = LABEL_BYTES_MAX;
        return Err(StoreError::TooLarge { what: "length of a label in bytes", got: longest, limit });
    }
    Ok(())
}
