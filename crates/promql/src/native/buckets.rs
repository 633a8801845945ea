//! Buckets: where they lie, and the two forms in which they are kept.

use wellkept_model::Span;

use super::Native;

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
    /// Which one it is on its side; nothing for the zero bucket.
    pub(crate) index: Option<i64>,
    pub(crate) positive: bool,
}

impl Bucket {
    pub(crate) fn is_zero(&self) -> bool {
        self.index.is_none()
    }

    /// Whether the bounds themselves belong to it: the lower and the upper one.
    pub(crate) fn inclusive(&self) -> (bool, bool) {
        if self.is_zero() { (true, true) } else { (self.lower < 0.0, self.upper > 0.0) }
    }
}

/// Counts of spans as a list; what the spans do not cover is dropped.
pub(super) fn open(spans: &[Span], counts: &[f64]) -> Vec<(i64, f64)> {
    let mut out: Vec<(i64, f64)> = Vec::with_capacity(counts.len());
    let mut counts = counts.iter();
    let mut index = 0_i64;
    for span in spans {
        index = index.saturating_add(i64::from(span.offset));
        for _ in 0..span.length {
            let Some(count) = counts.next() else { break };
            out.push((index, *count));
            index = index.saturating_add(1);
        }
    }
    if !out.is_sorted_by(|a, b| a.0 < b.0) {
        out.sort_by_key(|(index, _)| *index);
        out.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
    out
}

/// A list as spans; empty buckets are left out.
pub(super) fn close(list: &[(i64, f64)]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::with_capacity(list.len());
    let mut next = 0_i64;
    for (index, count) in list.iter().filter(|(_, count)| *count != 0.0) {
        match spans.last_mut().filter(|_| *index == next) {
            Some(span) => span.length += 1,
            None => {
                let gap = index.saturating_sub(next);
                let offset = i32::try_from(gap).unwrap_or(if gap < 0 { i32::MIN } else { i32::MAX });
                spans.push(Span { offset, length: 1 });
            }
        }
        counts.push(*count);
        next = index.saturating_add(1);
    }
    (spans, counts)
}

/// Upper bound of bucket `index` of an exponential schema.
#[expect(
    clippy::cast_precision_loss,
    reason = "indexes of real buckets are small, others are infinite anyway"
)]
fn exponential(index: i64, schema: i32) -> f64 {
    let power = index as f64 * f64::from(-schema.clamp(-20, 20)).exp2();
    // The last bucket below infinity ends at the greatest number there is.
    if power == 1024.0 { f64::MAX } else { power.exp2() }
}

impl Native {
    /// Upper bound of a bucket; the lower one is that of the bucket before.
    pub(crate) fn bound(&self, index: i64) -> f64 {
        if !self.is_custom() {
            return exponential(index, self.schema);
        }
        match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(index) => self.custom.get(index).copied().unwrap_or(f64::INFINITY),
        }
    }

    fn bucket(&self, (index, count): (i64, f64), positive: bool) -> Bucket {
        let (near, far) = (self.bound(index.saturating_sub(1)), self.bound(index));
        let (mut lower, mut upper) = if positive { (near, far) } else { (-far, -near) };
        // What the zero bucket covers does not belong to its neighbour.
        if lower > 0.0 && lower < self.zero_threshold {
            lower = self.zero_threshold;
        }
        if upper < 0.0 && upper > -self.zero_threshold {
            upper = -self.zero_threshold;
        }
        Bucket { lower, upper, count, index: Some(index), positive }
    }

    /// All buckets from the lowest to the highest, the zero bucket where it has a count.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let zero = (self.zero_count > 0.0 && !self.is_custom()).then_some(Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            count: self.zero_count,
            index: None,
            positive: true,
        });
        let negative = self.negative.iter().rev().map(|b| self.bucket(*b, false));
        negative.chain(zero).chain(self.positive.iter().map(|b| self.bucket(*b, true))).collect()
    }

    /// The zero bucket's bounds when the other buckets say that nothing was below or above zero.
    pub(crate) fn biased(&self, mut bucket: Bucket) -> Bucket {
        if self.negative.is_empty() && !self.positive.is_empty() {
            bucket.lower = 0.0;
        } else if self.positive.is_empty() && !self.negative.is_empty() {
            bucket.upper = 0.0;
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_lists_are_two_forms_of_one_thing() {
        let spans = [Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }];
        let list = open(&spans, &[1.0, 2.0, 3.0]);
        assert_eq!(list, [(-2, 1.0), (-1, 2.0), (3, 3.0)]);
        assert_eq!(close(&list), (spans.to_vec(), vec![1.0, 2.0, 3.0]));
        assert_eq!(close(&[(0, 0.0), (1, 5.0)]).0, [Span { offset: 1, length: 1 }]);
    }

    #[test]
    fn spans_that_lie_are_survived() {
        assert_eq!(open(&[Span { offset: 0, length: u32::MAX }], &[1.0]), [(0, 1.0)]);
        let back =
            [Span { offset: 5, length: 1 }, Span { offset: -9, length: 1 }, Span { offset: 8, length: 1 }];
        assert_eq!(open(&back, &[1.0, 2.0, 3.0]), [(-3, 2.0), (5, 1.0), (6, 3.0)]);
        let (spans, _) = close(&[(i64::MIN, 1.0), (i64::MAX, 1.0)]);
        assert_eq!(spans.len(), 2);
    }

    #[test]
    fn bounds_are_powers_of_the_schema() {
        let of = |schema| Native { schema, ..Native::default() };
        assert_eq!(of(0).bound(3), 8.0);
        assert_eq!(of(0).bound(0), 1.0);
        assert_eq!(of(-1).bound(1), 4.0);
        assert_eq!(of(1).bound(1), std::f64::consts::SQRT_2);
        assert_eq!(of(0).bound(1024), f64::MAX);
        assert_eq!(of(0).bound(1025), f64::INFINITY);
    }
}
