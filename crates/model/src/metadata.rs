//! What a source tells about its metrics besides their values.

use serde::{Deserialize, Serialize};

use crate::{Labels, TimestampMs};

/// What kind of metric a family is, under the names of OpenMetrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only rises, or starts again at 0.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations counted in buckets, classic or native.
    Histogram,
    /// A histogram whose buckets may fall.
    GaugeHistogram,
    /// Quantiles that the source computed.
    Summary,
    /// Labels around a constant 1.
    Info,
    /// One of several states.
    StateSet,
    /// Not told.
    #[default]
    Unknown,
}

/// Kind, help and unit of one metric family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name of the family as PromQL would use it.
    pub family: String,
    /// Its kind.
    pub kind: MetricKind,
    /// What people are told about it.
    pub help: String,
    /// Base unit; empty when not told.
    pub unit: String,
}

/// One observation that stands for many: most often it names a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The series that it belongs to.
    pub series: Labels,
    /// Its own labels, `trace_id` for example.
    pub labels: Labels,
    /// The value observed.
    pub value: f64,
    /// When it was observed.
    pub at: TimestampMs,
}
