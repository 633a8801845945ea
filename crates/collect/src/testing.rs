//! Helpers for the tests of this crate.

use wellkept_model::Labels;

/// The value of the series that PromQL would write so.
pub(crate) fn value(samples: &[(Labels, f64)], series: &str) -> Option<f64> {
    samples.iter().find(|(l, _)| l.to_string() == series).map(|(_, v)| *v)
}

/// The first value of a metric.
pub(crate) fn any(samples: &[(Labels, f64)], metric: &str) -> Option<f64> {
    samples.iter().find(|(l, _)| l.name() == metric).map(|(_, v)| *v)
}
