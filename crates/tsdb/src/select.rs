//! Queries: what a selection needs is noted under the lock, read and joined without it.
//!
//! Everything is done group by group, because a group's series share their times: those are unpacked once, columns that
//! stand side by side in a file are read at once, and plain rows are walked along instead of across. A large selection
//! is divided between the processor's cores.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wellkept_model::{
    Aggregate, Hints, HistogramSample, Labels, Matcher, Sample, Selected, SeriesData, SeriesSource,
    SourceError, SourceLimits, TimestampMs,
};

use crate::block::{self, BlockError, SharedBlock};
use crate::chunk::Chunk;
use crate::codec::Corrupt;
use crate::registry::{HeadPlace, SeriesId};
use crate::rollup;
use crate::row::Row;
use crate::store::{State, Store};

/// Series for which it pays to start another thread.
const SERIES_PER_THREAD: usize = 1500;

/// Most threads of one selection.
const THREADS_MAX: usize = 4;

/// Columns between two looks at the clock.
const CLOCK_EVERY: usize = 32;

/// Some of the series of a selection, with where their samples are.
#[derive(Default)]
pub(crate) struct Part {
    /// In order of precedence. Places in order of file, each with the number of its series.
    blocks: Vec<(SharedBlock, Vec<(usize, u32)>)>,
    /// The frozen head first.
    groups: Vec<GroupPart>,
}

struct GroupPart {
    chunks: Vec<Arc<Chunk>>,
    rows: Vec<Arc<Row>>,
    /// Slot and number of the series.
    wanted: Vec<(u32, u32)>,
}

/// Samples of one series while they are gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) samples: Vec<Sample>,
    pub(crate) histograms: Vec<HistogramSample>,
    /// Consolidated rows that are not samples yet.
    rows: Vec<rollup::Row>,
    /// The first of them, when all are.
    first_row: Option<rollup::Row>,
    /// Some came out of order: pieces overlap.
    mixed: bool,
}

/// A series that a selection found: what it is called, and its id while the lock is held.
pub(crate) type Found = (Labels, SeriesId);

