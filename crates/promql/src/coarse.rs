//! Rows that stand for stretches of time, where a source no longer has the samples themselves.
//!
//! Such a row stands at the end of its stretch. An instant selector looks back from it by the length of a stretch, and a
//! window that is too short to hold a row is made longer where that does not change what the function means (a rate per
//! second over an hour is still a rate per second; a sum over an hour is another sum). The answer says so.

use wellkept_model::{Aggregate, Selected, SeriesData, TimestampMs};

use crate::column::Grid;
use crate::notes::Notes;
use crate::syntax::functions::WindowFn;
use crate::syntax::number::format_duration;
use crate::syntax::token::Span;

/// What a selector loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) series: Vec<SeriesData>,
    pub(crate) rows: Rows,
    /// Each value is a number of samples.
    pub(crate) counted: bool,
}

/// Which of the loaded samples are rows: resolution and time of the last row, earliest first.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<(i64, TimestampMs)>);

impl From<Selected> for Loaded {
    fn from(selected: Selected) -> Self {
        let mut rows = selected.rows_until;
        rows.retain(|(resolution, _)| *resolution > 0);
        rows.sort_by_key(|(resolution, until)| (*until, -*resolution));
        let counted = selected.aggregate == Aggregate::Count;
        Self { series: selected.series, rows: Rows(rows), counted }
    }
}

impl Loaded {
    /// Notes which resolutions were used.
    pub(crate) fn tell(&self, notes: &Notes, span: Span) {
        for (resolution, _) in &self.rows.0 {
            let length = format_duration(*resolution);
            notes.info(span, &format!("values are in part rows that stand for {length} each"));
        }
    }
}

impl Rows {
    /// Whether the sample at `sample` is a row whose stretch, laid after it, reaches `at`.
    pub(crate) fn reach(&self, sample: TimestampMs, at: i64) -> bool {
        let resolution = self.0.iter().find(|(_, until)| sample <= *until).map_or(0, |(r, _)| *r);
        at < sample.0.saturating_add(resolution)
    }

    /// Length of window that a function needs to see rows: `None` where the range that was asked for serves, or where
    /// another length would say something else.
    pub(crate) fn window(&self, function: WindowFn, range: i64, last: i64, grid: Grid) -> Option<i64> {
        let needed = rows_needed(function)?;
        let wider = |&(resolution, until): &(i64, TimestampMs)| {
            let length = resolution.saturating_mul(needed);
            // Steps that see samples as they came keep their window, unless they are as far apart as the longer one.
            let fits = last < until.0.saturating_add(length) || grid.step >= length;
            (length > range && fits).then_some(length)
        };
        self.0.iter().filter_map(wider).max()
    }
}

/// How many rows a window must hold; `None` where the length of the window is part of the answer.
fn rows_needed(function: WindowFn) -> Option<i64> {
    use WindowFn as F;
    match function {
        F::Rate | F::Irate | F::Idelta | F::Deriv | F::PredictLinear | F::DoubleExponentialSmoothing => {
            Some(2)
        }
        F::Avg | F::Min | F::Max | F::Present | F::Quantile | F::First | F::Last | F::TsOfFirst => Some(1),
        F::TsOfLast | F::TsOfMin | F::TsOfMax | F::Stddev | F::Stdvar | F::Mad => Some(1),
        F::Increase | F::Delta | F::Resets | F::Changes | F::Sum | F::Count | F::Tally => None,
    }
}
