//! Queries: what a selection needs is noted under the lock, read and joined without it.
//!
//! Everything is done group by group, because a group's series share their times: those are unpacked once, columns that
//! stand side by side in a file are read at once, and plain rows are walked along instead of across. A large selection
//! is divided between the processor's cores.

use std::num::NonZero;
use std::sync::Arc;

use wellkept_model::{
    Aggregate, Hints, Labels, Matcher, Selected, SeriesData, SeriesSource, SourceError, SourceLimits,
    TimestampMs,
};

use crate::block::SharedBlock;
use crate::chunk::Chunk;
use crate::gathered::Gathered;
use crate::reading::Reading;
use crate::registry::{HeadPlace, SeriesId};
use crate::rollup;
use crate::row::Row;
use crate::store::{State, Store};

/// Series for which it pays to start another thread.
const SERIES_PER_THREAD: usize = 1500;

/// Most threads of one selection.
const THREADS_MAX: usize = 4;

/// Some of the series of a selection, with where their samples are.
#[derive(Default)]
pub(crate) struct Part {
    /// In order of precedence. Places in order of file, each with the number of its series.
    pub(crate) blocks: Vec<(SharedBlock, Vec<(usize, u32)>)>,
    /// The frozen head first.
    pub(crate) groups: Vec<GroupPart>,
}

pub(crate) struct GroupPart {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) rows: Vec<Arc<Row>>,
    /// Slot and number of the series.
    pub(crate) wanted: Vec<(u32, u32)>,
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
        let resolutions: Vec<i64> = self.resolutions().collect();
        let chosen = resolution_for(hints, &resolutions);
        let (found, parts) = self.plan(matchers, chosen, from, to);
        let mut gathered = reading.run(&parts, aggregate, found.len())?;
        let mut used = Used::default();
        used.note(chosen, &gathered);
        if chosen == 0 && aggregate == Aggregate::Count {
            gathered.iter_mut().for_each(Gathered::count_each);
        }
        // Samples as they came need no second look.
        let covered_to = if chosen > 0 { self.covered(chosen, from.0, to.0).1 } else { to.0 };
        if covered_to < to.0 {
            // What has no rows yet: samples as they came.
            let after = TimestampMs(from.0.max(covered_to.saturating_add(1)));
            let mut newer = again(&reading, &found, 0, after, to, aggregate)?;
            used.note(0, &newer);
            if aggregate == Aggregate::Count {
                newer.iter_mut().for_each(Gathered::count_each);
            }
            gathered.iter_mut().zip(newer).for_each(|(all, newer)| all.append(newer));
        }
        for coarser in resolutions.into_iter().filter(|&r| r > chosen) {
            // A window may have to be as long as two rows, and an instant selector looks back by one.
            let back = match hints.range_ms {
                0 => coarser.saturating_sub(hints.lookback_ms.max(1)),
                range => coarser.saturating_mul(2).saturating_sub(range),
            };
            let filling = Filling { resolution: coarser, back: back.max(0), aggregate };
            self.fill_before(&reading, &found, &mut gathered, filling, &mut used)?;
        }
        reading.check_series(gathered.iter().filter(|g| !g.is_empty()).count())?;
        let series = found.into_iter().zip(gathered).filter(|(_, g)| !g.is_empty());
        let series = series.map(|((labels, _), g)| g.into_series(labels)).collect();
        Ok(Selected { series, resolutions_ms: used.all, rows_until: used.rows_until, aggregate })
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
                self.fill_before(&reading, &found, &mut gathered, Filling::last(coarser), &mut used)?;
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
        let mut gathered = again(&reading, &found, 0, from, to, Aggregate::Last)?;
        for coarser in self.resolutions() {
            let mut used = Used::default();
            self.fill_before(&reading, &found, &mut gathered, Filling::last(coarser), &mut used)?;
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
        filling: Filling,
        used: &mut Used,
    ) -> Result<(), SourceError> {
        let Filling { resolution, back, aggregate } = filling;
        let (from, to) = reading.range;
        // Only series whose first sample comes later than a row would.
        let late = |g: &Gathered| g.first().is_none_or(|first| first > from.saturating_add(resolution));
        if !gathered.iter().any(late) {
            return Ok(());
        }
        let from = from.saturating_sub(back);
        if self.covered(resolution, from, to).0 > to {
            return Ok(());
        }
        let (from, to) = (TimestampMs(from), TimestampMs(to));
        let older = again(reading, found, resolution, from, to, aggregate)?;
        let mut until = None;
        for (all, mut older) in gathered.iter_mut().zip(older) {
            if let Some(first) = all.first() {
                older.samples.retain(|s| s.at.0 < first);
            }
            if !older.is_empty() {
                until = until.max(older.last());
                all.prepend(older, aggregate);
            }
        }
        if let Some(until) = until {
            used.all.push(resolution);
            used.rows_until.push((resolution, TimestampMs(until)));
        }
        Ok(())
    }
}

/// The coarsest resolution that a query cannot tell from the samples themselves; `all` rise.
fn resolution_for(hints: &Hints, all: &[i64]) -> i64 {
    let fits = |&&r: &&i64| {
        let range =
            if hints.range_ms > 0 { hints.range_ms >= r.saturating_mul(3) } else { hints.lookback_ms >= r };
        hints.step_ms >= r && range
    };
    all.iter().rfind(fits).copied().unwrap_or(0)
}

/// What is put before the first samples.
#[derive(Clone, Copy)]
struct Filling {
    resolution: i64,
    /// How far before the range a row may stand, milliseconds.
    back: i64,
    aggregate: Aggregate,
}

impl Filling {
    fn last(resolution: i64) -> Self {
        Self { resolution, back: 0, aggregate: Aggregate::Last }
    }
}

/// Resolutions that gave something, finest first.
#[derive(Default)]
struct Used {
    all: Vec<i64>,
    rows_until: Vec<(i64, TimestampMs)>,
}

impl Used {
    fn note(&mut self, resolution: i64, gathered: &[Gathered]) {
        let Some(last) = gathered.iter().filter_map(Gathered::last).max() else { return };
        self.all.push(resolution);
        self.all.sort_unstable();
        if resolution > 0 {
            self.rows_until.push((resolution, TimestampMs(last)));
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

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        let blocks = self.blocks.iter().flat_map(|b| b.1.iter().map(|p| p.1));
        blocks.chain(self.groups.iter().flat_map(|g| g.wanted.iter().map(|w| w.1)))
    }
}

/// Reads the same series once more, from other blocks or another range.
fn again(
    reading: &Reading<'_>,
    found: &[Found],
    resolution: i64,
    from: TimestampMs,
    to: TimestampMs,
    aggregate: Aggregate,
) -> Result<Vec<Gathered>, SourceError> {
    let parts = {
        let state = reading.store.state();
        // An id may have gone to another series since.
        let mine = |(labels, _): &Found| {
            let id = state.registry.lookup(labels.packed()).unwrap_or(SeriesId::MAX);
            (labels.clone(), id)
        };
        let found: Vec<Found> = found.iter().map(mine).collect();
        state.parts(&found, resolution, from, to)
    };
    reading.over(from, to).run(&parts, aggregate, found.len())
}
