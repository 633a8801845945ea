//! Quantiles, fractions and the spread of what a histogram counted.
//!
//! Inside a bucket the observations are taken to lie evenly: on a logarithmic scale in exponential buckets, on a
//! linear one in custom buckets and in the zero bucket.

use super::{Bucket, Native};
use crate::stats::Sum;

/// A number and what must be said about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) note: Option<Nan>,
}

/// What observations that were no numbers did to an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nan {
    /// The quantile is among them.
    Result,
    /// They count as greater than all others.
    Skew,
    /// They are in no fraction.
    Excluded,
}

fn plain(value: f64) -> Estimate {
    Estimate { value, note: None }
}

/// How far into a bucket a value lies, from 0 to 1.
pub(super) fn share(bucket: &Bucket, value: f64, linear: bool) -> f64 {
    if linear {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let log = |v: f64| v.abs().log2();
    let (lower, upper, at) = (log(bucket.lower), log(bucket.upper), log(value));
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
}

/// The value below which the share `q` of the observations lies.
pub(crate) fn quantile(h: &Native, q: f64) -> Estimate {
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if h.count == 0.0 || q.is_nan() {
        return plain(f64::NAN);
    }
    // From the nearer end, for less rounding; with observations that are no numbers only the lower end is sure.
    let forward = h.sum.is_nan() || q < 0.5;
    let mut rank = if forward { q * h.count } else { (1.0 - q) * h.count };
    let mut buckets = h.buckets();
    if !forward {
        buckets.reverse();
    }
    let mut found = Bucket { lower: 0.0, upper: 0.0, count: 0.0, index: Some(0), positive: true };
    let mut count = 0.0;
    let mut rest = buckets.iter();
    for bucket in rest.by_ref().filter(|b| b.count != 0.0) {
        found = *bucket;
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    if found.is_zero() {
        found = h.biased(found);
    } else if h.is_custom() && found.lower == f64::NEG_INFINITY {
        if found.upper <= 0.0 {
            return plain(found.upper);
        }
        found.lower = 0.0;
    } else if h.is_custom() && found.upper == f64::INFINITY {
        return plain(found.lower);
    }
    // Rounding may have counted more than there is.
    count = count.min(h.count);
    if count < rank {
        return match h.sum.is_nan() {
            true => Estimate { value: f64::NAN, note: Some(Nan::Result) },
            false => plain(found.upper),
        };
    }
    rank = if forward { rank - (count - found.count) } else { count - rank };
    let all = count + rest.map(|b| b.count).sum::<f64>();
    let note = (h.sum.is_nan() && all < h.count).then_some(Nan::Skew);
    let part = rank / found.count;
    Estimate { value: within(&found, part, h.is_custom()), note }
}

/// The value at a share of a bucket.
fn within(bucket: &Bucket, part: f64, custom: bool) -> f64 {
    let (lower, upper) = (bucket.lower, bucket.upper);
    if custom || lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * part;
    }
    let (low, high) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (low + (high - low) * part).exp2()
    } else {
        -(high + (low - high) * (1.0 - part)).exp2()
    }
}

/// The share of the observations between two values.
pub(crate) fn fraction(h: &Native, lower: f64, upper: f64) -> Estimate {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return plain(f64::NAN);
    }
    if lower >= upper {
        return plain(0.0);
    }
    let buckets = h.buckets();
    let counted: f64 = buckets.iter().map(|b| b.count).sum();
    let most = if h.sum.is_nan() { counted } else { h.count };
    let note = (h.sum.is_nan() && counted < h.count).then_some(Nan::Excluded);
    let below = |value: f64| {
        let rank = below(h, &buckets, value).unwrap_or(most);
        if rank > most { most } else { rank }
    };
    Estimate { value: (below(upper) - below(lower)) / h.count, note }
}

/// How many observations lie below a value; nothing when all buckets do.
fn below(h: &Native, buckets: &[Bucket], value: f64) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let spans_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        let bucket = if spans_zero { h.biased(*bucket) } else { *bucket };
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(rank + bucket.count * share(&bucket, value, h.is_custom() || spans_zero));
        }
        rank += bucket.count;
    }
    None
}

/// The variance of the observations, each taken to lie in the middle of its bucket.
pub(crate) fn variance(h: &Native) -> f64 {
    let mean = h.sum / h.count;
    let mut squares = Sum::default();
    for bucket in h.buckets().iter().filter(|b| b.count != 0.0) {
        let middle = if h.is_custom() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let size = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -size } else { size }
        };
        squares.add(bucket.count * (middle - mean) * (middle - mean));
    }
    squares.plain_total() / h.count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(i64, f64)]) -> Native {
        let count = list.iter().map(|b| b.1).sum();
        Native { count, positive: list.to_vec(), ..Native::default() }
    }

    #[test]
    fn the_median_of_one_bucket_is_its_logarithmic_middle() {
        assert_eq!(quantile(&of(&[(1, 4.0)]), 0.5).value, std::f64::consts::SQRT_2);
        assert!(quantile(&of(&[]), 0.5).value.is_nan());
        assert_eq!(quantile(&of(&[(1, 4.0)]), 1.1).value, f64::INFINITY);
    }

    #[test]
    fn a_fraction_is_what_lies_between() {
        let h = of(&[(0, 1.0), (1, 2.0), (2, 1.0)]);
        assert_eq!(fraction(&h, 1.0, 2.0).value, 0.5);
        assert_eq!(fraction(&h, 0.0, 8.0).value, 1.0);
        assert_eq!(fraction(&h, 2.0, 1.0).value, 0.0);
    }

    #[test]
    fn a_quantile_and_a_fraction_undo_each_other() {
        let h = of(&[(-3, 7.0), (0, 1.0), (1, 2.0), (9, 5.0)]);
        for q in [0.1, 0.3, 0.5, 0.62, 0.9] {
            let value = quantile(&h, q).value;
            assert!((fraction(&h, f64::NEG_INFINITY, value).value - q).abs() < 1e-12, "{q}");
        }
    }

    #[test]
    fn observations_that_are_no_numbers_are_told_of() {
        let mut h = of(&[(1, 4.0)]);
        (h.sum, h.count) = (f64::NAN, 5.0);
        assert_eq!(quantile(&h, 1.0).note, Some(Nan::Result));
        assert_eq!(quantile(&h, 0.1).note, Some(Nan::Skew));
        assert_eq!(fraction(&h, 0.0, 9.0).note, Some(Nan::Excluded));
    }
}
