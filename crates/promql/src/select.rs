//! Selectors: loading series once for all steps, and looking at them step by step.

use wellkept_model::{Sample, SeriesData, SourceLimits, TimestampMs, is_stale};

use crate::QueryError;
use crate::column::{Column, Grid, is_absent};
use crate::eval::{Evaluated, Evaluator};
use crate::expr::{At, RangeExpr, RangeOf, Selector, Shift};
use crate::window::{Window, WindowFn};

/// How far back an instant selector looks for the newest sample, milliseconds: Prometheus' default.
const LOOKBACK: i64 = 5 * 60 * 1000;

/// Which part of a sample an instant selector gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    Value,
    /// Seconds since the epoch, for `timestamp()`.
    Time,
}

/// The series of a range selector or subquery without stale markers, and where their windows lie.
pub(crate) struct Ranges {
    pub(crate) series: Vec<SeriesData>,
    range: i64,
    shift: Shift,
}

impl Evaluator<'_> {
    /// The instant that a shifted selector looks at, for a step.
    fn shifted(&self, shift: Shift, step: i64) -> i64 {
        let base = match shift.at {
            None => step,
            Some(At::Start) => self.first,
            Some(At::End) => self.last,
            Some(At::Time(at)) => at,
        };
        base.saturating_sub(shift.offset)
    }

    /// All samples that any step of the grid can see: from `back` before the first, that end not included.
    fn load(&self, selector: &Selector, grid: Grid, back: i64) -> Result<Vec<SeriesData>, QueryError> {
        if grid.count == 0 {
            return Ok(Vec::new());
        }
        let from = self.shifted(selector.shift, grid.start).saturating_sub(back).saturating_add(1);
        let to = self.shifted(selector.shift, grid.end());
        let left = self.limits.samples.saturating_sub(self.spent.get());
        let limits = SourceLimits { series: self.limits.series, samples: left, time: self.limits.time };
        let series = self
            .source
            .select(&selector.matchers, TimestampMs(from), TimestampMs(to), &limits)
            .map_err(|source| QueryError::from_source(source, &selector.text, self.limits))?;
        if series.len() > self.limits.series {
            return Err(QueryError::TooMuch { what: "series", limit: self.limits.series });
        }
        self.charge(series.iter().map(|s| s.samples.len()).sum())?;
        Ok(series)
    }

    /// The newest sample of each series at each step, unless it is stale or older than five minutes.
    pub(crate) fn instant_vector(
        &self,
        selector: &Selector,
        grid: Grid,
        pick: Pick,
    ) -> Result<Vec<Column>, QueryError> {
        let mut columns = Vec::new();
        for series in self.load(selector, grid, LOOKBACK)? {
            let mut column = self.column(series.labels, grid)?;
            let mut newer = series.samples.iter().peekable();
            let mut newest: Option<&Sample> = None;
            for (value, step) in column.values.iter_mut().zip(grid.times()) {
                let at = self.shifted(selector.shift, step);
                while let Some(sample) = newer.next_if(|s| s.at.0 <= at) {
                    newest = Some(sample);
                }
                let oldest = at.saturating_sub(LOOKBACK);
                if let Some(sample) = newest.filter(|s| s.at.0 > oldest && !is_stale(s.value)) {
                    *value = if pick == Pick::Value { sample.value } else { sample.at.as_seconds() };
                }
            }
            self.work(series.samples.len() + grid.count)?;
            if !column.is_empty() {
                columns.push(column);
            }
        }
        Ok(columns)
    }

    /// The series that a range expression sees at any step.
    pub(crate) fn ranges(&self, expr: &RangeExpr, grid: Grid) -> Result<Ranges, QueryError> {
        let mut series = match &expr.of {
            RangeOf::Samples(selector) => self.load(selector, grid, expr.range)?,
            RangeOf::Subquery { inner, step, shift } => {
                let inner_grid = self.subgrid(grid, expr.range, *step, *shift)?;
                match self.eval(inner, inner_grid)? {
                    Evaluated::Vector(columns) => {
                        columns.into_iter().map(|c| samples(c, inner_grid)).collect()
                    }
                    Evaluated::Scalar(_) | Evaluated::Text(_) => Vec::new(),
                }
            }
        };
        for one in &mut series {
            one.samples.retain(|s| !is_stale(s.value));
        }
        series.retain(|s| !s.samples.is_empty());
        Ok(Ranges { series, range: expr.range, shift: expr.shift() })
    }

    /// The instants of a subquery: whole multiples of its step, the same for every step of the query around it.
    fn subgrid(&self, grid: Grid, range: i64, step: i64, shift: Shift) -> Result<Grid, QueryError> {
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

    /// Runs a function over the windows of all series.
    pub(crate) fn windows(
        &self,
        ranges: &Ranges,
        grid: Grid,
        params: Option<&[f64]>,
        apply: WindowFn,
    ) -> Result<Vec<Column>, QueryError> {
        let mut columns = Vec::new();
        for series in &ranges.series {
            let mut column = self.column(series.labels.clone(), grid)?;
            let mut params = params.map(|p| p.iter().copied());
            let (mut low, mut high) = (0, 0);
            for (value, at) in column.values.iter_mut().zip(grid.times()) {
                let param = params.as_mut().and_then(Iterator::next).unwrap_or(f64::NAN);
                let end = self.shifted(ranges.shift, at);
                let start = end.saturating_sub(ranges.range);
                high += ahead(&series.samples, high, |s| s.at.0 <= end);
                low += ahead(&series.samples, low, |s| s.at.0 <= start);
                let samples = series.samples.get(low..high).unwrap_or_default();
                self.work(samples.len() + 1)?;
                if !samples.is_empty()
                    && let Some(got) = apply(&Window { samples, start, end, at, param })
                {
                    *value = got;
                }
            }
            if !column.is_empty() {
                columns.push(column);
            }
        }
        Ok(columns)
    }
}

/// How many samples from `from` on are accepted in a row.
fn ahead(samples: &[Sample], from: usize, accept: impl Fn(&Sample) -> bool) -> usize {
    samples.get(from..).unwrap_or_default().iter().take_while(|s| accept(s)).count()
}

/// A column as samples.
pub(crate) fn samples(column: Column, grid: Grid) -> SeriesData {
    let there = grid.times().zip(column.values).filter(|(_, v)| !is_absent(*v));
    let samples = there.map(|(at, value)| Sample { at: TimestampMs(at), value }).collect();
    SeriesData::floats(column.labels, samples)
}
