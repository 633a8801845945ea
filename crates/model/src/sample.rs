//! Numbers with a time.

use std::sync::Arc;

use crate::{Histogram, Labels, TimestampMs};

/// One value of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was measured.
    pub at: TimestampMs,
    /// What was measured, in the unit that the metric's name says.
    pub value: f64,
}

/// All samples that one source gave at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// When the source was read.
    pub at: TimestampMs,
    /// Identity of the source (for example `instance`, `job`); names the target group in the store. These labels
    /// are part of `samples`' labels already.
    pub target: Labels,
    /// Series with their value; every series at most once.
    pub samples: Vec<(Labels, f64)>,
    /// Series with a native histogram; every series at most once.
    pub histograms: Vec<(Labels, Arc<Histogram>)>,
}

/// Bits of the NaN that marks the end of a series, as Prometheus defines it.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that says "this series has ended here".
#[must_use]
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// True for the stale marker only; other NaNs are values.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
