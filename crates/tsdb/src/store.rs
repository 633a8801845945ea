//! The store: takes batches, makes them durable, keeps what is known about itself.
//!
//! Two locks. `state` is held for moments only: append puts a batch into the head, a query takes what it needs to
//! read later. `log` is held while the disk syncs. Whoever waits for it finds its batch already durable as often
//! as not: that is the group commit, without a thread or a timer of our own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use wellkept_model::{Batch, TimestampMs};

use crate::appender::Refusals;
use crate::block::SharedBlock;
use crate::config::{Stats, StoreConfig};
use crate::disk::{Disk, DiskLock};
use crate::error::{Quarantined, StoreError};
use crate::head::{Frozen, Head, Refused};
use crate::limits::SeriesLimits;
use crate::registry::Registry;
use crate::row::{GroupDef, Prepared, Row, RowHistogram};
use crate::wal::Wal;
use crate::wal_record::GROUP_SERIES_MAX;
use crate::wire::Wires;

/// Most damaged stretches that are remembered by name; further ones are counted only.
const QUARANTINED_MAX: usize = 1000;

/// Most bytes of one label name or value, as generous as Prometheus' own wire limits allow.
pub(crate) const LABEL_BYTES_MAX: usize = 64 << 10;

/// Names an append; tickets rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppendTicket(u64);

/// An open data directory. Shared by reference between threads; dropping it without [`Store::commit`] loses only
/// what was not acknowledged.
pub struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: StoreConfig,
    pub(crate) state: RwLock<State>,
    pub(crate) log: Mutex<Log>,
    pub(crate) wires: Wires,
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
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// In order of their precedence; where times are equal, the later one holds.
    pub(crate) blocks: Vec<SharedBlock>,
    pub(crate) pending: Vec<Prepared>,
    pub(crate) pending_samples: usize,
    pub(crate) last_ticket: u64,
    pub(crate) counters: Counters,
    pub(crate) limits: SeriesLimits,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    appended: u64,
    out_of_order: u64,
    full: u64,
    invalid: u64,
    over_limit: u64,
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

    pub(crate) fn refuse(&mut self, refused: &Refusals) {
        self.out_of_order += refused.out_of_order;
        self.invalid += refused.invalid;
        self.over_limit += refused.over_limit;
        self.full += refused.too_many_times;
    }

    pub(crate) fn damaged_files(&self) -> impl Iterator<Item = &str> {
        self.quarantined.iter().map(|q| q.file.as_str())
    }
}

pub(crate) struct Log {
    pub(crate) wal: Wal,
    pub(crate) durable: u64,
}

/// What became of rows.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) ticket: AppendTicket,
    pub(crate) samples: u64,
    pub(crate) out_of_order: u64,
    pub(crate) too_many_times: u64,
    /// Why the last of those that were not taken was not.
    refused: Option<Refused>,
}

