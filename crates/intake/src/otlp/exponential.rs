//! Exponential histograms as native ones. OTLP's bucket `i` is Prometheus' bucket `i + 1`.

use wellkept_model::{Histogram, Span};

use crate::Limits;
use crate::proto::{Field, ProtoError};

/// Finest resolution of a native histogram; finer ones are merged.
const SCHEMA_MAX: i32 = 8;
/// What stands in for a missing width of the zero bucket, as in Prometheus.
const ZERO_THRESHOLD_DEFAULT: f64 = 1e-128;
/// Empty buckets that are written out rather than skipped by a span of their own.
const GAP_MAX: i64 = 2;

/// Buckets of one sign as they came.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    offset: i32,
    counts: Vec<u64>,
    too_many: bool,
}

impl Buckets {
    pub(super) fn read(&mut self, field: &Field<'_>, limits: &Limits) -> Result<(), ProtoError> {
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => self.offset = field.sint32()?,
                2 => field.each_varint::<ProtoError>(|count| {
                    if self.counts.len() < limits.buckets {
                        self.counts.push(count);
                    } else {
                        self.too_many = true;
                    }
                    Ok(())
                })?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Spans and counts after merging `2^shift` buckets into one.
    fn spans(&self, shift: u32) -> Result<(Vec<Span>, Vec<f64>), &'static str> {
        let (mut spans, mut counts): (Vec<Span>, Vec<f64>) = Default::default();
        let mut next = 0_i64;
        for (i, count) in self.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            let index = ((i64::from(self.offset) + i as i64) >> shift) + 1;
            if let (Some(last), true) = (counts.last_mut(), index == next - 1) {
                *last += *count as f64;
                continue;
            }
            let gap = index - next;
            match spans.last_mut() {
                Some(span) if gap <= GAP_MAX => {
                    counts.extend((0..gap).map(|_| 0.0));
                    span.length += gap as u32 + 1;
                }
                _ => {
                    let offset = i32::try_from(gap).map_err(|_| "a bucket's index is out of range")?;
                    spans.push(Span { offset, length: 1 });
                }
            }
            counts.push(*count as f64);
            next = index + 1;
        }
        Ok((spans, counts))
    }
}

/// What a data point says besides its buckets.
#[derive(Debug, Default)]
pub(super) struct Point {
    pub(super) scale: i32,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

impl Point {
    /// The native histogram.
    pub(super) fn histogram(&self) -> Result<Histogram, &'static str> {
        if self.scale < -4 {
            return Err("an exponential histogram's scale must be at least -4");
        }
        if self.positive.too_many || self.negative.too_many {
            return Err("a histogram has too many buckets");
        }
        let shift = u32::try_from(self.scale - SCHEMA_MAX.min(self.scale)).unwrap_or(0).min(63);
        let (positive_spans, positive) = self.positive.spans(shift)?;
        let (negative_spans, negative) = self.negative.spans(shift)?;
        let threshold = if self.zero_threshold > 0.0 { self.zero_threshold } else { ZERO_THRESHOLD_DEFAULT };
        let histogram = Histogram {
            schema: self.scale.min(SCHEMA_MAX),
            zero_threshold: threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans,
            positive,
            negative_spans,
            negative,
            ..Histogram::default()
        };
        crate::histogram::check(&histogram)?;
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(offset: i32, counts: &[u64], shift: u32) -> (Vec<(i32, u32)>, Vec<f64>) {
        let buckets = Buckets { offset, counts: counts.to_vec(), too_many: false };
        let (spans, counts) = buckets.spans(shift).unwrap();
        (spans.iter().map(|s| (s.offset, s.length)).collect(), counts)
    }

    #[test]
    fn buckets_move_by_one_and_long_gaps_become_spans() {
        assert_eq!(spans(0, &[1, 0, 2], 0), (vec![(1, 3)], vec![1.0, 0.0, 2.0]));
        assert_eq!(spans(-3, &[1, 0, 0, 0, 2], 0), (vec![(-2, 1), (3, 1)], vec![1.0, 2.0]));
        assert_eq!(spans(5, &[0, 0, 0], 0), (vec![], vec![]));
    }

    #[test]
    fn finer_buckets_are_merged_also_below_zero() {
        // Indices -3, -2, -1, 0, 1 halve to -2, -1, -1, 0, 0, which are Prometheus' -1, 0, 0, 1, 1.
        assert_eq!(spans(-3, &[1, 1, 1, 1, 1], 1), (vec![(-1, 3)], vec![1.0, 2.0, 2.0]));
    }

    #[test]
    fn extremes_are_refused_not_wrapped() {
        let far = Buckets { offset: i32::MAX, counts: vec![1, 1], too_many: false };
        assert!(far.spans(0).is_err());
        let point = Point { scale: -5, ..Point::default() };
        assert!(point.histogram().is_err());
        let point = Point { scale: i32::MAX, positive: far, count: 2, ..Point::default() };
        assert_eq!(point.histogram().unwrap().positive, [2.0]);
    }
}
