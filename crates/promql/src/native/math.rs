//! Sums, differences, multiples and lower resolutions.

use wellkept_model::{Histogram, ResetHint};

use super::Native;

/// Why two histograms cannot be put together: one has custom buckets, the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mismatch;

impl Native {
    /// Adds another histogram. Zero buckets, resolutions and custom bounds are brought together first.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), Mismatch> {
        self.add_with_rest(other).map(drop)
    }

    /// Adds another histogram; gives what rounding lost.
    pub(super) fn add_with_rest(&mut self, other: &Self) -> Result<Self, Mismatch> {
        let lost = self.join(other, 1.0)?;
        self.hint = match (self.hint, other.hint) {
            (a, b) if a == b => a,
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        Ok(lost)
    }

    /// Whether nothing in it is infinite or no number.
    pub(crate) fn is_finite(&self) -> bool {
        [self.zero_count, self.count, self.sum].iter().all(|v| v.is_finite())
            && self.positive.iter().chain(&self.negative).all(|b| b.1.is_finite())
    }

    /// Takes another histogram away; what is left is a gauge.
    pub(crate) fn sub(&mut self, other: &Self) -> Result<(), Mismatch> {
        self.join(other, -1.0)?;
        self.hint = ResetHint::Gauge;
        Ok(())
    }

    /// Whether it can be added to the other.
    pub(crate) fn fits(&self, other: &Self) -> Result<(), Mismatch> {
        if self.is_custom() == other.is_custom() { Ok(()) } else { Err(Mismatch) }
    }

    /// Whether both have custom buckets, with different bounds.
    pub(crate) fn bounds_differ(&self, other: &Self) -> bool {
        self.is_custom() && other.is_custom() && !same_bits(&self.custom, &other.custom)
    }

    /// The histogram with fewer custom bounds; all of them must be among its own.
    pub(crate) fn with_bounds(&self, bounds: &[f64]) -> Self {
        let mut positive: Vec<(i64, f64)> = Vec::with_capacity(bounds.len() + 1);
        for (index, count) in &self.positive {
            let upper = self.bound(*index);
            let place = i64::try_from(bounds.partition_point(|b| *b < upper)).unwrap_or(i64::MAX);
            match positive.last_mut().filter(|last| last.0 == place) {
                Some(last) => last.1 += count,
                None => positive.push((place, *count)),
            }
        }
        // Bounds of a stranger need not rise.
        positive.sort_by_key(|b| b.0);
        Self { positive, custom: bounds.to_vec(), ..self.clone() }
    }

    /// The bounds that both have.
    pub(crate) fn common_bounds(&self, other: &Self) -> Vec<f64> {
        let mut theirs = other.custom.iter().peekable();
        let common = self.custom.iter().filter(|own| {
            while theirs.next_if(|t| *t < *own).is_some() {}
            theirs.peek().is_some_and(|t| t == own)
        });
        common.copied().collect()
    }

    /// `self + sign * other`; gives what rounding lost of it, in the layout of the result.
    pub(super) fn join(&mut self, other: &Self, sign: f64) -> Result<Self, Mismatch> {
        self.fits(other)?;
        let count = plus(&mut self.count, sign * other.count);
        let sum = plus(&mut self.sum, sign * other.sum);
        let lost = self.join_buckets(other, sign);
        let (schema, zero_threshold) = (self.schema, self.zero_threshold);
        Ok(Self { schema, zero_threshold, count, sum, custom: self.custom.clone(), ..lost })
    }

    /// Joins the buckets; of what is given back, only the buckets count.
    fn join_buckets(&mut self, other: &Self, sign: f64) -> Self {
        let mut lost = Self::default();
        if self.bounds_differ(other) {
            let bounds = self.common_bounds(other);
            let (own, theirs) = (self.with_bounds(&bounds), other.with_bounds(&bounds));
            (self.positive, lost.positive) = merged(&own.positive, &theirs.positive, sign);
            self.custom = bounds;
            return lost;
        }
        if self.is_custom() {
            (self.positive, lost.positive) = merged(&self.positive, &other.positive, sign);
            return lost;
        }
        let zero = self.reconcile_zero(other);
        lost.zero_count = plus(&mut self.zero_count, sign * zero);
        let schema = self.schema.min(other.schema);
        self.reduce(schema);
        let outside = |list: &[(i64, f64)]| {
            let list = reduced(list, other.schema, schema);
            let inside = |(index, _): &&(i64, f64)| self.bound(*index) <= self.zero_threshold;
            let skip = list.iter().take_while(inside).count();
            list.get(skip..).unwrap_or_default().to_vec()
        };
        let (positive, negative) = (outside(&other.positive), outside(&other.negative));
        (self.positive, lost.positive) = merged(&self.positive, &positive, sign);
        (self.negative, lost.negative) = merged(&self.negative, &negative, sign);
        lost
    }

    /// Multiplies everything that was counted.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.each(|v| v * factor);
        if factor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
    }

    /// Divides everything that was counted; by zero leaves no regular buckets.
    pub(crate) fn divide(&mut self, divisor: f64) {
        self.each(|v| v / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        if divisor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
    }

    fn each(&mut self, f: impl Fn(f64) -> f64) {
        for value in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *value = f(*value);
        }
        for (_, count) in self.positive.iter_mut().chain(&mut self.negative) {
            *count = f(*count);
        }
    }

    /// Lowers the resolution; a higher one is not known and changes nothing.
    pub(crate) fn reduce(&mut self, schema: i32) {
        if schema < self.schema && !self.is_custom() {
            self.positive = reduced(&self.positive, self.schema, schema);
            self.negative = reduced(&self.negative, self.schema, schema);
            self.schema = schema;
        }
    }

    /// The zero bucket's count if its threshold were at least this large. A threshold inside a bucket with a count
    /// moves to that bucket's outer bound; the second number says where it is then.
    pub(crate) fn zero_within(&self, mut threshold: f64) -> (f64, f64) {
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        'wider: loop {
            let mut zero = self.zero_count;
            for list in [&self.positive, &self.negative] {
                for (index, count) in list {
                    if self.bound(index.saturating_sub(1)) >= threshold {
                        break;
                    }
                    zero += count;
                    let outer = self.bound(*index);
                    if outer > threshold {
                        if *count != 0.0 {
                            threshold = outer;
                            continue 'wider;
                        }
                        break;
                    }
                }
            }
            return (zero, threshold);
        }
    }

    /// Widens the own zero bucket until both could be the same; gives the count that the other one's would have.
    fn reconcile_zero(&mut self, other: &Self) -> f64 {
        let (mut zero, mut threshold) = (other.zero_count, other.zero_threshold);
        // Thresholds only grow, each time to another bucket's bound; a threshold that is no number ends at once.
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (zero, threshold) = other.zero_within(self.zero_threshold);
            } else if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_within(threshold);
                let (schema, at) = (self.schema, self.zero_threshold);
                let probe = Self { schema, ..Self::default() };
                let outside = |(index, _): &(i64, f64)| probe.bound(index.saturating_sub(1)) >= at;
                self.positive.retain(outside);
                self.negative.retain(outside);
            } else {
                break;
            }
        }
        zero
    }

    /// Whether both counted the same in the same buckets; empty buckets and hints do not matter.
    pub(crate) fn same(a: &Histogram, b: &Histogram) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let (x, y) = (Self::from(a), Self::from(b));
        let lists = |x: &[(i64, f64)], y: &[(i64, f64)]| {
            let there = |l: &[(i64, f64)]| {
                l.iter().filter(|b| b.1 != 0.0).map(|b| (b.0, b.1.to_bits())).collect::<Vec<_>>()
            };
            there(x) == there(y)
        };
        a.schema == b.schema
            && bits(a.count, b.count)
            && bits(a.sum, b.sum)
            && a.zero_threshold == b.zero_threshold
            && bits(a.zero_count, b.zero_count)
            && (!x.is_custom() || same_bits(&x.custom, &y.custom))
            && lists(&x.positive, &y.positive)
            && lists(&x.negative, &y.negative)
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// A list in a lower resolution: neighbours become one.
pub(super) fn reduced(list: &[(i64, f64)], from: i32, to: i32) -> Vec<(i64, f64)> {
    let shift = from.saturating_sub(to).clamp(0, 62);
    let mut out: Vec<(i64, f64)> = Vec::with_capacity(list.len());
    for (index, count) in list {
        let index = (index.saturating_sub(1) >> shift).saturating_add(1);
        match out.last_mut().filter(|last| last.0 == index) {
            Some(last) => last.1 += count,
            None => out.push((index, *count)),
        }
    }
    out
}

