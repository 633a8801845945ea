//! Queries: what a selection needs is noted under the lock, read and joined without it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use wellkept_model::{
    Labels, Matcher, Sample, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs,
};

use crate::block::{BlockError, SharedBlock};
use crate::cells::{self, Cell};
use crate::disk::Disk;
use crate::head::{Chunk, Head};
use crate::registry::SeriesId;
use crate::store::{State, Store};

/// Where some of a series' samples are.
enum Piece {
    Block(SharedBlock, usize),
    Chunk(Arc<Chunk>, u32),
    Open(Vec<Cell>),
}

/// A series that matches, with its pieces in order of writing.
struct Found {
    labels: Labels,
    pieces: Vec<Piece>,
}

impl SeriesSource for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let mut reading = Reading::new(self, from, to, limits);
        let mut out = Vec::new();
        for found in self.find(matchers, from, to) {
            let cells = reading.cells(found.pieces)?;
            if cells.is_empty() {
                continue;
            }
            reading.count(cells.len(), out.len() + 1)?;
            let samples = cells.into_iter().map(|(at, value)| Sample { at: TimestampMs(at), value });
            out.push(SeriesData::floats(found.labels, samples.collect()));
        }
        Ok(out)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        let mut reading = Reading::new(self, from, to, limits);
        let mut out = Vec::new();
        for found in self.find(matchers, from, to) {
            let sure = found.pieces.iter().any(|p| p.lies_within(from.0, to.0));
            if sure || !reading.cells(found.pieces)?.is_empty() {
                reading.count(0, out.len() + 1)?;
                out.push(found.labels);
            }
        }
        Ok(out)
    }
}

impl Store {
    /// Names of all labels that any stored series has, sorted.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        self.state().registry.label_names()
    }

    /// Values of one label over all stored series, sorted.
    #[must_use]
    pub fn label_values(&self, name: &str) -> Vec<String> {
        self.state().registry.label_values(name)
    }

    fn find(&self, matchers: &[Matcher], from: TimestampMs, to: TimestampMs) -> Vec<Found> {
        let state = self.state();
        let series = state.registry.find(matchers).into_iter();
        let found = series.map(|(labels, id)| Found { labels, pieces: state.pieces(id, from.0, to.0) });
        found.filter(|f| !f.pieces.is_empty()).collect()
    }
}

impl State {
    fn pieces(&self, id: SeriesId, from: i64, to: i64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for block in self.blocks.iter().filter(|b| b.overlaps(from, to)) {
            pieces.extend(block.places(id).map(|place| Piece::Block(Arc::clone(block), place)));
        }
        for head in self.frozen.as_deref().into_iter().chain([&self.head]) {
            head_pieces(head, id, from, to, &mut pieces);
        }
        pieces
    }
}

fn head_pieces(head: &Head, id: SeriesId, from: i64, to: i64, pieces: &mut Vec<Piece>) {
    for (group, slot) in head.places(id) {
        let chunks = group.chunks.iter().filter(|c| c.min <= to && c.max >= from && c.has(slot));
        pieces.extend(chunks.map(|c| Piece::Chunk(Arc::clone(c), slot)));
        let open = group.series.get(slot as usize).map(|s| s.open.as_slice()).unwrap_or_default();
        let inside = within(open, from, to);
        if !inside.is_empty() {
            pieces.push(Piece::Open(inside.to_vec()));
        }
    }
}

fn within(cells: &[Cell], from: i64, to: i64) -> &[Cell] {
    let first = cells.partition_point(|c| c.0 < from);
    let end = cells.partition_point(|c| c.0 <= to);
    cells.get(first..end).unwrap_or_default()
}

impl Piece {
    /// Whether it surely has a sample in the range, told without reading it.
    fn lies_within(&self, from: i64, to: i64) -> bool {
        match self {
            Self::Block(block, _) => from <= block.header.min && block.header.max <= to,
            Self::Chunk(chunk, _) => from <= chunk.min && chunk.max <= to,
            Self::Open(cells) => !cells.is_empty(),
        }
    }
}

type Times = Option<Arc<Vec<i64>>>;

