//! Upkeep: lines in memory become segments, old ones go.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use wellkept_model::Labels;

use crate::error::{LogStoreError, SetAside};
use crate::head::{Head, Piece};
use crate::segment::{self, Segment, segment_name};
use crate::segment_write::{Birth, build};
use crate::store::{Frozen, LogStore};
use crate::wal::{self, file_name, file_number};

/// A step of the clock between two calls beyond which it is not trusted, nanoseconds: one hour.
const STEP_MAX_NS: i64 = 3600 * 1_000_000_000;

/// How long nothing is removed after such a step, nanoseconds: 25 hours, so that a clock set wrong by a day deletes
/// nothing.
const HOLD_NS: i64 = 25 * STEP_MAX_NS;

/// A segment is written anew without its expired lines when they are at least one in so many.
const REWRITE_SHARE: u64 = 8;

/// What the one caller that maintains remembers.
#[derive(Debug)]
pub(crate) struct Upkeep {
    next_segment: u64,
    last_now: Option<i64>,
    hold_until: Option<i64>,
    /// When the head was first seen with a line in it.
    head_since: Option<i64>,
    /// Files of writes that failed. They may hold whole segments: they must be gone for good before their lines are
    /// written again, or a crash would bring them back as doubles.
    leftovers: Vec<String>,
}

impl Upkeep {
    /// `last_now`: when the newest segment was made, so that a clock that is wrong from the start is not trusted either.
    pub(crate) fn new(next_segment: u64, last_now: Option<i64>) -> Self {
        Self { next_segment, last_now, hold_until: None, head_since: None, leftovers: Vec::new() }
    }

    /// Whether the clock may be trusted with removing things.
    fn may_remove(&mut self, now: i64) -> bool {
        let step = self.last_now.map_or(0, |last| now.saturating_sub(last).saturating_abs());
        self.last_now = Some(now);
        if step > STEP_MAX_NS {
            self.hold_until = Some(now.saturating_add(HOLD_NS));
        }
        // Held by a clock that was ahead: it steps back, and the hold is counted anew.
        self.hold_until.is_none_or(|until| now >= until)
    }
}

/// What one call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Lines that became a segment.
    pub written_lines: u64,
    /// Segments that were removed, or written anew without what had expired.
    pub removed_segments: usize,
    /// Lines that went with them.
    pub removed_lines: u64,
}

impl LogStore {
    /// Does what is due: a segment when enough lines wait or wait long enough, retention. `now_ns`: nanoseconds since
    /// the epoch. To be called about every ten seconds by one caller; others wait for it.
    ///
    /// # Errors
    /// The disk's. Nothing is lost then and the next call tries again.
    pub fn maintain(&self, now_ns: i64) -> Result<Maintained, LogStoreError> {
        self.maintain_with(now_ns, &mut || Ok(()))
    }