impl SeriesSource for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        Ok(self.select_hinted(matchers, from, to, &Hints::default(), limits)?.series)
    }

    fn select_hinted(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        hints: &Hints,
        limits: &SourceLimits,
    ) -> Result<Selected, SourceError> {
        let reading = Reading::new(self, from, to, limits);
        let aggregate = rollup::aggregate_for(&hints.func);
        let chosen = self.resolution_for(hints);
        let (found, parts) = self.plan(matchers, chosen, from, to);
        let mut gathered = reading.run(&parts, aggregate, found.len())?;
        let mut used = Used::default();
        used.note(chosen, &gathered);
        let covered = self.covered(chosen, from.0, to.0);
        if chosen > 0 && covered.1 < to.0 {
            // What has no rows yet: samples as they came.
            let after = TimestampMs(from.0.max(covered.1.saturating_add(1)));
            let newer = reading.again(self, &found, 0, after, to, aggregate)?;
            used.note(0, &newer);
            gathered.iter_mut().zip(newer).for_each(|(all, newer)| all.append(newer));
        }
        for coarser in self.resolutions().filter(|&r| r > chosen) {
            self.fill_before(&reading, &found, &mut gathered, coarser, aggregate, &mut used)?;
        }
        reading.check_series(gathered.iter().filter(|g| !g.is_empty()).count())?;
        let series = found.into_iter().zip(gathered).filter(|(_, g)| !g.is_empty());
        let series = series.map(|((labels, _), g)| g.into_series(labels)).collect();
        Ok(Selected { series, resolutions_ms: used.0, aggregate })
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        let reading = Reading::new(self, from, to, limits);
        let (found, mut parts) = self.plan(matchers, 0, from, to);
        let mut sure = vec![false; found.len()];
        parts.iter_mut().for_each(|p| p.keep_unsure(from.0, to.0, &mut sure));
        let mut gathered = reading.run(&parts, Aggregate::Last, found.len())?;
        for coarser in self.resolutions() {
            if !sure.iter().zip(&gathered).all(|(sure, g)| *sure || !g.is_empty()) {
                let mut used = Used::default();
                self.fill_before(&reading, &found, &mut gathered, coarser, Aggregate::Last, &mut used)?;
            }
        }
        let there =
            found.into_iter().zip(gathered.iter().zip(sure)).filter(|(_, (g, sure))| *sure || !g.is_empty());
        let labels: Vec<Labels> = there.map(|((labels, _), _)| labels).collect();
        reading.check_series(labels.len())?;
        Ok(labels)
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

    /// The series with exactly these labels, as a selection without hints gives them.
    pub(crate) fn select_exactly(
        &self,
        names: &[Labels],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let reading = Reading::new(self, from, to, limits);
        let found: Vec<Found> = names.iter().map(|labels| (labels.clone(), SeriesId::MAX)).collect();
        let mut gathered = reading.again(self, &found, 0, from, to, Aggregate::Last)?;
        for coarser in self.resolutions() {
            self.fill_before(
                &reading,
                &found,
                &mut gathered,
                coarser,
                Aggregate::Last,
                &mut Used::default(),
            )?;
        }
        let series = found.into_iter().zip(gathered).filter(|(_, g)| !g.is_empty());
        Ok(series.map(|((labels, _), g)| g.into_series(labels)).collect())
    }

    /// Series that match, sorted by labels, and where their samples of a resolution are.
    fn plan(
        &self,
        matchers: &[Matcher],
        resolution: i64,
        from: TimestampMs,
        to: TimestampMs,
    ) -> (Vec<Found>, Vec<Part>) {
        let state = self.state();
        let found = state.registry.find(matchers);
        let parts = state.parts(&found, resolution, from, to);
        (found, parts)
    }

    /// Resolutions of which there are blocks, finest first, without the samples as they came.
    fn resolutions(&self) -> impl Iterator<Item = i64> + use<> {
        let mut all: Vec<i64> =
            self.state().blocks.iter().map(|b| b.header.resolution).filter(|&r| r > 0).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// The coarsest resolution that a query cannot tell from the samples themselves.
    fn resolution_for(&self, hints: &Hints) -> i64 {
        let fits = |&r: &i64| {
            let range = if hints.range_ms > 0 {
                hints.range_ms >= r.saturating_mul(3)
            } else {
                hints.lookback_ms >= r
            };
            hints.step_ms >= r && range
        };
        self.resolutions().filter(fits).last().unwrap_or(0)
    }

    /// From where to where there are rows of a resolution, within a range.
    fn covered(&self, resolution: i64, from: i64, to: i64) -> (i64, i64) {
        let state = self.state();
        let blocks =
            state.blocks.iter().filter(|b| b.header.resolution == resolution && b.overlaps(from, to));
        let ranges = blocks.map(|b| (b.header.min, b.header.max));
        ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((i64::MAX, i64::MIN))
    }

    /// Puts rows of a coarser resolution before the first sample of each series: the finer ones have expired there.
    fn fill_before(
        &self,
        reading: &Reading<'_>,
        found: &[Found],
        gathered: &mut [Gathered],
        resolution: i64,
        aggregate: Aggregate,
        used: &mut Used,
    ) -> Result<(), SourceError> {
        let (from, to) = reading.range;
        // Only series whose first sample comes later than a row would.
        let late = |g: &Gathered| g.first().is_none_or(|first| first > from.saturating_add(resolution));
        if !gathered.iter().any(late) || self.covered(resolution, from, to).0 > to {
            return Ok(());
        }
        let (from, to) = (TimestampMs(from), TimestampMs(to));
        let older = reading.again(self, found, resolution, from, to, aggregate)?;
        let mut added = false;
        for (all, mut older) in gathered.iter_mut().zip(older) {
            if let Some(first) = all.first() {
                older.samples.retain(|s| s.at.0 < first);
            }
            if !older.is_empty() {
                added = true;
                all.prepend(older, aggregate);
            }
        }
        if added {
            used.0.push(resolution);
        }
        Ok(())
    }
}

/// Resolutions that gave something, finest first.
#[derive(Default)]
struct Used(Vec<i64>);

impl Used {
    fn note(&mut self, resolution: i64, gathered: &[Gathered]) {
        if gathered.iter().any(|g| !g.is_empty()) {
            self.0.push(resolution);
            self.0.sort_unstable();
        }
    }
}

impl State {
    /// The series divided between the cores.
    fn parts(&self, found: &[Found], resolution: i64, from: TimestampMs, to: TimestampMs) -> Vec<Part> {
        let mut ids: Vec<(SeriesId, u32)> = found.iter().zip(0..).map(|((_, id), n)| (*id, n)).collect();
        ids.sort_unstable();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        let each = ids.len().div_ceil(threads).max(SERIES_PER_THREAD);
        ids.chunks(each).map(|ids| self.part(ids, resolution, from.0, to.0)).collect()
    }

    /// Where the samples of some series are; `ids` rise.
    fn part(&self, ids: &[(SeriesId, u32)], resolution: i64, from: i64, to: i64) -> Part {
        let mut part = Part::default();
        for block in self.blocks.iter().filter(|b| b.header.resolution == resolution && b.overlaps(from, to))
        {
            let mut places = Vec::new();
            block.places(ids, |place, number| places.push((place, number)));
            places.sort_by_cached_key(|p| block.offset(p.0));
            if !places.is_empty() {
                part.blocks.push((Arc::clone(block), places));
            }
        }
        if resolution > 0 {
            return part;
        }
        if let Some(frozen) = &self.frozen {
            let places = |id| frozen.places(&self.head, &self.registry, id);
            for (group, wanted) in by_group(ids, places) {
                let Some(group) = frozen.group(group) else { continue };
                part.groups.extend(GroupPart::new(&group.chunks, &group.rows, wanted, from, to));
            }
        }
        for (group, wanted) in by_group(ids, |id| self.head.places(&self.registry, id)) {
            let Some(group) = self.head.group(group) else { continue };
            part.groups.extend(GroupPart::new(&group.chunks, &group.rows, wanted, from, to));
        }
        part
    }
}

type Wanted = Vec<(u32, u32)>;

fn by_group<P: Iterator<Item = HeadPlace>>(
    ids: &[(SeriesId, u32)],
    places: impl Fn(SeriesId) -> P,
) -> Vec<(u32, Wanted)> {
    let mut all: Vec<(u32, u32, u32)> = Vec::with_capacity(ids.len());
    for &(id, number) in ids {
        all.extend(places(id).map(|p| (p.group, p.slot, number)));
    }
    all.sort_unstable();
    let groups = all.chunk_by(|a, b| a.0 == b.0);
    groups.map(|g| (g.first().map_or(0, |w| w.0), g.iter().map(|w| (w.1, w.2)).collect())).collect()
}

impl GroupPart {
    fn new(chunks: &[Arc<Chunk>], rows: &[Arc<Row>], wanted: Wanted, from: i64, to: i64) -> Option<Self> {
        let chunks: Vec<_> = chunks.iter().filter(|c| c.min <= to && c.max >= from).cloned().collect();
        let rows: Vec<_> = rows.iter().filter(|r| (from..=to).contains(&r.at)).cloned().collect();
        (!chunks.is_empty() || !rows.is_empty()).then_some(Self { chunks, rows, wanted })
    }
}

impl Part {
    /// Leaves only the series of which it is not sure, without reading, that they have a sample in the range.
    fn keep_unsure(&mut self, from: i64, to: i64, sure: &mut [bool]) {
        let mut note = |number: u32| {
            if let Some(place) = sure.get_mut(number as usize) {
                *place = true;
            }
        };
        for (block, places) in &self.blocks {
            if from <= block.header.min && block.header.max <= to {
                places.iter().for_each(|p| note(p.1));
            }
        }
        for group in &self.groups {
            for &(slot, number) in &group.wanted {
                let in_row = group.rows.iter().any(|r| r.get(slot).is_some() || r.histogram(slot).is_some());
                let inside = |c: &&Arc<Chunk>| from <= c.min && c.max <= to;
                if in_row || group.chunks.iter().filter(inside).any(|c| c.has(slot)) {
                    note(number);
                }
            }
        }
        let unsure = |number: u32| sure.get(number as usize) == Some(&false);
        self.blocks.iter_mut().for_each(|(_, places)| places.retain(|p| unsure(p.1)));
        self.groups.iter_mut().for_each(|g| g.wanted.retain(|w| unsure(w.1)));
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let blocks = self.blocks.iter().flat_map(|b| b.1.iter().map(|p| p.1));
        blocks.chain(self.groups.iter().flat_map(|g| g.wanted.iter().map(|w| w.1)))
    }
}

impl Gathered {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// Time of the first sample.
    fn first(&self) -> Option<i64> {
        let (float, histogram) =
            (self.samples.first().map(|s| s.at.0), self.histograms.first().map(|h| h.at.0));
        float.into_iter().chain(histogram).min()
    }

    /// Samples that are all later.
    fn append(&mut self, later: Self) {
        self.samples.extend(later.samples);
        self.histograms.extend(later.histograms);
    }

    /// Samples that are all earlier.
    fn prepend(&mut self, mut earlier: Self, aggregate: Aggregate) {
        let first = self.first_row.zip(self.samples.first().copied());
        if let (Aggregate::Counter, Some((row, mine)), Some(last)) =
            (aggregate, first, earlier.samples.last().copied())
        {
            // Both ends of a counter made of rows are moved to where they meet.
            let shift = mine.value - row.growth_after(last.value) - last.value;
            earlier.samples.iter_mut().for_each(|s| s.value += shift);
        }
        earlier.append(std::mem::take(self));
        *self = earlier;
    }

    fn float(&mut self, at: i64, value: f64) {
        self.mixed |= self.samples.last().is_some_and(|s| s.at.0 >= at);
        self.samples.push(Sample { at: TimestampMs(at), value });
    }

    fn histogram(&mut self, sample: HistogramSample) {
        self.mixed |= self.histograms.last().is_some_and(|s| s.at >= sample.at);
        self.histograms.push(sample);
    }

    /// Puts the pieces in order; of equal times the last one holds.
    fn settle(&mut self, aggregate: Aggregate) {
        if !self.rows.is_empty() {
            let mut rows = std::mem::take(&mut self.rows);
            rows.sort_by_key(|r| r.at);
            keep_last(&mut rows, |r| TimestampMs(r.at));
            self.first_row = rows.first().copied();
            for (at, value) in rollup::values(&rows, aggregate) {
                self.float(at, value);
            }
        }
        if self.mixed {
            self.samples.sort_by_key(|s| s.at);
            keep_last(&mut self.samples, |s| s.at);
            self.histograms.sort_by_key(|s| s.at);
            keep_last(&mut self.histograms, |s| s.at);
        }
        if !self.samples.is_empty() && !self.histograms.is_empty() {
            let histograms = &self.histograms;
            self.samples.retain(|s| histograms.binary_search_by_key(&s.at, |h| h.at).is_err());
        }
    }

    fn into_series(self, labels: Labels) -> SeriesData {
        SeriesData { labels, samples: self.samples, histograms: self.histograms }
    }
}

fn keep_last<T>(items: &mut Vec<T>, key: impl Fn(&T) -> TimestampMs) {
    items.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}

/// One selection while it reads, with its limits.
pub(crate) struct Reading<'a> {
    store: &'a Store,
    range: (i64, i64),
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

    /// Reads the same series once more, from other blocks or another range.
    fn again(
        &self,
        store: &Store,
        found: &[Found],
        resolution: i64,
        from: TimestampMs,
        to: TimestampMs,
        aggregate: Aggregate,
    ) -> Result<Vec<Gathered>, SourceError> {
        let parts = {
            let state = store.state();
            // An id may have gone to another series since.
            let mine = |(labels, _): &Found| {
                let id = state.registry.lookup(labels.packed()).unwrap_or(SeriesId::MAX);
                (labels.clone(), id)
            };
            let found: Vec<Found> = found.iter().map(mine).collect();
            state.parts(&found, resolution, from, to)
        };
        let range = (from.0, to.0);
        let samples = AtomicUsize::new(self.samples.load(Ordering::Relaxed));
        Reading { store: self.store, range, limits: self.limits, started: self.started, samples }.run(
            &parts,
            aggregate,
            found.len(),
        )
    }

    /// Reads all parts, and gives `n` series.
    fn run(&self, parts: &[Part], aggregate: Aggregate, n: usize) -> Result<Vec<Gathered>, SourceError> {
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
