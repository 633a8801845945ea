//! Upkeep: the head becomes a block, its log goes, old blocks go.
//!
//! A block takes the whole head, whatever the times in it: blocks may overlap, queries join them. So a clock that
//! steps by a day makes one block with a wide range, not a store that refuses samples. The order is always: block
//! durable under its name, only then its log segments removed; a crash in between leaves both, and the block says
//! which segments it covers.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use wellkept_model::TimestampMs;

use crate::block::{self, OpenError};
use crate::block_format::Header;
use crate::block_write::BlockWriter;
use crate::column::{COLUMN_MAX, Effort};
use crate::error::StoreError;
use crate::frozen::{FrozenColumns, histograms_of};
use crate::head::{Frozen, Head};
use crate::open::quarantine;
use crate::store::Store;
use crate::wal::{self, segment_name, segment_number};

/// A step of the clock from one call to the next that is not believed at once, milliseconds.
const STEP_MS: i64 = 3_600_000;

/// How long nothing is removed after such a step, milliseconds: a clock that was set a day ahead by mistake is
/// found by then.
const STEP_HOLD_MS: i64 = 25 * 3_600_000;

/// What one upkeep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// File of the block that was written.
    pub written: Option<String>,
    /// Files of the blocks that were removed for their age.
    pub removed: Vec<String>,
    /// File of the block that took the place of several, or of one of which a part had expired; the empty text when
    /// nothing of them was left.
    pub merged: Option<String>,
    /// Files with the consolidated rows of a day.
    pub consolidated: Vec<String>,
    /// True when removal waits because the clock stepped.
    pub held: bool,
}

/// What upkeep remembers from call to call.
#[derive(Debug)]
pub(crate) struct Upkeep {
    next_block: u64,
    last_now: Option<i64>,
    hold_until: i64,
    /// When the present head began.
    head_since: Option<i64>,
    /// Last log segment that the frozen head covers.
    frozen_covers: u64,
    /// Since when the head is empty.
    empty_since: Option<i64>,
    /// Blocks and rules of retention that were compared already.
    looked_at: HashSet<(u64, usize)>,
}

impl Upkeep {
    /// `newest`: latest time in the store; `oldest_in_head`: where the head that was read from the log begins.
    pub(crate) fn new(next_block: u64, newest: Option<i64>, oldest_in_head: Option<i64>) -> Self {
        let head_since = oldest_in_head;
        Self {
            next_block,
            last_now: newest,
            hold_until: i64::MIN,
            head_since,
            frozen_covers: 0,
            empty_since: None,
            looked_at: HashSet::new(),
        }
    }

    /// A number for a new block. A failed attempt may leave its file, so a number is never used again.
    pub(crate) fn take_number(&mut self) -> u64 {
        self.next_block += 1;
        self.next_block - 1
    }

    /// Whether old blocks may go at `now`.
    fn may_remove(&mut self, now: i64) -> bool {
        if self.last_now.is_some_and(|last| now.saturating_sub(last) > STEP_MS) {
            self.hold_until = now.saturating_add(STEP_HOLD_MS);
        }
        self.last_now = Some(now);
        now >= self.hold_until
    }

    fn is_due(&mut self, now: i64, head: &Head, span: i64) -> bool {
        if head.samples == 0 {
            self.head_since = None;
            return false;
        }
        // A clock that stepped back begins to count anew.
        let since = self.head_since.map_or(now, |s| s.min(now));
        self.head_since = Some(since);
        now.saturating_sub(since) >= span
    }
}

