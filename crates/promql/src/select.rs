//! Selectors: loading series once for all steps, and looking at them step by step.

use std::sync::Arc;

use wellkept_model::{
    Hints, Histogram, HistogramSample, Labels, Matcher, ResetHint, Sample, SeriesData, SourceLimits,
    TimestampMs, is_stale,
};

use crate::QueryError;
use crate::answer::samples;
use crate::coarse::Loaded;
use crate::column::{Cell, Column, Grid};
use crate::eval::{Evaluated, Evaluator};
use crate::syntax::functions::WindowFn;
use crate::syntax::number::seconds;
use crate::syntax::tree::{At, Edges, RangeExpr, RangeOf, Selector, Shift};

/// Which part of a sample an instant selector gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    Value,
    /// Seconds since the epoch, for `timestamp()`.
    Time,
}

/// A shift with its durations known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    offset: i64,
    at: Option<At>,
}

/// One series of a range; stale markers are still in it until it is [`RangeSeries::cleaned`].
pub(crate) struct RangeSeries {
    pub(crate) labels: Labels,
    pub(crate) nameless: bool,
    pub(crate) floats: Vec<Sample>,
    pub(crate) histograms: Vec<HistogramSample>,
}

/// How far a selection reaches beyond its steps, and for what.
struct Reach<'a> {
    /// Before the first step, milliseconds.
    back: i64,
    /// After the last step, milliseconds.
    ahead: i64,
    /// Length of the range selector; 0 for an instant selector.
    range: i64,
    /// The function around the range selector.
    func: &'a str,
}

/// The series of a range selector or subquery, and where their windows lie.
pub(crate) struct Ranges {
    pub(crate) series: Vec<RangeSeries>,
    /// Length of the window, milliseconds.
    pub(crate) range: i64,
    pub(crate) shift: Fixed,
    pub(crate) edges: Edges,
    /// Each value is a number of samples, for `count_over_time`.
    pub(crate) counted: bool,
}

impl Ranges {
    /// Whether all steps see the same window.
    pub(crate) fn is_pinned(&self) -> bool {
        self.shift.at.is_some()
    }

    /// The series as an answer: an instant query of a range selector.
    pub(crate) fn into_series(self, eval: &Evaluator<'_>) -> Result<Vec<SeriesData>, QueryError> {
        let mut series: Vec<SeriesData> = self
            .series
            .into_iter()
            .map(RangeSeries::cleaned)
            .filter(|s| !s.floats.is_empty() || !s.histograms.is_empty())
            .map(|s| SeriesData {
                labels: eval.names_of(&s.labels, s.nameless).to_labels(),
                samples: s.floats,
                histograms: s.histograms,
            })
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if series.windows(2).any(|pair| matches!(pair, [a, b] if a.labels == b.labels)) {
            return Err(QueryError::failed(crate::names::SAME_LABELS));
        }
        Ok(series)
    }
}

/// What a histogram costs of the budget of samples.
pub(crate) fn histogram_size(h: &Histogram) -> usize {
    // Each sample of a float takes 16 bytes; a histogram its fields and its buckets.
    12 + (h.positive.len() + h.negative.len() + h.positive_spans.len() + h.negative_spans.len()) / 2
}

