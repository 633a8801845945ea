//! Differences of native histograms over a range.

use wellkept_model::{Histogram, ResetHint};

use super::Window;
use crate::native::{Native, is_reset};

impl Window<'_> {
    fn not_a_counter(&self) {
        let metric = self.metric;
        self.notes.warn(self.span, &format!("this native histogram metric is not a counter: {metric:?}"));
    }

    fn not_a_gauge(&self) {
        let metric = self.metric;
        self.notes.warn(self.span, &format!("this native histogram metric is not a gauge: {metric:?}"));
    }

    /// Gives what went well, and tells of what does not fit together.
    fn fitting(&self, result: Result<(), crate::native::Mismatch>) -> Option<()> {
        result.map_err(|_| self.notes.mismatch(self.metric, self.span)).ok()
    }
}

fn is_gauge(h: &Histogram) -> bool {
    h.reset_hint == ResetHint::Gauge
}

/// What a histogram grew by from the first to the last sample of the window. Resets are made up for where it is a
/// `counter`; nothing where the samples cannot be put together.
pub(super) fn grown(w: &Window<'_>, counter: bool) -> Option<Native> {
    let (first, last) = (&w.histograms.first()?.histogram, &w.histograms.last()?.histogram);
    let ends_are_gauges = (is_gauge(first), is_gauge(last));
    if counter && (ends_are_gauges.0 || ends_are_gauges.1) {
        w.not_a_counter();
    }
    let second = &w.histograms.get(1)?.histogram;
    let mut start = Native::from(first.as_ref());
    // With a reset right after it, the first sample counts for nothing, and its buckets need not fit.
    let empty = counter && is_reset(second, first);
    if empty {
        start = Native { schema: second.schema, custom: second.custom_values.clone(), ..Native::default() };
    }
    let mut total = Native::from(last.as_ref());
    w.fitting(total.fits(&start))?;
    let mut schema = start.schema.min(total.schema);
    let inner = w.histograms.get(1..w.histograms.len() - 1).unwrap_or_default();
    for sample in inner.iter().filter(|_| counter) {
        if is_gauge(&sample.histogram) {
            w.not_a_counter();
        }
        let custom = sample.histogram.schema == wellkept_model::CUSTOM_BUCKETS_SCHEMA;
        if custom != start.is_custom() {
            w.notes.mismatch(w.metric, w.span);
            return None;
        }
        schema = schema.min(sample.histogram.schema);
    }
    total.reduce(schema);
    w.notes.reconciled(&total, &start, "subtraction", w.span);
    w.fitting(total.sub(&start))?;
    if counter {
        let mut before = if empty { None } else { Some(first.as_ref()) };
        for sample in w.histograms.get(1..).unwrap_or_default() {
            let now = sample.histogram.as_ref();
            if let Some(before) = before.filter(|before| is_reset(now, before)) {
                let before = Native::from(before);
                w.notes.reconciled(&total, &before, "addition", w.span);
                w.fitting(total.add(&before))?;
            }
            before = Some(now);
        }
    } else if !(ends_are_gauges.0 && ends_are_gauges.1) {
        w.not_a_gauge();
    }
    total.hint = ResetHint::Gauge;
    Some(total)
}

/// The difference of two neighbours; after a reset of a counter, the newer one itself.
pub(super) fn between(w: &Window<'_>, a: &Histogram, b: &Histogram, counter: bool) -> Option<Native> {
    if counter && (is_gauge(a) || is_gauge(b)) {
        w.not_a_counter();
    }
    if !(counter || is_gauge(a) && is_gauge(b)) {
        w.not_a_gauge();
    }
    let mut grown = Native::from(b);
    if !counter || !is_reset(b, a) {
        let a = Native::from(a);
        w.notes.reconciled(&grown, &a, "subtraction", w.span);
        w.fitting(grown.sub(&a))?;
    }
    grown.hint = ResetHint::Gauge;
    Some(grown)
}
