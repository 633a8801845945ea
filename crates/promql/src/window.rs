//! Functions of a range of samples: moving the window along the steps, and what each function says to one window.
//!
//! A range is open at its left and closed at its right end, as in Prometheus 3. Stale markers are taken out before.

mod counters;
mod edges;
mod histograms;
mod over_time;
mod trend;

pub(crate) use edges::between;

use std::sync::Arc;

use wellkept_model::{Histogram, HistogramSample, Sample};

use crate::QueryError;
use crate::column::{Cell, Column, Grid};
use crate::eval::Evaluator;
use crate::names::metric_name;
use crate::notes::Notes;
use crate::select::{Fixed, RangeSeries, Ranges, ahead};
use crate::syntax::functions::WindowFn;
use crate::syntax::token::Span;
use crate::syntax::tree::Edges;

/// What a function sees at one step.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    /// In order of time; with `histograms` never both empty.
    floats: &'a [Sample],
    histograms: &'a [HistogramSample],
    /// Left end, milliseconds, not part of it.
    start: i64,
    /// Right end, milliseconds, part of it.
    end: i64,
    /// The step itself; differs from `end` by the offset.
    at: i64,
    /// The function's scalars, where it takes some.
    params: [f64; 2],
    notes: &'a Notes,
    /// The metric's name, for notes.
    metric: &'a str,
    span: Span,
}

impl Window<'_> {
    fn values(&self) -> impl Iterator<Item = f64> + Clone {
        self.floats.iter().map(|s| s.value)
    }

    /// Tells that histograms among the floats were not looked at.
    fn ignore_histograms(&self) {
        if !self.histograms.is_empty() {
            self.notes.ignored_in_range(self.metric, self.span);
        }
    }

    /// Whether floats and histograms come together, which is told of.
    fn is_mixed(&self) -> bool {
        let mixed = !self.floats.is_empty() && !self.histograms.is_empty();
        if mixed {
            self.notes.mixed_samples(self.metric, self.span);
        }
        mixed
    }

    /// Floats and histograms in order of time.
    fn all(&self) -> impl Iterator<Item = Either<'_>> {
        let (mut floats, mut histograms) = (self.floats.iter().peekable(), self.histograms.iter().peekable());
        std::iter::from_fn(move || match (floats.peek(), histograms.peek()) {
            (Some(f), h) if h.is_none_or(|h| f.at < h.at) => floats.next().map(Either::Float),
            (_, Some(_)) => histograms.next().map(Either::Histogram),
            _ => None,
        })
    }
}

/// A sample of either kind.
enum Either<'a> {
    Float(&'a Sample),
    Histogram(&'a HistogramSample),
}

impl Either<'_> {
    fn at(&self) -> i64 {
        match self {
            Self::Float(sample) => sample.at.0,
            Self::Histogram(sample) => sample.at.0,
        }
    }
}

fn float(value: f64) -> Cell {
    Cell::Float(value)
}

fn histogram(h: impl Into<Histogram>) -> Cell {
    Cell::Histogram(Arc::new(h.into()))
}

fn apply(f: WindowFn, w: &Window<'_>) -> Result<Cell, QueryError> {
    use WindowFn as F;
    Ok(match f {
        F::Rate | F::Increase | F::Delta => counters::extrapolated(w, f),
        F::Irate => counters::instant(w, true),
        F::Idelta => counters::instant(w, false),
        F::Resets => counters::resets(w),
        F::Changes => counters::changes(w),
        F::Deriv => trend::deriv(w),
        F::PredictLinear => trend::predict_linear(w),
        F::DoubleExponentialSmoothing => return trend::smoothed(w),
        F::Avg => over_time::avg(w),
        F::Sum => over_time::sum(w),
        F::Min | F::Max | F::TsOfMin | F::TsOfMax => over_time::extreme(w, f),
        #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
        F::Count => float((w.floats.len() + w.histograms.len()) as f64),
        #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
        F::Tally => float(w.values().sum::<f64>() + w.histograms.len() as f64),
        F::Present => float(1.0),
        F::Stddev | F::Stdvar | F::Quantile | F::Mad => over_time::spread(w, f),
        F::First | F::Last | F::TsOfFirst | F::TsOfLast => over_time::end(w, f),
    })
}

