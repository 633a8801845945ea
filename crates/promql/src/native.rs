//! Arithmetic over native histograms: what PromQL does with them, as Prometheus' specification says.
//!
//! [`Native`] is a histogram opened up: each side is a list of (bucket, count) in order of the buckets, so that adding,
//! reducing the resolution and comparing are merges of two lists. The stored form comes from strangers; lengths that
//! do not fit each other, odd schemas and thresholds that are no numbers are survived here.

mod buckets;
mod estimate;
mod math;
mod reset;
mod text;
mod total;
mod trim;

pub(crate) use buckets::Bucket;
pub(crate) use estimate::{Estimate, Nan, fraction, quantile, variance};
pub(crate) use math::Mismatch;
pub(crate) use reset::{Hints, is_reset};
pub(crate) use text::{display, script};
pub(crate) use total::Total;
pub(crate) use trim::trim;

use std::sync::Arc;

use wellkept_model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint};

/// A histogram opened for arithmetic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: f64,
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// In order of the buckets, each once.
    pub(crate) positive: Vec<(i64, f64)>,
    /// As `positive`, mirrored.
    pub(crate) negative: Vec<(i64, f64)>,
    pub(crate) custom: Vec<f64>,
    pub(crate) hint: ResetHint,
}

impl Native {
    pub(crate) fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    pub(crate) fn shared(self) -> Arc<Histogram> {
        Arc::new(self.into())
    }
}

impl From<&Histogram> for Native {
    fn from(h: &Histogram) -> Self {
        Self {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count: h.zero_count,
            count: h.count,
            sum: h.sum,
            positive: buckets::open(&h.positive_spans, &h.positive),
            negative: buckets::open(&h.negative_spans, &h.negative),
            custom: h.custom_values.clone(),
            hint: h.reset_hint,
        }
    }
}

/// Back to the stored form; empty buckets are left out.
impl From<Native> for Histogram {
    fn from(n: Native) -> Self {
        let (positive_spans, positive) = buckets::close(&n.positive);
        let (negative_spans, negative) = buckets::close(&n.negative);
        Self {
            schema: n.schema,
            zero_threshold: n.zero_threshold,
            zero_count: n.zero_count,
            count: n.count,
            sum: n.sum,
            positive_spans,
            positive,
            negative_spans,
            negative,
            custom_values: n.custom,
            reset_hint: n.hint,
        }
    }
}
