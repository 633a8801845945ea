//! Native histograms: a whole distribution as one sample, in sparse buckets.
//!
//! The shape is Prometheus' (<https://prometheus.io/docs/specs/native_histograms/>), always with counts as floats:
//! whole numbers below 2^53 are exact in them. Arithmetic over histograms is PromQL's and lives there.

use std::sync::Arc;

use crate::TimestampMs;

/// Schema number that says: bounds are those in [`Histogram::custom_values`].
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of buckets without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Buckets left out since the span before; the first span counts from bucket 0 and may be negative.
    pub offset: i32,
    /// Buckets in the run.
    pub length: u32,
}

/// What is known about a reset of the counters since the sample before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// To be found out by comparing the two.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NoReset,
    /// The question does not arise: the histogram is a gauge.
    Gauge,
}

/// One native histogram.
///
/// Bucket `i` of an exponential schema `s` (-4 to 8) holds observations in `(b^(i-1), b^i]` with `b = 2^(2^-s)`;
/// negative buckets mirror that. Bucket `i` of [`CUSTOM_BUCKETS_SCHEMA`] ends at `custom_values[i]`, the last one at
/// +Inf.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Resolution of the buckets.
    pub schema: i32,
    /// Observations between minus and plus this are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Observations in all, NaN ones included; [`crate::is_stale`] of [`Self::sum`] marks the end of a series.
    pub count: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Observations in each positive bucket (absolute, not differences).
    pub positive: Vec<f64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Observations in each negative bucket (absolute, not differences).
    pub negative: Vec<f64>,
    /// Upper bounds of [`CUSTOM_BUCKETS_SCHEMA`], rising, without +Inf; empty for the exponential schemas.
    pub custom_values: Vec<f64>,
    /// What is known about resets.
    pub reset_hint: ResetHint,
}

/// A native histogram with its time. Shared: histograms are large and never changed in place.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// When it was measured.
    pub at: TimestampMs,
    /// What was measured.
    pub histogram: Arc<Histogram>,
}
