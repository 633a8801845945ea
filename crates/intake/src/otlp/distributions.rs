//! Data points that are whole distributions, and the exemplars of all kinds of points.

use wellkept_model::{Histogram, Sink, stale_marker};

use super::exponential::Point;
use super::points::{Fault, Metric, milliseconds};
use super::{LabelSet, Request};
use crate::number;
use crate::proto::{Field, ProtoError};

/// Exemplars of one data point that are looked at.
pub(super) const EXEMPLARS_MAX: usize = 100;
/// Characters that the labels of an exemplar may have together.
const EXEMPLAR_CHARS_MAX: usize = 128;

impl<S: Sink + ?Sized> Request<'_, S> {
    pub(super) fn histogram(&mut self, metric: &Metric<'_>, point: &Field<'_>) -> Result<(), Fault> {
        let stamp = self.stamp(point, 10)?;
        let (mut count, mut sum) = (0, None);
        let (mut counts, mut bounds, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
        let most = self.limits.buckets;
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                4 => count = field.fixed64()?,
                5 => sum = Some(field.double()?),
                6 => field.each_fixed64(|bits| push(&mut counts, bits, most, metric))?,
                7 => field.each_fixed64(|bits| push(&mut bounds, f64::from_bits(bits), most, metric))?,
                8 if exemplars.len() < EXEMPLARS_MAX => exemplars.push((exemplar_value(&field)?, field)),
                _ => {}
            }
        }
        if counts.len() != bounds.len() + 1 && !(counts.is_empty() && bounds.is_empty()) {
            return Err(metric.wrong("a histogram needs one bucket more than bounds"));
        }
        if bounds.iter().any(|b| b.is_nan()) || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(metric.wrong("the bounds of a histogram must rise"));
        }
        if let Some(sum) = sum {
            self.put(metric, "_sum", None, &stamp, sum)?;
        }
        self.put(metric, "_count", None, &stamp, count as f64)?;
        let (mut total, mut below) = (0_u64, f64::NEG_INFINITY);
        for (bound, in_bucket) in bounds.iter().zip(&counts).filter(|(b, _)| **b < f64::INFINITY) {
            total = total.saturating_add(*in_bucket);
            let le = number::shortest(*bound);
            self.put(metric, "_bucket", Some(("le", &le)), &stamp, total as f64)?;
            for (value, field) in &exemplars {
                if *value <= *bound && (*value > below || below == f64::NEG_INFINITY) {
                    self.exemplar(field)?;
                }
            }
            below = *bound;
        }
        self.put(metric, "_bucket", Some(("le", "+Inf")), &stamp, count as f64)?;
        let above = |value: f64| value > below || below == f64::NEG_INFINITY;
        exemplars.iter().filter(|(value, _)| above(*value)).try_for_each(|(_, field)| self.exemplar(field))
    }

    pub(super) fn exponential(&mut self, metric: &Metric<'_>, point: &Field<'_>) -> Result<(), Fault> {
        let stamp = self.stamp(point, 10)?;
        let mut parts = Point::default();
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                4 => parts.count = field.fixed64()?,
                5 => parts.sum = field.double()?,
                6 => parts.scale = field.sint32()?,
                7 => parts.zero_count = field.fixed64()?,
                8 => parts.positive.read(&field, self.limits)?,
                9 => parts.negative.read(&field, self.limits)?,
                14 => parts.zero_threshold = field.double()?,
                _ => {}
            }
        }
        let histogram = if stamp.missing {
            Histogram { sum: stale_marker(), ..Histogram::default() }
        } else {
            parts.histogram().map_err(|problem| metric.wrong(problem))?
        };
        self.series(&metric.name, "", None)?;
        if let Some(created) = stamp.created {
            self.sink.created(created);
        }
        self.check_samples()?;
        self.tally.histograms += 1;
        self.sink.histogram(stamp.at, histogram);
        let mut left = EXEMPLARS_MAX;
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 11 && left > 0 {
                left -= 1;
                self.exemplar(&field)?;
            }
        }
        Ok(())
    }

    /// Hands an exemplar of the sink's current series on.
    pub(super) fn exemplar(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        let value = exemplar_value(field)?;
        let mut at = self.now;
        let (mut trace, mut span) = (String::new(), String::new());
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => at = milliseconds(field.fixed64()?).unwrap_or(self.now),
                4 => span = hex(field.bytes()?),
                5 => trace = hex(field.bytes()?),
                _ => {}
            }
        }
        let mut more = LabelSet::default();
        more.read(field, 7, self.limits)?;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(
            [("trace_id", trace.as_str()), ("span_id", span.as_str())].iter().filter(|(_, v)| !v.is_empty()),
        );
        let chars: usize = pairs.iter().copied().chain(more.iter()).map(|(n, v)| n.len() + v.len()).sum();
        if chars <= EXEMPLAR_CHARS_MAX && more.broken.is_none() {
            pairs.extend(more.iter());
        }
        self.tally.exemplars += 1;
        self.sink.exemplar(at, value, &pairs);
        Ok(())
    }
}

fn exemplar_value(field: &Field<'_>) -> Result<f64, ProtoError> {
    let mut value = 0.0;
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            3 => value = field.double()?,
            6 => value = field.fixed64()?.cast_signed() as f64,
            _ => {}
        }
    }
    Ok(value)
}

fn push<T>(into: &mut Vec<T>, value: T, most: usize, metric: &Metric<'_>) -> Result<(), Fault> {
    if into.len() >= most {
        return Err(metric.wrong("a histogram has too many buckets"));
    }
    into.push(value);
    Ok(())
}

/// At most 32 bytes in hexadecimal, as traces are named; ids of zeros mean "none".
fn hex(bytes: &[u8]) -> String {
    if bytes.iter().all(|b| *b == 0) {
        return String::new();
    }
    bytes.iter().take(32).map(|b| format!("{b:02x}")).collect()
}