impl Evaluator<'_> {
    pub(crate) fn fixed(&self, shift: &Shift) -> Result<Fixed, QueryError> {
        let offset = shift.offset.as_ref().map_or(Ok(0), |time| self.ms(time, false))?;
        Ok(Fixed { offset, at: shift.at })
    }

    /// The instant that a shifted selector looks at, for a step.
    pub(crate) fn shifted(&self, shift: Fixed, step: i64) -> i64 {
        let base = match shift.at {
            None => step,
            Some(At::Start) => self.first,
            Some(At::End) => self.last,
            Some(At::Time(at)) => at,
        };
        base.saturating_sub(shift.offset)
    }

    /// All samples that any step of the grid can see: from `back` before the first, that end not included, to `ahead`
    /// after the last.
    fn load(
        &self,
        matchers: &[Matcher],
        text: &dyn Fn() -> String,
        shift: Fixed,
        grid: Grid,
        reach: &Reach<'_>,
    ) -> Result<Loaded, QueryError> {
        if grid.count == 0 {
            return Ok(Loaded::default());
        }
        let from = self.shifted(shift, grid.start).saturating_sub(reach.back).saturating_add(1);
        let to = self.shifted(shift, grid.end()).saturating_add(reach.ahead);
        let left = self.limits.samples.saturating_sub(self.spent.get());
        let limits = SourceLimits { series: self.limits.series, samples: left, time: self.limits.time };
        self.work(1)?;
        let hints = Hints {
            step_ms: if grid.count > 1 { grid.step } else { 0 },
            range_ms: reach.range,
            lookback_ms: self.lookback(),
            func: reach.func.to_owned(),
        };
        let selected = self
            .source
            .select_hinted(matchers, TimestampMs(from), TimestampMs(to), &hints, &limits)
            .map_err(|source| QueryError::from_source(source, &text(), self.limits))?;
        let series = &selected.series;
        if series.len() > self.limits.series {
            return Err(QueryError::TooMuch { what: "series", limit: self.limits.series });
        }
        let histograms = series.iter().flat_map(|s| &s.histograms).map(|h| histogram_size(&h.histogram));
        self.charge(series.iter().map(|s| s.samples.len()).sum::<usize>() + histograms.sum::<usize>())?;
        Ok(Loaded::from(selected))
    }

    fn load_selector(
        &self,
        selector: &Selector,
        shift: Fixed,
        grid: Grid,
        (range, func): (i64, &str),
    ) -> Result<Loaded, QueryError> {
        let text = || crate::syntax::print::bare_selector(selector);
        let more = self.lookback();
        let (before, ahead) = match selector.edges {
            Edges::Plain if range == 0 => (more, 0),
            Edges::Plain => (0, 0),
            Edges::Anchored => (more, 0),
            Edges::Smoothed => (more, more),
        };
        let reach = Reach { back: range.saturating_add(before), ahead, range, func };
        let loaded = self.load(&selector.matchers, &text, shift, grid, &reach)?;
        loaded.tell(&self.notes, selector.span);
        Ok(loaded)
    }

    /// The value of each series at each step, on the line between the samples before and after it.
    fn smoothed(&self, series: Vec<SeriesData>, shift: Fixed, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let lookback = self.lookback();
        let mut columns = Vec::with_capacity(series.len());
        for series in series.into_iter().map(RangeSeries::from).map(RangeSeries::cleaned) {
            let mut column = self.column(series.labels, grid)?;
            let mut next = 0;
            for (value, step) in column.values.iter_mut().zip(grid.times()) {
                let at = self.shifted(shift, step);
                next += ahead(&series.floats, next, |s| s.at.0 <= at);
                let before = next.checked_sub(1).and_then(|i| series.floats.get(i));
                let before = before.filter(|s| s.at.0 > at.saturating_sub(lookback));
                let after = series.floats.get(next).filter(|s| s.at.0 <= at.saturating_add(lookback));
                *value = match (before, after) {
                    (Some(a), Some(b)) if a.at.0 < at => crate::window::between(a, b, at),
                    (Some(a), _) => a.value,
                    (None, _) => continue,
                };
            }
            self.work(series.floats.len() + grid.count)?;
            if !column.is_empty() {
                columns.push(column);
            }
        }
        Ok(columns)
    }

    pub(crate) fn lookback(&self) -> i64 {
        i64::try_from(self.limits.lookback.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// The newest sample of each series at each step, unless it is stale or older than the lookback.
    pub(crate) fn instant_vector(
        &self,
        selector: &Selector,
        grid: Grid,
        pick: Pick,
    ) -> Result<Vec<Column>, QueryError> {
        let shift = self.fixed(&selector.shift)?;
        if selector.edges == Edges::Smoothed && pick == Pick::Value {
            let loaded = self.load_selector(selector, shift, grid, (0, ""))?;
            return self.smoothed(loaded.series, shift, grid);
        }
        let loaded = self.load_selector(selector, shift, grid, (0, ""))?;
        self.newest(loaded, shift, grid, pick)
    }

    /// As [`Self::instant_vector`] for the matchers of info metrics, which have floats only.
    pub(crate) fn matched(
        &self,
        matchers: &[Matcher],
        shift: Fixed,
        grid: Grid,
        pick: Pick,
    ) -> Result<Vec<Column>, QueryError> {
        let text = || "the info metrics".to_owned();
        let reach = Reach { back: self.lookback(), ahead: 0, range: 0, func: "" };
        let loaded = self.load(matchers, &text, shift, grid, &reach)?;
        if let Some(odd) = loaded.series.iter().find(|s| !s.histograms.is_empty()) {
            let labels = &odd.labels;
            return Err(QueryError::failed(format!(
                "this should be an info metric, with float samples: {labels}"
            )));
        }
        self.newest(loaded, shift, grid, pick)
    }

    fn newest(
        &self,
        loaded: Loaded,
        shift: Fixed,
        grid: Grid,
        pick: Pick,
    ) -> Result<Vec<Column>, QueryError> {
        let lookback = self.lookback();
        let Loaded { series, rows, .. } = loaded;
        let mut columns = Vec::with_capacity(series.len());
        for series in series {
            let mut column = self.column(series.labels, grid)?;
            let (mut floats, mut histograms) = (0, 0);
            let mut any = false;
            for step in 0..grid.count {
                let at = self.shifted(shift, grid.time(step));
                let oldest = at.saturating_sub(lookback);
                floats += ahead(&series.samples, floats, |s| s.at.0 <= at);
                let float = floats.checked_sub(1).and_then(|i| series.samples.get(i));
                let float = float.filter(|s| s.at.0 > oldest || rows.reach(s.at, at));
                if series.histograms.is_empty() {
                    if let Some(sample) = float.filter(|s| !is_stale(s.value)) {
                        let value = if pick == Pick::Value { sample.value } else { seconds(sample.at.0) };
                        if let Some(cell) = column.values.get_mut(step) {
                            *cell = value;
                            any = true;
                        }
                    }
                    continue;
                }
                histograms += ahead(&series.histograms, histograms, |s| s.at.0 <= at);
                let histogram = histograms.checked_sub(1).and_then(|i| series.histograms.get(i));
                let histogram = histogram.filter(|h| h.at.0 > oldest);
                let cell = newer(float, histogram, pick);
                any |= !cell.is_none();
                column.set(step, cell);
            }
            self.work(series.samples.len() + grid.count)?;
            if any {
                columns.push(column);
            }
        }
        Ok(columns)
    }

    /// The series that a range expression sees at any step; `of`: the function around it.
    pub(crate) fn ranges(
        &self,
        expr: &RangeExpr,
        grid: Grid,
        of: Option<(WindowFn, &str)>,
    ) -> Result<Ranges, QueryError> {
        let mut range = self.ms(&expr.range, true)?;
        let shift = self.fixed(expr.shift())?;
        let mut counted = false;
        let series: Vec<RangeSeries> = match &expr.of {
            RangeOf::Samples(selector) => {
                let func = of.map_or("", |(_, name)| name);
                let loaded = self.load_selector(selector, shift, grid, (range, func))?;
                let last = self.shifted(shift, grid.end());
                let wider = of.and_then(|(function, _)| loaded.rows.window(function, range, last, grid));
                range = wider.filter(|_| selector.edges == Edges::Plain).unwrap_or(range);
                counted = loaded.counted;
                loaded.series.into_iter().map(RangeSeries::from).collect()
            }
            RangeOf::Subquery { inner, step, .. } => {
                let step = match step {
                    Some(step) => self.ms(step, true)?,
                    None => i64::try_from(self.limits.subquery_step.as_millis()).unwrap_or(i64::MAX).max(1),
                };
                let inner_grid = self.subgrid(grid, range, step, shift)?;
                match self.eval(inner, inner_grid)? {
                    Evaluated::Vector(columns) => {
                        columns.into_iter().map(|c| RangeSeries::of(c, inner_grid)).collect()
                    }
                    Evaluated::Scalar(_) | Evaluated::Text(_) => Vec::new(),
                }
            }
        };
        let edges = match &expr.of {
            RangeOf::Samples(selector) => selector.edges,
            RangeOf::Subquery { .. } => Edges::Plain,
        };
        Ok(Ranges { series, range, shift, edges, counted })
    }

    /// The instants of a subquery: whole multiples of its step, the same for every step of the query around it.
    fn subgrid(&self, grid: Grid, range: i64, step: i64, shift: Fixed) -> Result<Grid, QueryError> {
        if grid.count == 0 {
            return Ok(Grid { start: 0, step, count: 0 });
        }
        let open = self.shifted(shift, grid.start).saturating_sub(range);
        let end = self.shifted(shift, grid.end());
        let mut start = (open / step).saturating_mul(step);
        if start <= open {
            start = start.saturating_add(step);
        }
        let count = if start > end { 0 } else { end.saturating_sub(start) / step + 1 };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.charge(count)?;
        Ok(Grid { start, step, count })
    }
}

impl From<SeriesData> for RangeSeries {
    fn from(series: SeriesData) -> Self {
        Self { labels: series.labels, nameless: false, floats: series.samples, histograms: series.histograms }
    }
}

impl RangeSeries {
    /// Without stale markers. Done one series at a time, right before it is used, while it is in the cache.
    pub(crate) fn cleaned(mut self) -> Self {
        // Most series have none; looking is cheaper than moving.
        if self.floats.iter().any(|s| is_stale(s.value)) {
            self.floats.retain(|s| !is_stale(s.value));
        }
        self.histograms.retain(|h| !is_stale(h.histogram.sum));
        self
    }

    /// A column of a subquery. What a histogram says about resets holds between neighbours only, and a subquery may
    /// skip some or give one twice.
    fn of(column: Column, grid: Grid) -> Self {
        let nameless = column.nameless;
        let mut series = Self { nameless, ..Self::from(samples(column, grid)) };
        for sample in &mut series.histograms {
            if matches!(sample.histogram.reset_hint, ResetHint::Reset | ResetHint::NoReset) {
                let plain = Histogram { reset_hint: ResetHint::Unknown, ..sample.histogram.as_ref().clone() };
                sample.histogram = Arc::new(plain);
            }
        }
        series
    }
}

/// The newer of a float and a histogram; nothing where that one is stale.
fn newer(float: Option<&Sample>, histogram: Option<&HistogramSample>, pick: Pick) -> Cell {
    match (float, histogram) {
        (float, Some(h)) if float.is_none_or(|f| f.at <= h.at) => match pick {
            _ if is_stale(h.histogram.sum) => Cell::None,
            Pick::Value => Cell::Histogram(Arc::clone(&h.histogram)),
            Pick::Time => Cell::Float(seconds(h.at.0)),
        },
        (Some(f), _) if !is_stale(f.value) => match pick {
            Pick::Value => Cell::Float(f.value),
            Pick::Time => Cell::Float(seconds(f.at.0)),
        },
        _ => Cell::None,
    }
}

/// How many items from `from` on are accepted; those that are come first. Looks near `from` before it looks far, for
/// cursors that move a little most of the time.
pub(crate) fn ahead<T>(items: &[T], from: usize, accept: impl Fn(&T) -> bool) -> usize {
    let rest = items.get(from..).unwrap_or_default();
    let mut near = 0;
    let mut far = 1;
    while rest.get(far - 1).is_some_and(&accept) {
        near = far;
        far *= 2;
    }
    let between = rest.get(near..far.min(rest.len())).unwrap_or_default();
    near + between.partition_point(accept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_moves_over_all_that_is_accepted() {
        for length in 0..40 {
            let items: Vec<usize> = (0..length).collect();
            for from in 0..=length {
                for accepted in 0..=length {
                    let wanted = accepted.saturating_sub(from);
                    assert_eq!(ahead(&items, from, |i| *i < accepted), wanted, "{length} {from} {accepted}");
                }
            }
        }
    }
}
