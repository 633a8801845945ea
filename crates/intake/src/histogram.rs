//! Native histograms of Prometheus' protobuf formats, checked before anyone sees them.
//!
//! Remote write 1.0 and 2.0 share one message; the exposition format has the same parts under other numbers. Both put
//! what they read into [`Parts`].

use wellkept_model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span, TimestampMs, is_stale};

use crate::proto::{Field, ProtoError, Reader, unzigzag};
use crate::{DecodeError, Limits, Refusal};

/// Why a histogram could not be read: the body is damaged, or only this histogram is wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    Body(DecodeError),
    Histogram(Refusal),
}

impl From<ProtoError> for Fault {
    fn from(error: ProtoError) -> Self {
        Self::Body(error.into())
    }
}

const fn wrong(why: &'static str) -> Fault {
    Fault::Histogram(Refusal::Histogram(why))
}

/// A histogram while it is put together.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) histogram: Histogram,
    positive_last: i64,
    negative_last: i64,
}

impl Parts {
    pub(crate) fn span(spans: &mut Vec<Span>, field: &Field<'_>, limits: &Limits) -> Result<(), Fault> {
        if spans.len() >= limits.buckets {
            return Err(wrong("it has too many spans"));
        }
        let mut span = Span { offset: 0, length: 0 };
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => span.offset = field.sint32()?,
                2 => span.length = field.uint()? as u32,
                _ => {}
            }
        }
        spans.push(span);
        Ok(())
    }

    fn deltas(
        last: &mut i64,
        counts: &mut Vec<f64>,
        field: &Field<'_>,
        limits: &Limits,
    ) -> Result<(), Fault> {
        field.each_varint(|n| {
            *last = last.checked_add(unzigzag(n)).ok_or_else(|| wrong("a bucket count overflows"))?;
            push(counts, *last as f64, limits)
        })
    }

    pub(crate) fn positive_deltas(&mut self, field: &Field<'_>, limits: &Limits) -> Result<(), Fault> {
        Self::deltas(&mut self.positive_last, &mut self.histogram.positive, field, limits)
    }

    pub(crate) fn negative_deltas(&mut self, field: &Field<'_>, limits: &Limits) -> Result<(), Fault> {
        Self::deltas(&mut self.negative_last, &mut self.histogram.negative, field, limits)
    }

    /// The finished histogram.
    pub(crate) fn finish(self) -> Result<Histogram, Refusal> {
        check(&self.histogram).map_err(Refusal::Histogram)?;
        Ok(self.histogram)
    }
}

/// Adds the numbers of a repeated `double` field.
pub(crate) fn doubles(into: &mut Vec<f64>, field: &Field<'_>, limits: &Limits) -> Result<(), Fault> {
    field.each_fixed64(|bits| push(into, f64::from_bits(bits), limits))
}

fn push(into: &mut Vec<f64>, value: f64, limits: &Limits) -> Result<(), Fault> {
    if into.len() >= limits.buckets {
        return Err(wrong("it has too many buckets"));
    }
    into.push(value);
    Ok(())
}

/// Reads the histogram message that remote write 1.0 and 2.0 share.
pub(crate) fn remote_write(
    message: &[u8],
    limits: &Limits,
) -> Result<(TimestampMs, Option<TimestampMs>, Histogram), Fault> {
    let mut parts = Parts::default();
    let (mut at, mut created) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        let h = &mut parts.histogram;
        match field.number {
            1 => h.count = field.uint()? as f64,
            2 => h.count = field.double()?,
            3 => h.sum = field.double()?,
            4 => h.schema = field.sint32()?,
            5 => h.zero_threshold = field.double()?,
            6 => h.zero_count = field.uint()? as f64,
            7 => h.zero_count = field.double()?,
            8 => Parts::span(&mut h.negative_spans, &field, limits)?,
            9 => parts.negative_deltas(&field, limits)?,
            10 => doubles(&mut h.negative, &field, limits)?,
            11 => Parts::span(&mut h.positive_spans, &field, limits)?,
            12 => parts.positive_deltas(&field, limits)?,
            13 => doubles(&mut h.positive, &field, limits)?,
            14 => h.reset_hint = reset_hint(field.uint()?),
            15 => at = field.int()?,
            16 => doubles(&mut h.custom_values, &field, limits)?,
            17 => created = field.int()?,
            _ => {}
        }
    }
    let created = (created != 0).then_some(TimestampMs(created));
    Ok((TimestampMs(at), created, parts.finish().map_err(Fault::Histogram)?))
}

