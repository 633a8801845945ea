//! Quantiles and fractions of classic, cumulative buckets.

use crate::stats;

/// Relative differences of counts below this come from rounding, not from a decrease: Prometheus' value.
const ROUNDING: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    pub(super) upper: f64,
    /// Observations at or below `upper`.
    pub(super) count: f64,
}

/// Sorted, each bound once; false without a `+Inf` bucket.
fn prepared(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| stats::ascending(a.upper, b.upper));
    coalesce(buckets);
    buckets.last().is_some_and(|b| b.upper == f64::INFINITY)
}

/// The quantile within cumulative buckets, linear inside a bucket; NaN where there is no `+Inf` bucket, fewer than
/// two buckets, or no observation. Also whether counts had to be made to rise.
pub(super) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, false);
    }
    if !prepared(buckets) {
        return (f64::NAN, false);
    }
    let forced = level(buckets);
    let (Some(last), true) = (buckets.last().copied(), buckets.len() >= 2) else { return (f64::NAN, false) };
    if last.count == 0.0 || last.count.is_nan() {
        return (f64::NAN, false);
    }
    let rank = q * last.count;
    let finite = buckets.len() - 1;
    let found = buckets.iter().take(finite).position(|b| b.count >= rank).unwrap_or(finite);
    let before = found.checked_sub(1).and_then(|i| buckets.get(i)).copied();
    let Some(bucket) = buckets.get(found).copied() else { return (f64::NAN, false) };
    let value = match before {
        // In the unbounded bucket: its lower end is all that is known.
        Some(before) if found == finite => before.upper,
        None if bucket.upper <= 0.0 => bucket.upper,
        None => bucket.upper * (rank / bucket.count),
        Some(before) => {
            let share = (rank - before.count) / (bucket.count - before.count);
            before.upper + (bucket.upper - before.upper) * share
        }
    };
    (value, forced)
}

/// The share of the observations between two values.
pub(super) fn fraction(buckets: &mut Vec<Bucket>, lower: f64, upper: f64) -> f64 {
    let all = if prepared(buckets) { buckets.last().map_or(0.0, |b| b.count) } else { f64::NAN };
    if all == 0.0 || all.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |value: f64| {
        // As for quantiles, a first bucket that reaches above zero begins there.
        let first = buckets.first().is_some_and(|b| b.upper > 0.0);
        let (mut rank, mut start) = (0.0, if first { 0.0 } else { f64::NEG_INFINITY });
        for bucket in buckets.iter() {
            if start >= value {
                return rank;
            }
            if bucket.upper > value {
                return rank + (bucket.count - rank) * (value - start) / (bucket.upper - start);
            }
            (rank, start) = (bucket.count, bucket.upper);
        }
        all
    };
    let bounded = |rank: f64| if rank > all { all } else { rank };
    (bounded(below(upper)) - bounded(below(lower))) / all
}

/// Adds up buckets with one bound. Wants them sorted.
fn coalesce(buckets: &mut Vec<Bucket>) {
    #[expect(clippy::float_cmp, reason = "bounds are equal when their texts are the same number")]
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Makes counts rise: a scrape may catch buckets in the middle of an update, and sums of rates round. True when more
/// than rounding had to be made up for.
fn level(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let mut highest = f64::NAN;
    for bucket in buckets {
        let rounding = (highest - bucket.count).abs() <= ROUNDING * (highest.abs() + bucket.count.abs());
        forced |= !rounding && bucket.count < highest;
        if rounding || bucket.count < highest {
            bucket.count = highest;
        } else {
            highest = bucket.count;
        }
    }
    forced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(buckets: &[(f64, f64)]) -> Vec<Bucket> {
        buckets.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    fn of(q: f64, buckets: &[(f64, f64)]) -> f64 {
        quantile(q, &mut list(buckets)).0
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_is_linear_inside_its_bucket() {
        let buckets = [(1.0, 10.0), (2.0, 30.0), (INF, 40.0)];
        assert_eq!(of(0.5, &buckets), 1.5);
        assert_eq!(of(0.125, &buckets), 0.5);
        assert_eq!(of(0.0, &buckets), 0.0);
    }

    #[test]
    fn beyond_the_last_bound_the_answer_is_that_bound() {
        assert_eq!(of(0.99, &[(1.0, 10.0), (2.0, 30.0), (INF, 40.0)]), 2.0);
    }

    #[test]
    fn a_first_bucket_below_zero_gives_its_bound() {
        assert_eq!(of(0.1, &[(-1.0, 10.0), (INF, 10.0)]), -1.0);
    }

    #[test]
    fn what_is_no_histogram_has_no_quantile() {
        assert!(of(0.5, &[(1.0, 10.0), (2.0, 30.0)]).is_nan(), "no +Inf bucket");
        assert!(of(0.5, &[(INF, 30.0)]).is_nan(), "one bucket");
        assert!(of(0.5, &[(1.0, 0.0), (INF, 0.0)]).is_nan(), "no observation");
        assert!(of(f64::NAN, &[(1.0, 1.0), (INF, 1.0)]).is_nan());
    }

    #[test]
    fn a_decreasing_count_is_levelled_and_told_of() {
        assert_eq!(of(0.5, &[(1.0, 10.0), (2.0, 8.0), (INF, 10.0)]), 0.5);
        assert!(quantile(0.5, &mut list(&[(1.0, 10.0), (2.0, 8.0), (INF, 10.0)])).1);
        assert!(!quantile(0.5, &mut list(&[(1.0, 10.0), (INF, 10.0 - 1e-12)])).1, "rounding is none");
    }

    #[test]
    fn buckets_with_one_bound_are_added_up() {
        assert_eq!(of(0.5, &[(1.0, 5.0), (1.0, 5.0), (2.0, 20.0), (INF, 20.0)]), 1.0);
    }

    #[test]
    fn a_fraction_is_linear_inside_its_bucket() {
        let mut buckets = list(&[(1.0, 10.0), (2.0, 30.0), (INF, 40.0)]);
        assert_eq!(fraction(&mut buckets, 1.0, 1.5), 0.25);
        assert_eq!(fraction(&mut buckets, 2.0, 1.0), 0.0);
        assert!(fraction(&mut list(&[(1.0, 1.0)]), 0.0, 1.0).is_nan());
    }
}