impl Evaluator<'_> {
    /// Runs a function over the windows of all series.
    pub(crate) fn windows(
        &self,
        ranges: Ranges,
        grid: Grid,
        params: [Option<&[f64]>; 2],
        function: WindowFn,
        span: Span,
    ) -> Result<Vec<Column>, QueryError> {
        let (range, shift, edges) = (ranges.range, ranges.shift, ranges.edges);
        // With `@` every step sees the same window; only a parameter or the step itself could tell them apart.
        let pinned =
            ranges.is_pinned() && params.iter().all(Option::is_none) && function != WindowFn::PredictLinear;
        let grid_seen = if pinned { Grid { count: grid.count.min(1), ..grid } } else { grid };
        let seen = Seen { grid: grid_seen, range, shift, params, function, span };
        let at_once = match function {
            WindowFn::Rate | WindowFn::Increase | WindowFn::Delta => Some(true),
            WindowFn::Min | WindowFn::Max => Some(false),
            _ => None,
        };
        let mut columns = Vec::with_capacity(ranges.series.len());
        for series in ranges.series {
            let series = series.cleaned();
            let mut column = self.column(series.labels.clone(), grid)?;
            column.nameless = series.nameless;
            let any = match at_once.filter(|_| series.histograms.is_empty() && edges == Edges::Plain) {
                None if edges != Edges::Plain => {
                    self.work(series.floats.len() + grid.count)?;
                    let ends = seen.grid.times().map(|at| self.shifted(shift, at));
                    let look = edges::Look { range, lookback: self.lookback(), edges, function };
                    edges::walk(&series.floats, ends, &look, &mut column.values)
                }
                None => self.walk(&series, &seen, &mut column)?,
                Some(rate) => {
                    self.work(series.floats.len() / 4 + grid.count)?;
                    let ends = seen.grid.times().map(|at| self.shifted(shift, at));
                    let all = if rate { counters::rates } else { over_time::extremes };
                    all(&series.floats, ends, range, function, &mut column.values)
                }
            };
            if !any {
                continue;
            }
            if pinned {
                let first = column.cell(0);
                (1..grid.count).for_each(|step| column.set(step, first.clone()));
            }
            if function.wants_counter() {
                self.name_of_a_counter(&column, span);
            }
            columns.push(column);
        }
        Ok(columns)
    }

    /// Moves the window along one series; true when there is any value.
    fn walk(&self, series: &RangeSeries, seen: &Seen<'_>, column: &mut Column) -> Result<bool, QueryError> {
        let hidden = series.nameless && !self.limits.delayed_name_removal;
        let metric = if hidden { "" } else { metric_name(&series.labels) };
        let mut cursor = Cursor { series, floats: (0, 0), histograms: (0, 0) };
        let (notes, span) = (&self.notes, seen.span);
        let mut any = false;
        for (step, at) in seen.grid.times().enumerate() {
            let end = self.shifted(seen.shift, at);
            let start = end.saturating_sub(seen.range);
            let (floats, histograms) = cursor.to(start, end);
            self.work(floats.len() / 8 + histograms.len() * 16 + 1)?;
            if floats.is_empty() && histograms.is_empty() {
                continue;
            }
            let params = seen.params.map(|p| p.and_then(|p| p.get(step)).copied().unwrap_or(f64::NAN));
            let window = Window { floats, histograms, start, end, at, params, notes, metric, span };
            let cell = apply(seen.function, &window)?;
            any |= !cell.is_none();
            self.charge_cell(&cell)?;
            match cell {
                Cell::None => {}
                Cell::Float(value) => {
                    if let Some(at) = column.values.get_mut(step) {
                        *at = value;
                    }
                }
                cell @ Cell::Histogram(_) => column.set(step, cell),
            }
        }
        Ok(any)
    }

    /// A rate of what is not called as a counter is called is probably a mistake.
    fn name_of_a_counter(&self, column: &Column, span: Span) {
        // A subquery's values may have lost their name.
        let hidden = column.nameless && !self.limits.delayed_name_removal;
        let metric = if hidden { "" } else { metric_name(&column.labels) };
        let suffixes = ["_total", "_sum", "_count", "_bucket"];
        if metric.is_empty() || suffixes.iter().any(|s| metric.ends_with(s)) {
            return;
        }
        if column.values.iter().any(|v| !crate::column::is_absent(*v)) {
            self.notes.info(
                span,
                &format!(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
                ),
            );
        }
    }
}

/// What all series of a call have in common.
struct Seen<'p> {
    /// The steps that are looked at.
    grid: Grid,
    range: i64,
    shift: Fixed,
    params: [Option<&'p [f64]>; 2],
    function: WindowFn,
    span: Span,
}

/// Moves along a series with the windows, which only move forward.
struct Cursor<'a> {
    series: &'a RangeSeries,
    floats: (usize, usize),
    histograms: (usize, usize),
}

impl<'a> Cursor<'a> {
    /// The samples in `(start, end]`.
    fn to(&mut self, start: i64, end: i64) -> (&'a [Sample], &'a [HistogramSample]) {
        let floats = &self.series.floats;
        self.floats.1 += ahead(floats, self.floats.1, |s| s.at.0 <= end);
        self.floats.0 += ahead(floats, self.floats.0, |s| s.at.0 <= start);
        let histograms = &self.series.histograms;
        self.histograms.1 += ahead(histograms, self.histograms.1, |s| s.at.0 <= end);
        self.histograms.0 += ahead(histograms, self.histograms.0, |s| s.at.0 <= start);
        (
            floats.get(self.floats.0..self.floats.1).unwrap_or_default(),
            histograms.get(self.histograms.0..self.histograms.1).unwrap_or_default(),
        )
    }
}