fn reset_hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NoReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// The rules that every native histogram keeps; a stale marker keeps them all by having no buckets.
pub(crate) fn check(h: &Histogram) -> Result<(), &'static str> {
    if is_stale(h.sum) {
        return Ok(());
    }
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        check_custom(h)?;
    } else if !(-4..=8).contains(&h.schema) {
        return Err("its schema is not supported; accepted: -4 to 8, and -53 for custom buckets");
    } else if !h.custom_values.is_empty() {
        return Err("custom bounds need schema -53");
    }
    check_spans(&h.positive_spans, h.positive.len())?;
    check_spans(&h.negative_spans, h.negative.len())?;
    let mut buckets = h.positive.iter().chain(&h.negative).chain([&h.zero_count, &h.count]);
    if h.reset_hint != ResetHint::Gauge && buckets.any(|c| *c < 0.0) {
        return Err("a count is negative");
    }
    Ok(())
}

fn check_custom(h: &Histogram) -> Result<(), &'static str> {
    if h.zero_count != 0.0 || !h.negative_spans.is_empty() || !h.negative.is_empty() {
        return Err("custom buckets have neither a zero bucket nor negative buckets");
    }
    if h.custom_values.iter().any(|v| v.is_nan() || *v == f64::INFINITY)
        || !h.custom_values.is_sorted_by(|a, b| a < b)
    {
        return Err("custom bounds must rise and be numbers below +Inf");
    }
    let end: i64 = h.positive_spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
    if end > h.custom_values.len() as i64 + 1 {
        return Err("a bucket lies beyond the custom bounds");
    }
    if h.positive_spans.first().is_some_and(|s| s.offset < 0) {
        return Err("a bucket lies before the custom bounds");
    }
    Ok(())
}

fn check_spans(spans: &[Span], buckets: usize) -> Result<(), &'static str> {
    let (mut length, mut index) = (0_u64, 0_i64);
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err("spans overlap");
        }
        length += u64::from(span.length);
        index += i64::from(span.offset) + i64::from(span.length);
        if i32::try_from(index).is_err() {
            return Err("a bucket's index is out of range");
        }
    }
    if length != buckets as u64 {
        return Err("spans and buckets do not agree in number");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn valid() -> Histogram {
        Histogram {
            schema: 2,
            count: 3.0,
            positive_spans: vec![span(-3, 1), span(4, 1)],
            positive: vec![1.0, 2.0],
            ..Histogram::default()
        }
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_refused() {
        let change = |f: &dyn Fn(&mut Histogram)| {
            let mut h = valid();
            f(&mut h);
            check(&h)
        };
        assert_eq!(change(&|_| {}), Ok(()));
        assert!(change(&|h| h.schema = 9).is_err());
        assert!(change(&|h| h.positive.push(1.0)).is_err());
        assert!(change(&|h| h.positive_spans = vec![span(0, 1), span(-1, 1)]).is_err());
        assert!(change(&|h| h.positive_spans = vec![span(i32::MAX, 2)]).is_err());
        assert!(change(&|h| h.positive_spans = vec![span(0, u32::MAX); 4]).is_err());
        assert!(change(&|h| h.positive = vec![1.0, -2.0]).is_err());
        assert!(change(&|h| h.custom_values = vec![1.0]).is_err());
        let custom = |h: &mut Histogram| {
            h.schema = CUSTOM_BUCKETS_SCHEMA;
            h.custom_values = vec![0.1, 0.5];
            h.positive_spans = vec![span(0, 1), span(1, 1)];
        };
        assert_eq!(change(&custom), Ok(()));
        let custom_but = |f: &dyn Fn(&mut Histogram)| {
            change(&|h| {
                custom(h);
                f(h);
            })
        };
        assert!(custom_but(&|h| h.custom_values = vec![0.5, 0.1]).is_err());
        assert!(custom_but(&|h| h.custom_values = vec![0.5]).is_err());
        assert!(custom_but(&|h| h.zero_count = 1.0).is_err());
    }
}
