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
        Self { series: 100_000, samples: 50_000_000, time: Duration::from_secs(30) }
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
