//! Sums, means, spreads and ranks of plain numbers, shared by aggregations and `*_over_time`.
//!
//! Sums are compensated (Neumaier), as in Prometheus, so that `1e100 + 1 - 1e100` is 1. Every function here wants at
//! least one value; the callers never ask for the mean of nothing.

use std::cmp::Ordering;

/// A running sum with its lost low bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.high + value;
        if total.is_infinite() {
            self.low = 0.0;
        } else if self.high.abs() >= value.abs() {
            self.low += (self.high - total) + value;
        } else {
            self.low += (value - total) + self.high;
        }
        self.high = total;
    }

    /// The total, also where it is infinite.
    pub(crate) fn plain_total(self) -> f64 {
        self.high + self.low
    }

    /// The mean of `count` numbers.
    pub(crate) fn mean(self, count: f64) -> f64 {
        self.high / count + self.low / count
    }

    /// The total; what is infinite has no lost bits.
    pub(crate) fn total(self) -> f64 {
        if self.high.is_infinite() { self.high } else { self.high + self.low }
    }
}

pub(crate) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    values.for_each(|v| sum.add(v));
    sum.total()
}

/// The mean; where the sum would overflow, the rest is averaged step by step.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    let mut count = 0.0;
    let mut stepwise = false;
    for value in values {
        count += 1.0;
        if !stepwise {
            let mut next = sum;
            next.add(value);
            if count == 1.0 || !next.high.is_infinite() {
                sum = next;
                continue;
            }
            stepwise = true;
            sum = Sum { high: sum.high / (count - 1.0), low: sum.low / (count - 1.0) };
        }
        let keep = (count - 1.0) / count;
        sum = Sum { high: sum.high * keep, low: sum.low * keep };
        sum.add(value / count);
    }
    if stepwise { sum.plain_total() } else { sum.mean(count) }
}

/// The greatest value; NaN only where there is nothing else.
pub(crate) fn max(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, |a, b| if b > a || a.is_nan() { b } else { a })
}

/// The least value; NaN only where there is nothing else.
pub(crate) fn min(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, |a, b| if b < a || a.is_nan() { b } else { a })
}

/// The population variance, by Welford's method.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let delta = value - (mean.high + mean.low);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.high + mean.low)));
    }
    (squares.high + squares.low) / count
}

/// The population variance of series at one step: Welford's method without compensation, as Prometheus has it; a
/// first value that is not finite leaves no number.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        if count == 1.0 {
            mean = value;
            squares = if value.is_finite() { 0.0 } else { f64::NAN };
            continue;
        }
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

/// The `q`-quantile with linear interpolation. Sorts `values`; NaNs come first.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| ascending(*a, *b));
    #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    #[expect(clippy::cast_sign_loss, reason = "q and the length are not negative")]
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    match (values.get(lower), values.get(upper)) {
        (Some(a), Some(b)) => a * (1.0 - weight) + b * weight,
        _ => f64::NAN,
    }
}

/// Order of numbers with NaN before all.
pub(crate) fn ascending(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_is_not_lost_between_large_ones() {
        assert_eq!(sum([1e100, 1.0, -1e100].into_iter()), 1.0);
        assert_eq!(sum([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
    }

    #[test]
    fn a_mean_does_not_overflow() {
        assert_eq!(mean([f64::MAX, f64::MAX].into_iter()), f64::MAX);
        assert_eq!(mean([1.0, 2.0, 6.0].into_iter()), 3.0);
        assert_eq!(mean([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    }

    #[test]
    fn nan_is_the_extreme_of_nothing_else() {
        assert_eq!(max([f64::NAN, 1.0, f64::NAN].into_iter()), 1.0);
        assert_eq!(min([1.0, f64::NAN, -1.0].into_iter()), -1.0);
        assert!(max([f64::NAN].into_iter()).is_nan());
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0]), 3.0);
        assert_eq!(quantile(-0.1, &mut [3.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut [3.0]), f64::INFINITY);
        assert!(quantile(0.5, &mut []).is_nan());
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn nan_sorts_before_all_numbers() {
        let mut v = [1.0, f64::NAN, -1.0, f64::NAN];
        v.sort_by(|a, b| ascending(*a, *b));
        assert!(v[0].is_nan() && v[1].is_nan());
        assert_eq!(v[2..], [-1.0, 1.0]);
    }
}
