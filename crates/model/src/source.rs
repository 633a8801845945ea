//! Where PromQL reads from: the embedded store today, a Prometheus-compatible server tomorrow.

use std::time::Duration;

use crate::{HistogramSample, Labels, Matcher, Sample, TimestampMs};

/// One series with its samples in order of time. At one instant it has a float or a histogram, never both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesData {
    /// Identity.
    pub labels: Labels,
    /// Oldest first, times strictly rising; stale markers are kept.
    pub samples: Vec<Sample>,
    /// Native histograms, as [`Self::samples`] are ordered.
    pub histograms: Vec<HistogramSample>,
}

impl SeriesData {
    /// A series of floats.
    #[must_use]
    pub fn floats(labels: Labels, samples: Vec<Sample>) -> Self {
        Self { labels, samples, histograms: Vec::new() }
    }
}

/// What one selection may cost.
#[derive(Debug, Clone, Copy)]
pub struct SourceLimits {
    /// Most series that a selection may give.
    pub series: usize,
    /// Most samples that a selection may load.
    pub samples: usize,
    /// Longest time that it may take.
    pub time: Duration,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self { series: 1_000_000, samples: 50_000_000, time: Duration::from_secs(30) }
    }
}

/// A selection that failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It would cost more than the limits allow.
    #[error("the selection needs more than {limit} {what}; narrow the matchers or the time range")]
    TooMuch {
        /// `series`, `samples` or `milliseconds`.
        what: &'static str,
        /// The limit that was hit.
        limit: usize,
    },
    /// The data is damaged or cannot be read.
    #[error("failed to read {what}")]
    Read {
        /// File and time range.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a selection is for. A source may use it to read less; the default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Distance of the query's steps, milliseconds; 0 for a query at one instant or when unknown.
    pub step_ms: i64,
    /// Length of the range selector, milliseconds; 0 for an instant selector.
    pub range_ms: i64,
    /// How far an instant selector looks back, milliseconds; 0 when unknown.
    pub lookback_ms: i64,
    /// The function around the selector, as PromQL calls it (`rate`, `max_over_time`); empty for none.
    pub func: String,
}

/// What the values of a selection are, where rows stand for a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// The last sample of the stretch.
    #[default]
    Last,
    /// The least sample.
    Min,
    /// The greatest sample.
    Max,
    /// The sum of the samples.
    Sum,
    /// How many samples there were: `count_over_time` is the sum of these. Samples that came as they are have the
    /// value 1 then, so that a selection of both can be added up.
    Count,
    /// Their mean; rows of stretches with more samples do not weigh more.
    Average,
    /// A counter without resets that grows by as much as the real one did, and ends at its value: `rate` and
    /// `increase` over it are right across resets that no row shows.
    Counter,
}

/// Series, with how they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selected {
    /// As [`SeriesSource::select`] gives them.
    pub series: Vec<SeriesData>,
    /// The resolutions that were used, milliseconds, finest first; 0: samples as they came.
    pub resolutions_ms: Vec<i64>,
    /// For each resolution but 0: the time of its last row. Coarser rows come before finer ones, and those before samples.
    pub rows_until: Vec<(i64, TimestampMs)>,
    /// What values of rows with a resolution are.
    pub aggregate: Aggregate,
}

/// Anything that can give series: blocking, called from a thread that may wait.
pub trait SeriesSource: Send + Sync {
    /// Series that match all matchers, with their samples in `from..=to` (both ends included), sorted by labels.
    /// Series without a sample in the range are left out.
    ///
    /// # Errors
    /// [`SourceError`] when a limit is hit or data cannot be read.
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError>;

    /// As [`Self::select`], for a purpose: a source that keeps coarser rows of old samples may choose those, and says so.
    /// A row of a resolution stands at the end of its stretch of time, and an instant selector must look back from it at
    /// least as far as that stretch is long: for that, rows of up to one stretch before `from` may come too.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn select_hinted(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        hints: &Hints,
        limits: &SourceLimits,
    ) -> Result<Selected, SourceError> {
        let _ = hints;
        let series = self.select(matchers, from, to, limits)?;
        Ok(Selected { series, resolutions_ms: vec![0], ..Selected::default() })
    }

    /// Label sets only, sorted; as [`Self::select`].
    ///
    /// # Errors
    /// As [`Self::select`].
    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError>;
}