    /// As [`Self::maintain`]. `before` is called when lines are about to leave the write-ahead log for a segment: after
    /// it, whatever the miner must remember of their ids has to be on disk, because they are never split again. Its
    /// error puts the segment off.
    ///
    /// # Errors
    /// As [`Self::maintain`], and those of `before`.
    pub fn maintain_with(
        &self,
        now_ns: i64,
        before: &mut dyn FnMut() -> std::io::Result<()>,
    ) -> Result<Maintained, LogStoreError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Maintained::default();
        if self.is_due(&mut upkeep, now_ns) {
            done.written_lines = self.flush_with(&mut upkeep, now_ns, before)?;
        }
        if upkeep.may_remove(now_ns) {
            self.expire(&mut upkeep, now_ns, &mut done)?;
        }
        self.shrink(&mut done)?;
        Ok(done)
    }

    /// Makes a segment of all lines in memory now. Gives how many there were.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub fn flush(&self, now_ns: i64) -> Result<u64, LogStoreError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_with(&mut upkeep, now_ns, &mut || Ok(()))
    }

    fn is_due(&self, upkeep: &mut Upkeep, now: i64) -> bool {
        let state = self.state();
        if state.frozen.is_some() {
            return true;
        }
        if state.head.lines() == 0 {
            upkeep.head_since = None;
            return false;
        }
        let since = *upkeep.head_since.get_or_insert(now);
        if now < since {
            upkeep.head_since = Some(now);
        }
        state.head.memory() >= self.config.segment_bytes
            || now.saturating_sub(since) >= nanos(self.config.segment_age)
    }

    fn flush_with(
        &self,
        upkeep: &mut Upkeep,
        now: i64,
        before: &mut dyn FnMut() -> std::io::Result<()>,
    ) -> Result<u64, LogStoreError> {
        let mut written = 0;
        // A head that could not be written before goes first.
        while let Some(frozen) = self.freeze()? {
            before().map_err(LogStoreError::io("remember templates of", segment::DIR))?;
            let birth = Birth { number: upkeep.next_segment, covers: frozen.covers, made: now, replaces: 0 };
            upkeep.next_segment += 1;
            let segment = Arc::new(self.write_segment(upkeep, &frozen.pieces, birth)?);
            written += segment.header.rows;
            {
                let mut state = self.state_mut();
                state.segments.push(segment);
                state.frozen = None;
            }
            self.remove_log(frozen.covers)?;
            upkeep.head_since = None;
        }
        Ok(written)
    }

    /// Begins a new head and a new file of the log; gives the lines that are to become a segment.
    fn freeze(&self) -> Result<Option<Arc<Frozen>>, LogStoreError> {
        if let Some(frozen) = self.state().frozen.clone() {
            return Ok(Some(frozen));
        }
        let mut log = self.log();
        if self.state().head.lines() == 0 {
            return Ok(None);
        }
        // Under the state's lock nothing can come between the commit and the new head.
        self.commit_log(&mut log)?;
        let mut state = self.state_mut();
        let pending = std::mem::take(&mut state.pending);
        let last = state.last_ticket;
        if !pending.is_empty() {
            log.wal.commit(pending)?;
            log.durable = last;
            state.pending_bytes = log.wal.unwritten_bytes();
        }
        let covers = log.wal.roll()?;
        let head = std::mem::take(&mut state.head);
        let frozen =
            Arc::new(Frozen { pieces: head.snapshot(), covers, memory: head.memory(), range: head.range });
        state.frozen = Some(Arc::clone(&frozen));
        Ok(Some(frozen))
    }

    /// Builds a segment and makes it durable under its name.
    fn write_segment(
        &self,
        upkeep: &mut Upkeep,
        pieces: &[Arc<Piece>],
        birth: Birth,
    ) -> Result<Segment, LogStoreError> {
        self.remove_leftovers(upkeep)?;
        let temporary = format!("{}/{:010}.tmp", segment::DIR, birth.number);
        let (header, bytes) = build(pieces, birth).map_err(LogStoreError::io("pack", &temporary))?;
        let name = segment_name(&header);
        let write = || {
            let mut file = self.disk.create(&temporary).map_err(LogStoreError::io("create", &temporary))?;
            file.append(&bytes).map_err(LogStoreError::io("write", &temporary))?;
            file.sync().map_err(LogStoreError::io("sync", &temporary))?;
            self.disk.rename(&temporary, &name).map_err(LogStoreError::io("rename", &temporary))?;
            self.disk.sync_dir(segment::DIR).map_err(LogStoreError::io("sync folder", segment::DIR))?;
            Segment::open(self.disk.as_ref(), &name, header.number)
                .map_err(|e| LogStoreError::io("read", &name)(std::io::Error::other(e)))
        };
        write().inspect_err(|_| upkeep.leftovers.extend([temporary.clone(), name.clone()]))
    }

    fn remove_leftovers(&self, upkeep: &mut Upkeep) -> Result<(), LogStoreError> {
        for name in &upkeep.leftovers {
            match self.disk.remove(name) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(LogStoreError::io("remove", name)(e)),
            }
        }
        if !upkeep.leftovers.is_empty() {
            self.disk.sync_dir(segment::DIR).map_err(LogStoreError::io("sync folder", segment::DIR))?;
        }
        upkeep.leftovers.clear();
        Ok(())
    }

    fn remove_log(&self, covers: u64) -> Result<(), LogStoreError> {
        for file in self.disk.list(wal::DIR).map_err(LogStoreError::io("list", wal::DIR))? {
            if let Some(number) = file_number(&file).filter(|&n| n <= covers) {
                let name = file_name(number);
                self.disk.remove(&name).map_err(LogStoreError::io("remove", &name))?;
            }
        }
        // Before a segment expires, its log is gone for good: a crash must not bring the lines back.
        self.disk.sync_dir(wal::DIR).map_err(LogStoreError::io("sync folder", wal::DIR))
    }

    fn expire(&self, upkeep: &mut Upkeep, now: i64, done: &mut Maintained) -> Result<(), LogStoreError> {
        let segments = self.state().segments.clone();
        for segment in &segments {
            // By the earlier of the two: a clock in the future keeps nothing for ever.
            let age = now.saturating_sub(segment.header.max.min(segment.header.made));
            let shortest = self.config.rules.iter().map(|r| r.keep).chain([self.config.retention]).min();
            if age <= shortest.map_or(i64::MAX, nanos) {
                continue;
            }
            let is_kept = |labels: &Labels| age <= nanos(self.keep_for(labels));
            let Some(index) = self.index_or_set_aside(segment) else { continue };
            let kept_streams: Vec<bool> = index.streams.iter().map(is_kept).collect();
            let is_kept = |stream: u32| kept_streams.get(stream as usize).copied().unwrap_or(true);
            let gone: u64 =
                index.kinds.iter().filter(|k| !is_kept(k.stream)).map(|k| u64::from(k.rows)).sum();
            if gone == segment.header.rows {
                self.remove_segment(segment)?;
            } else if gone > 0 && gone >= segment.header.rows / REWRITE_SHARE {
                self.rewrite(segment, upkeep, &is_kept)?;
            } else {
                continue;
            }
            done.removed_segments += 1;
            done.removed_lines += gone;
        }
        Ok(())
    }

    /// Removes the oldest segments beyond the size that is allowed. No clock is asked.
    fn shrink(&self, done: &mut Maintained) -> Result<(), LogStoreError> {
        let mut segments = self.state().segments.clone();
        segments.sort_by_key(|s| (s.header.max.min(s.header.made), s.header.number));
        let mut bytes: u64 = segments.iter().map(|s| s.bytes).sum();
        for segment in segments {
            if bytes <= self.config.bytes_max {
                break;
            }
            bytes -= segment.bytes;
            self.remove_segment(&segment)?;
            done.removed_segments += 1;
            done.removed_lines += segment.header.rows;
        }
        Ok(())
    }

    /// How long lines of a stream are kept.
    fn keep_for(&self, labels: &Labels) -> Duration {
        let fits = |rule: &&crate::store::RetentionRule| {
            rule.matchers.iter().all(|m| m.matches(labels.get(m.name())))
        };
        self.config.rules.iter().find(fits).map_or(self.config.retention, |r| r.keep)
    }

    fn remove_segment(&self, segment: &Arc<Segment>) -> Result<(), LogStoreError> {
        self.disk.remove(&segment.name).map_err(LogStoreError::io("remove", &segment.name))?;
        self.forget(segment);
        Ok(())
    }

    fn forget(&self, segment: &Arc<Segment>) {
        self.state_mut().segments.retain(|s| !Arc::ptr_eq(s, segment));
        self.cache.forget(segment.header.number);
    }

    /// Writes a segment anew with only some of its streams.
    fn rewrite(
        &self,
        segment: &Arc<Segment>,
        upkeep: &mut Upkeep,
        is_kept: &dyn Fn(u32) -> bool,
    ) -> Result<(), LogStoreError> {
        let mut head = Head::default();
        if let Err(e) = self.read_whole(segment, is_kept, &mut head) {
            self.set_aside(segment, &e.to_string());
            return Ok(());
        }
        let birth = Birth {
            number: upkeep.next_segment,
            covers: segment.header.covers,
            made: segment.header.made,
            replaces: segment.header.number,
        };
        upkeep.next_segment += 1;
        let new = Arc::new(self.write_segment(upkeep, &head.snapshot(), birth)?);
        {
            let mut state = self.state_mut();
            state.segments.retain(|s| !Arc::ptr_eq(s, segment));
            state.segments.push(new);
        }
        self.cache.forget(segment.header.number);
        self.disk.remove(&segment.name).map_err(LogStoreError::io("remove", &segment.name))
    }

    /// Takes a damaged segment out of service, named with its time range.
    pub(crate) fn set_aside(&self, segment: &Arc<Segment>, what: &str) {
        let damage = SetAside {
            file: segment.name.clone(),
            offset: 0,
            len: segment.bytes,
            range_ns: Some((segment.header.min, segment.header.max)),
            what: what.to_owned(),
        };
        self.state_mut().counters.note(damage);
        self.forget(segment);
        crate::open::quarantine(self.disk.as_ref(), &segment.name);
    }
}

/// Nanoseconds, at most 292 years.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