impl Store {
    /// To be called now and then, once a minute say: writes a block when the head covers a block's span, removes
    /// what is older than the retention. Takes some milliseconds, or about a second when a block is due; appends
    /// and queries go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] of the disk. Nothing is lost then; the next call tries again.
    pub fn maintain(&self, now: TimestampMs) -> Result<Maintained, StoreError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let span = i64::try_from(self.config.block_span.as_millis()).unwrap_or(i64::MAX);
        let mut done = Maintained::default();
        let (due, many) = {
            let state = self.state();
            let many = state.head.samples > self.config.head_samples_max / 2
                || state.head.most_rows() > COLUMN_MAX / 2;
            (upkeep.is_due(now.0, &state.head, span) || state.frozen.is_some(), many)
        };
        if due || many {
            done.written = self.cut(&mut upkeep, Effort::Quick)?;
        }
        self.forget_idle(&mut upkeep, now.0, span);
        done.held = !upkeep.may_remove(now.0);
        // One of each a call, so that a call stays short; what is left over is done by the next ones.
        done.merged = self.merge_once(&mut upkeep, (!done.held).then_some(now), false)?;
        if !done.held {
            done.consolidated = self.consolidate_once(&mut upkeep, now)?;
            if done.merged.is_none() {
                let mut looked_at = std::mem::take(&mut upkeep.looked_at);
                let trimmed = self.trim_once(&mut upkeep, &mut looked_at, now);
                upkeep.looked_at = looked_at;
                done.merged = trimmed?;
            }
            done.removed = self.remove_old(now)?;
        }
        Ok(done)
    }

    /// Makes a block of the head now, whatever its span, and gives the file's name; `None` when it is empty.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub fn write_block(&self) -> Result<Option<String>, StoreError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.cut(&mut upkeep, Effort::Best)
    }

    /// Brings everything to its final form on disk: the head becomes a block, blocks are merged as far as they will be,
    /// the log is emptied. Takes seconds for some ten million samples.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub fn flush_all(&self) -> Result<(), StoreError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        // A head that was set aside by an attempt that failed comes first.
        while self.cut(&mut upkeep, Effort::Best)?.is_some() {
            if self.state().head.samples == 0 {
                break;
            }
        }
        while self.merge_once(&mut upkeep, None, true)?.is_some() {}
        Ok(())
    }

    pub(crate) fn cut(&self, upkeep: &mut Upkeep, effort: Effort) -> Result<Option<String>, StoreError> {
        let Some(frozen) = self.freeze(upkeep)? else { return Ok(None) };
        let number = upkeep.take_number();
        let Some((min, max)) = frozen.range else { return Ok(None) };
        let covers = upkeep.frozen_covers;
        let header = Header { number, min, max, covers, precedence: number, resolution: 0 };
        let name = self.write_frozen(header, &frozen, effort)?;
        let loaded = self.load_written(&name, number, (min, max))?;
        {
            let mut state = self.state_mut();
            let state = &mut *state;
            let block = loaded.register(&mut state.registry);
            state.add_block(Arc::new(block));
            state.frozen = None;
        }
        self.remove_segments(upkeep.frozen_covers)?;
        Ok(Some(name))
    }

    fn write_frozen(&self, header: Header, frozen: &Frozen, effort: Effort) -> Result<String, StoreError> {
        let mut writer = BlockWriter::begin(self.disk.as_ref(), header, effort)?;
        let mut write = || {
            for group in frozen.groups.iter().flatten() {
                writer.floats(&mut FrozenColumns::new(group)?)?;
            }
            for group in frozen.groups.iter().flatten() {
                writer.histograms(&group.def.target, histograms_of(group))?;
            }
            Ok(())
        };
        match write() {
            Ok(()) => writer.finish(Vec::new()),
            Err(e) => {
                writer.abandon();
                Err(e)
            }
        }
    }

    /// Opens a block that was just written.
    pub(crate) fn load_written(
        &self,
        name: &str,
        number: u64,
        range: (i64, i64),
    ) -> Result<block::Loaded, StoreError> {
        match block::load(self.disk.as_ref(), name, number, range) {
            Ok(loaded) => Ok(loaded),
            Err(OpenError::Refused(e)) => Err(e),
            Err(OpenError::Damaged(damage)) => {
                // Written and already bad: what it was made of stays, the file goes.
                let what = std::io::Error::other(damage.to_string());
                self.state_mut().counters.note(damage);
                quarantine(self.disk.as_ref(), name);
                Err(StoreError::io("read back", name)(what))
            }
        }
    }

    /// Sets the head aside for a block, with everything in it written to the log that the block covers.
    fn freeze(&self, upkeep: &mut Upkeep) -> Result<Option<Arc<Frozen>>, StoreError> {
        if let Some(frozen) = self.state().frozen.clone() {
            return Ok(Some(frozen));
        }
        let mut log = self.log();
        // Most of what waits is written before the locks are held together.
        self.commit_log(&mut log)?;
        let mut state = self.state_mut();
        if state.head.samples == 0 {
            return Ok(None);
        }
        // What came since the commit is in the frozen head and stays pending: it goes to the next segment, twice
        // on disk for a while and equal.
        let state = &mut *state;
        let frozen = Arc::new(state.head.freeze(&mut state.registry));
        state.frozen = Some(Arc::clone(&frozen));
        state.limits.renew();
        self.wires.retain(|group| state.head.has(group));
        log.wal.roll();
        upkeep.frozen_covers = log.wal.last_number();
        upkeep.head_since = None;
        Ok(Some(frozen))
    }

    /// Forgets the names of series when for a whole block's span none of them had a sample.
    fn forget_idle(&self, upkeep: &mut Upkeep, now: i64, span: i64) {
        let empty = {
            let state = self.state();
            state.head.samples == 0 && state.frozen.is_none()
        };
        let since = empty.then(|| upkeep.empty_since.map_or(now, |s| s.min(now)));
        upkeep.empty_since = since;
        if since.is_some_and(|s| now.saturating_sub(s) >= span) {
            let mut state = self.state_mut();
            let state = &mut *state;
            if state.head.samples == 0 {
                state.head.forget_all(&mut state.registry);
                self.wires.retain(|group| state.head.has(group));
            }
        }
    }

    fn remove_segments(&self, covers: u64) -> Result<(), StoreError> {
        let damaged: Vec<String> = self.state().counters.damaged_files().map(str::to_owned).collect();
        for file in self.disk.list(wal::DIR).map_err(StoreError::io("list", wal::DIR))? {
            let Some(number) = segment_number(&file).filter(|&n| n <= covers) else { continue };
            let name = segment_name(number);
            if damaged.contains(&name) {
                quarantine(self.disk.as_ref(), &name);
            } else {
                self.disk.remove(&name).map_err(StoreError::io("remove", &name))?;
            }
        }
        self.disk.sync_dir(wal::DIR).map_err(StoreError::io("sync folder", wal::DIR))
    }
}
