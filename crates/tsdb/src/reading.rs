//! Reading what a selection has noted: block by block and group by group, within its limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wellkept_model::{Aggregate, HistogramSample, SourceError, SourceLimits, TimestampMs};

use crate::block::{self, BlockError, SharedBlock};
use crate::codec::Corrupt;
use crate::gathered::Gathered;
use crate::rollup;
use crate::select::{GroupPart, Part};
use crate::store::Store;

/// Columns between two looks at the clock.
const CLOCK_EVERY: usize = 32;

/// One selection while it reads, with its limits.
pub(crate) struct Reading<'a> {
    pub(crate) store: &'a Store,
    pub(crate) range: (i64, i64),
    limits: SourceLimits,
    started: Instant,
    samples: AtomicUsize,
}

impl<'a> Reading<'a> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a query's time limit is about elapsed time, not about any sample's"
    )]
    pub(crate) fn new(store: &'a Store, from: TimestampMs, to: TimestampMs, limits: &SourceLimits) -> Self {
        let (range, limits) = ((from.0, to.0), *limits);
        Self { store, range, limits, started: Instant::now(), samples: AtomicUsize::new(0) }
    }

    /// The same selection over another range: its limits go on.
    pub(crate) fn over(&self, from: TimestampMs, to: TimestampMs) -> Self {
        let samples = AtomicUsize::new(self.samples.load(Ordering::Relaxed));
        Self { store: self.store, range: (from.0, to.0), limits: self.limits, started: self.started, samples }
    }

    /// Reads all parts, and gives `n` series.
    pub(crate) fn run(
        &self,
        parts: &[Part],
        aggregate: Aggregate,
        n: usize,
    ) -> Result<Vec<Gathered>, SourceError> {
        let mut all: Vec<Gathered> = Vec::with_capacity(n);
        all.resize_with(n, Gathered::default);
        let results: Vec<Result<Vec<(u32, Gathered)>, SourceError>> = match parts {
            [] => Vec::new(),
            [only] => vec![self.part(only, aggregate)],
            [first, others @ ..] => std::thread::scope(|scope| {
                let threads: Vec<_> =
                    others.iter().map(|part| scope.spawn(|| self.part(part, aggregate))).collect();
                let mut results = vec![self.part(first, aggregate)];
                results.extend(threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(stopped()))));
                results
            }),
        };
        for result in results {
            for (number, gathered) in result? {
                if let Some(place) = all.get_mut(number as usize) {
                    *place = gathered;
                }
            }
        }
        Ok(all)
    }

    fn part(&self, part: &Part, aggregate: Aggregate) -> Result<Vec<(u32, Gathered)>, SourceError> {
        let mut numbers: Vec<u32> = part.numbers().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let places: HashMap<u32, usize> = numbers.iter().zip(0..).map(|(&n, i)| (n, i)).collect();
        let mut out: Vec<(u32, Gathered)> = numbers.into_iter().map(|n| (n, Gathered::default())).collect();
        let mut sink = |number: u32, act: &mut dyn FnMut(&mut Gathered)| {
            if let Some((_, gathered)) = places.get(&number).and_then(|&i| out.get_mut(i)) {
                act(gathered);
            }
        };
        for (block, wanted) in &part.blocks {
            self.block(block, wanted, &mut sink)?;
        }
        for group in &part.groups {
            self.group(group, &mut sink)?;
        }
        out.iter_mut().for_each(|(_, g)| g.settle(aggregate));
        Ok(out)
    }

    fn block(
        &self,
        block: &SharedBlock,
        wanted: &[(usize, u32)],
        sink: &mut Into<'_>,
    ) -> Result<(), SourceError> {
        let group_of = |place: usize| block.series(place).map_or(0, |s| s.group);
        for same in wanted.chunk_by(|a, b| group_of(a.0) == group_of(b.0)) {
            let group = same.first().map_or(0, |w| group_of(w.0));
            let Some(times) = block.times(group).map_err(|e| self.failed(e))? else { continue };
            if times.last().is_none_or(|&t| t < self.range.0)
                || times.first().is_none_or(|&t| t > self.range.1)
            {
                continue;
            }
            let histograms = block.groups().get(group as usize).is_some_and(|g| g.histograms);
            let places: Vec<usize> = same.iter().map(|w| w.0).collect();
            let mut columns = 0;
            let mut over = None;
            // Columns that are set aside are skipped, so places are matched, not counted.
            let mut place_numbers = same.iter();
            let result = block.read(&places, |place, count, bytes| {
                let Some(&(_, number)) = place_numbers.by_ref().find(|w| w.0 == place) else { return Ok(()) };
                columns += 1;
                let n = if histograms {
                    let samples = block::decode_histograms(&times, count, bytes)?;
                    self.take_histograms(number, samples, sink)
                } else if block.header.resolution > 0 {
                    let rows = self.inside(rollup::decode(&times, count, bytes)?);
                    sink(number, &mut |gathered| gathered.rows.extend_from_slice(&rows));
                    rows.len()
                } else {
                    let cells = block::decode_cells(&times, count, bytes)?;
                    self.take_cells(number, &cells, sink)
                };
                if over.is_none() {
                    over = self.count(n, columns).err();
                }
                Ok(())
            });
            result.map_err(|e| self.failed(e))?;
            if let Some(e) = over {
                return Err(e);
            }
        }
        Ok(())
    }

    /// Rows in the range.
    fn inside(&self, mut rows: Vec<rollup::Row>) -> Vec<rollup::Row> {
        rows.retain(|r| (self.range.0..=self.range.1).contains(&r.at));
        rows
    }

    fn take_cells(&self, number: u32, cells: &[crate::cells::Cell], sink: &mut Into<'_>) -> usize {
        let first = cells.partition_point(|c| c.0 < self.range.0);
        let end = cells.partition_point(|c| c.0 <= self.range.1);
        let inside = cells.get(first..end).unwrap_or_default();
        sink(number, &mut |gathered| {
            gathered.samples.reserve(inside.len());
            inside.iter().for_each(|c| gathered.float(c.0, c.1));
        });
        inside.len()
    }

    fn take_histograms(&self, number: u32, samples: Vec<HistogramSample>, sink: &mut Into<'_>) -> usize {
        let inside: Vec<HistogramSample> =
            samples.into_iter().filter(|s| (self.range.0..=self.range.1).contains(&s.at.0)).collect();
        let n = inside.len();
        sink(number, &mut |gathered| inside.iter().for_each(|s| gathered.histogram(s.clone())));
        n
    }

    fn group(&self, group: &GroupPart, sink: &mut Into<'_>) -> Result<(), SourceError> {
        let broken =
            |e: Corrupt| SourceError::Read { what: "a chunk in memory".to_owned(), source: Box::new(e) };
        let (from, to) = self.range;
        let times = group.chunks.iter().map(|c| c.times()).collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let expected = times.iter().map(Vec::len).sum::<usize>() + group.rows.len();
        let mut loaded = 0;
        for (columns, &(slot, number)) in group.wanted.iter().enumerate() {
            let mut result = Ok(());
            sink(number, &mut |gathered| {
                let before = gathered.samples.len();
                gathered.samples.reserve(expected);
                for (chunk, times) in group.chunks.iter().zip(&times) {
                    let take = |(at, value): (i64, f64)| {
                        if from <= at && at <= to {
                            gathered.float(at, value);
                        }
                    };
                    if let Err(e) = chunk.cells(times, slot, take) {
                        result = Err(e);
                    }
                }
                for row in &group.rows {
                    if let Some(value) = row.get(slot) {
                        gathered.float(row.at, value);
                    }
                }
                if gathered.samples.is_empty() {
                    gathered.samples = Vec::new();
                }
                loaded += gathered.samples.len() - before.min(gathered.samples.len());
            });
            result.map_err(broken)?;
            self.count(std::mem::take(&mut loaded), columns)?;
        }
        self.group_histograms(group, sink)
    }

    fn group_histograms(&self, group: &GroupPart, sink: &mut Into<'_>) -> Result<(), SourceError> {
        let chunks = group.chunks.iter().flat_map(|c| c.histograms().iter().map(|(at, h)| (*at, h)));
        let rows = group.rows.iter().flat_map(|r| r.histograms.iter().map(|h| (r.at, h)));
        let mut n = 0;
        for (at, (slot, histogram)) in chunks.chain(rows) {
            if at < self.range.0 || at > self.range.1 {
                continue;
            }
            let Ok(place) = group.wanted.binary_search_by_key(slot, |w| w.0) else { continue };
            let Some(&(_, number)) = group.wanted.get(place) else { continue };
            let sample = HistogramSample { at: TimestampMs(at), histogram: Arc::clone(histogram) };
            sink(number, &mut |gathered| gathered.histogram(sample.clone()));
            n += 1;
        }
        self.count(n, 0)
    }

    /// Counts what was loaded; `columns`: how many were read so far, for a look at the clock now and then.
    fn count(&self, samples: usize, columns: usize) -> Result<(), SourceError> {
        let all = self.samples.fetch_add(samples, Ordering::Relaxed) + samples;
        if all > self.limits.samples {
            return Err(SourceError::TooMuch { what: "samples", limit: self.limits.samples });
        }
        if columns.is_multiple_of(CLOCK_EVERY) && self.started.elapsed() > self.limits.time {
            let limit = usize::try_from(self.limits.time.as_millis()).unwrap_or(usize::MAX);
            return Err(SourceError::TooMuch { what: "milliseconds", limit });
        }
        Ok(())
    }

    pub(crate) fn check_series(&self, series: usize) -> Result<(), SourceError> {
        if series > self.limits.series {
            return Err(SourceError::TooMuch { what: "series", limit: self.limits.series });
        }
        Ok(())
    }

    /// Damage is named once in an error and remembered; from then on it is set aside and the rest serves.
    fn failed(&self, error: BlockError) -> SourceError {
        match error {
            BlockError::Damaged(damage) => {
                let what = damage.to_string();
                let source = Box::new(Corrupt("a checksum does not fit"));
                self.store.state_mut().counters.note(damage);
                SourceError::Read { what, source }
            }
            BlockError::Store(e) => SourceError::Read { what: "a block".to_owned(), source: Box::new(e) },
        }
    }
}

/// Where read samples go: the number of a series, and what to do with what was gathered of it.
type Into<'a> = dyn FnMut(u32, &mut dyn FnMut(&mut Gathered)) + 'a;

fn stopped() -> SourceError {
    let source = Box::new(Corrupt("a reading thread stopped"));
    SourceError::Read { what: "a part of the selection".to_owned(), source }
}