/// One selection while it reads: its limits, and the times it has read already.
struct Reading<'a> {
    store: &'a Store,
    disk: &'a dyn Disk,
    range: (i64, i64),
    limits: SourceLimits,
    started: Instant,
    samples: usize,
    block_times: HashMap<(u64, u32), Times>,
    chunk_times: HashMap<usize, Times>,
}

impl<'a> Reading<'a> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a query's time limit is about elapsed time, not about any sample's"
    )]
    fn new(store: &'a Store, from: TimestampMs, to: TimestampMs, limits: &SourceLimits) -> Self {
        Self {
            store,
            disk: store.disk.as_ref(),
            range: (from.0, to.0),
            limits: *limits,
            started: Instant::now(),
            samples: 0,
            block_times: HashMap::new(),
            chunk_times: HashMap::new(),
        }
    }

    fn count(&mut self, samples: usize, series: usize) -> Result<(), SourceError> {
        self.samples += samples;
        if series > self.limits.series {
            return Err(SourceError::TooMuch { what: "series", limit: self.limits.series });
        }
        self.check_samples(0)
    }

    fn check_samples(&self, more: usize) -> Result<(), SourceError> {
        if self.samples + more > self.limits.samples {
            return Err(SourceError::TooMuch { what: "samples", limit: self.limits.samples });
        }
        if self.started.elapsed() > self.limits.time {
            let limit = usize::try_from(self.limits.time.as_millis()).unwrap_or(usize::MAX);
            return Err(SourceError::TooMuch { what: "milliseconds", limit });
        }
        Ok(())
    }

    fn cells(&mut self, pieces: Vec<Piece>) -> Result<Vec<Cell>, SourceError> {
        let mut runs = Vec::with_capacity(pieces.len());
        let mut loaded = 0;
        for piece in pieces {
            let run = match piece {
                Piece::Block(block, place) => self.block(&block, place)?,
                Piece::Chunk(chunk, slot) => self.chunk(&chunk, slot)?,
                Piece::Open(cells) => cells,
            };
            loaded += run.len();
            self.check_samples(loaded)?;
            runs.push(run);
        }
        Ok(cells::merge(runs))
    }

    fn block(&mut self, block: &SharedBlock, place: usize) -> Result<Vec<Cell>, SourceError> {
        let Some(series) = block.series(place) else { return Ok(Vec::new()) };
        let key = (block.header.number, series.group);
        let times = match self.block_times.get(&key) {
            Some(times) => times.clone(),
            None => {
                let times = block.times(self.disk, series.group).map_err(|e| self.failed(e))?.map(Arc::new);
                self.block_times.entry(key).or_insert(times).clone()
            }
        };
        let Some(times) = times else { return Ok(Vec::new()) };
        let cells = block.cells(self.disk, &times, place).map_err(|e| self.failed(e))?;
        Ok(within(&cells.unwrap_or_default(), self.range.0, self.range.1).to_vec())
    }

    fn chunk(&mut self, chunk: &Arc<Chunk>, slot: u32) -> Result<Vec<Cell>, SourceError> {
        let broken = |e| SourceError::Read { what: "a chunk in memory".to_owned(), source: Box::new(e) };
        let key = Arc::as_ptr(chunk).addr();
        let times = match self.chunk_times.get(&key) {
            Some(times) => times.clone(),
            None => {
                let times = Some(Arc::new(chunk.times().map_err(broken)?));
                self.chunk_times.entry(key).or_insert(times).clone()
            }
        };
        let Some(times) = times else { return Ok(Vec::new()) };
        let cells = chunk.cells(&times, slot).map_err(broken)?;
        Ok(within(&cells, self.range.0, self.range.1).to_vec())
    }

    /// Damage is named once in an error and remembered; from then on it is set aside and the rest serves.
    fn failed(&self, error: BlockError) -> SourceError {
        match error {
            BlockError::Damaged(damage) => {
                let what = damage.to_string();
                let source = Box::new(crate::codec::Corrupt("a checksum does not fit"));
                self.store.state_mut().counters.note(damage);
                SourceError::Read { what, source }
            }
            BlockError::Store(e) => SourceError::Read { what: "a block".to_owned(), source: Box::new(e) },
        }
    }
}