impl Store {
    /// Takes a batch: queries see it at once, a crash may still lose it until [`Self::commit`].
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`], [`StoreError::TooLarge`], and [`StoreError::Full`] when too much waits for a
    /// disk that does not take it. The batch is not stored then.
    pub fn append(&self, batch: &Batch) -> Result<AppendTicket, StoreError> {
        check_size(batch)?;
        if batch.samples.is_empty() && batch.histograms.is_empty() {
            return Ok(AppendTicket(self.state().last_ticket));
        }
        let row = self.resolve(batch);
        let taken = self.push(vec![row], self.config.clock_step)?;
        match taken.refused {
            None => Ok(taken.ticket),
            Some(Refused::OutOfOrder(oldest)) => {
                Err(StoreError::OutOfOrder { at: batch.at, oldest: TimestampMs(oldest) })
            }
            Some(Refused::TooManyRows(got)) => {
                let limit = crate::column::COLUMN_MAX;
                Err(StoreError::TooLarge { what: "number of distinct times in one target group", got, limit })
            }
        }
    }

    /// The row of a batch, with the slots of its target's group; series that are new to it are added.
    fn resolve(&self, batch: &Batch) -> Prepared {
        let mut cells = Vec::with_capacity(batch.samples.len());
        let mut histograms: Vec<RowHistogram> = Vec::with_capacity(batch.histograms.len());
        let found = {
            let state = self.state();
            let group = state.head.of_target(&batch.target).cloned();
            group.filter(|group| state.find_slots(group, batch, &mut cells, &mut histograms))
        };
        let group = found.unwrap_or_else(|| {
            let mut state = self.state_mut();
            let State { head, registry, .. } = &mut *state;
            let group = head.group_for(&batch.target);
            cells.clear();
            histograms.clear();
            for (labels, value) in &batch.samples {
                cells.push((head.slot_for(registry, &group, labels), *value));
            }
            for (labels, histogram) in &batch.histograms {
                histograms.push((head.slot_for(registry, &group, labels), Arc::clone(histogram)));
            }
            group
        });
        Prepared { group, row: Arc::new(Row::new(batch.at.0, cells, histograms)) }
    }

    /// Puts rows into the head and into the log's queue: all of them, or none when there is no room.
    pub(crate) fn push(&self, rows: Vec<Prepared>, window: Duration) -> Result<Taken, StoreError> {
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let samples: usize = rows.iter().map(|r| r.row.len()).sum();
        let mut taken = Taken::default();
        let mut full = Vec::new();
        {
            let mut state = self.state_mut();
            let state = &mut *state;
            if let Err(e) = self.check_room(state, samples) {
                state.counters.full += samples as u64;
                return Err(e);
            }
            for row in rows {
                let row = state.head.adopt(&mut state.registry, row);
                let n = row.row.len() as u64;
                match state.head.push(&row, window) {
                    Ok(wants_seal) => {
                        taken.samples += n;
                        full.extend(wants_seal.then_some(row.group.index));
                        state.pending.push(row);
                    }
                    Err(refused) => {
                        taken.refused = Some(refused);
                        match refused {
                            Refused::OutOfOrder(_) => taken.out_of_order += n,
                            Refused::TooManyRows(_) => taken.too_many_times += n,
                        }
                    }
                }
            }
            state.pending_samples += taken.samples as usize;
            state.counters.appended += taken.samples;
            state.counters.out_of_order += taken.out_of_order;
            state.counters.full += taken.too_many_times;
            if taken.samples > 0 {
                state.last_ticket += 1;
            }
            taken.ticket = AppendTicket(state.last_ticket);
        }
        full.into_iter().for_each(|group| self.seal(group));
        Ok(taken)
    }

    fn check_room(&self, state: &State, samples: usize) -> Result<(), StoreError> {
        if state.pending_samples + samples > self.config.pending_max {
            return Err(full("too many samples wait for the disk"));
        }
        if state.head.samples + samples > self.config.head_samples_max {
            return Err(full("too many samples in memory wait to become a block"));
        }
        Ok(())
    }

    /// Packs the rows of a group that has enough of them; the lock is only held before and after.
    fn seal(&self, group: u32) {
        let job = self.state_mut().head.begin_seal(group);
        if let Some((job, Some(chunk))) = job.map(crate::head::SealJob::run) {
            self.state_mut().head.end_seal(&job, chunk);
        }
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
        self.make_durable(ticket)?;
        Ok(ticket)
    }

    /// Returns when an append is on disk.
    pub(crate) fn make_durable(&self, ticket: AppendTicket) -> Result<(), StoreError> {
        let mut log = self.log();
        if log.durable >= ticket.0 {
            return Ok(());
        }
        self.commit_log(&mut log).map(|_| ())
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
        let frozen = state.frozen.as_deref();
        let heads = frozen.and_then(|f| f.range).into_iter().chain(state.head.range);
        let ranges = heads.chain(state.blocks.iter().map(|b| (b.header.min, b.header.max)));
        let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Stats {
            series: state.registry.len(),
            head_samples: frozen.map_or(0, |f| f.samples) + state.head.samples,
            head_chunks: state.head.groups().map(|g| g.chunks.len()).sum(),
            head_bytes: frozen.map_or(0, Frozen::memory) + state.head.memory(),
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
            invalid_total: state.counters.invalid,
            over_limit_total: state.counters.over_limit,
            limited: state.limits.limited(),
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
    /// Takes a block, at its place in the order of precedence.
    pub(crate) fn add_block(&mut self, block: SharedBlock) {
        let key = |b: &SharedBlock| (b.header.precedence, b.header.number);
        let place = self.blocks.partition_point(|b| key(b) <= key(&block));
        self.blocks.insert(place, block);
    }

    /// Finds the slots of a batch's series in a group; false when one is not there yet.
    fn find_slots(
        &self,
        group: &Arc<GroupDef>,
        batch: &Batch,
        cells: &mut Vec<(u32, f64)>,
        histograms: &mut Vec<RowHistogram>,
    ) -> bool {
        let known = group.labels();
        let mut next = 0_u32;
        let mut slot = |labels: &wellkept_model::Labels| {
            // A source gives its series in the same order every time.
            if known.get(next as usize) != Some(labels) {
                next = self.head.slot(&self.registry, self.registry.lookup(labels.packed())?, group.index)?;
            }
            next += 1;
            Some(next - 1)
        };
        for (labels, value) in &batch.samples {
            let Some(slot) = slot(labels) else { return false };
            cells.push((slot, *value));
        }
        for (labels, histogram) in &batch.histograms {
            let Some(slot) = slot(labels) else { return false };
            histograms.push((slot, Arc::clone(histogram)));
        }
        true
    }

    /// What waits now: what the log could not write, and what came meanwhile.
    pub(crate) fn after_commit(&mut self, log: &Log) {
        let new: usize = self.pending.iter().map(|p| p.row.len()).sum();
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
    let got = batch.samples.len() + batch.histograms.len();
    if got > GROUP_SERIES_MAX {
        return Err(StoreError::TooLarge {
            what: "number of samples in one batch",
            got,
            limit: GROUP_SERIES_MAX,
        });
    }
    let unsound = batch.histograms.iter().find(|h| !crate::histogram::is_sound(&h.1));
    if let Some((_, histogram)) = unsound {
        let (got, limit) = (histogram.positive.len(), crate::histogram::BUCKETS_MAX);
        return Err(StoreError::TooLarge {
            what: "number of buckets, or they do not fit the spans,",
            got,
            limit,
        });
    }
    let histograms = batch.histograms.iter().map(|h| &h.0);
    let labels = batch.samples.iter().map(|s| &s.0).chain(histograms).chain([&batch.target]);
    let longest = labels.flat_map(|l| l.iter()).map(|(n, v)| n.len().max(v.len())).max().unwrap_or(0);
    if longest > LABEL_BYTES_MAX {
        let limit = LABEL_BYTES_MAX;
        return Err(StoreError::TooLarge { what: "length of a label in bytes", got: longest, limit });
    }
    Ok(())
}