type Counts = Vec<(i64, f64)>;

/// Adds to a number; gives what rounding lost, nothing where the sum is infinite.
fn plus(total: &mut f64, value: f64) -> f64 {
    let before = *total;
    *total += value;
    if total.is_infinite() {
        0.0
    } else if before.abs() >= value.abs() {
        (before - *total) + value
    } else {
        (value - *total) + before
    }
}

/// `a + sign * b`, bucket by bucket, and what rounding lost in those where it lost any.
fn merged(a: &[(i64, f64)], b: &[(i64, f64)], sign: f64) -> (Counts, Counts) {
    let (mut out, mut lost) = (Vec::with_capacity(a.len().max(b.len())), Vec::new());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                let mut total = x.1;
                let rest = plus(&mut total, sign * y.1);
                out.push((x.0, total));
                if rest != 0.0 {
                    lost.push((x.0, rest));
                }
                a.next();
                b.next();
            }
            (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                out.push(**x);
                a.next();
            }
            (_, Some(y)) => {
                out.push((y.0, sign * y.1));
                b.next();
            }
            _ => return (out, lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: i32, list: &[(i64, f64)]) -> Native {
        let count = list.iter().map(|b| b.1).sum();
        Native { schema, count, positive: list.to_vec(), ..Native::default() }
    }

    #[test]
    fn a_sum_has_the_lower_resolution_of_the_two() {
        let mut a = of(-1, &[(1, 1.0)]);
        a.add(&of(0, &[(1, 2.0), (2, 2.0), (3, 1.0)])).unwrap();
        assert_eq!((a.schema, a.positive, a.count), (-1, vec![(1, 5.0), (2, 1.0)], 6.0));
    }

    #[test]
    fn a_wider_zero_bucket_swallows_the_buckets_inside_it() {
        let mut a = of(0, &[(-1, 3.0), (1, 1.0)]);
        a.zero_threshold = 0.1;
        let mut b = of(0, &[(1, 1.0)]);
        (b.zero_threshold, b.zero_count, b.count) = (0.4, 2.0, 3.0);
        a.add(&b).unwrap();
        // Bucket -1 is (0.25, 0.5]: the threshold moves to its outer bound.
        assert_eq!((a.zero_threshold, a.zero_count), (0.5, 5.0));
        assert_eq!(a.positive, [(1, 2.0)]);
    }

    #[test]
    fn a_threshold_that_is_no_number_ends_nothing() {
        let mut a = of(0, &[(1, 1.0)]);
        let mut b = of(0, &[(1, 1.0)]);
        b.zero_threshold = f64::NAN;
        assert!(a.add(&b).is_ok());
        b.zero_threshold = f64::INFINITY;
        assert!(a.add(&b).is_ok());
    }

    #[test]
    fn custom_bounds_that_differ_are_reduced_to_those_that_both_have() {
        let custom = |bounds: &[f64], list: &[(i64, f64)]| Native {
            schema: wellkept_model::CUSTOM_BUCKETS_SCHEMA,
            custom: bounds.to_vec(),
            ..of(0, list)
        };
        let mut a = custom(&[2.0, 4.0, 6.0], &[(0, 1.0), (1, 2.0), (2, 5.0), (3, 7.0)]);
        let b = custom(&[2.0, 3.0, 6.0], &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        a.add(&Native { schema: wellkept_model::CUSTOM_BUCKETS_SCHEMA, ..b }).unwrap();
        assert_eq!(a.custom, [2.0, 6.0]);
        assert_eq!(a.positive, [(0, 2.0), (1, 9.0), (2, 8.0)]);
        assert_eq!(of(0, &[]).add(&a).err(), Some(Mismatch), "buckets of the other kind do not fit");
    }
}
