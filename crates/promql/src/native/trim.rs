//! `h </ x` and `h >/ x`: what was observed below or above a value.

use super::estimate::share;
use super::{Bucket, Native};

/// How much of a bucket is kept, and the value that stands for each observation in it.
struct Kept {
    count: f64,
    value: f64,
}

/// Keeps what lies below `cut` (`below`) or above it. The sum is estimated anew from the buckets, unless nothing is
/// taken away.
pub(crate) fn trim(h: &Native, cut: f64, below: bool) -> Native {
    let all = if below { f64::INFINITY } else { f64::NEG_INFINITY };
    if cut == all || cut.is_nan() {
        return h.clone();
    }
    let mut out = Native { positive: Vec::new(), negative: Vec::new(), zero_count: 0.0, ..h.clone() };
    let (mut count, mut sum, mut whole) = (0.0, 0.0, true);
    for bucket in h.buckets().into_iter().filter(|b| b.count != 0.0) {
        let kept = if h.is_custom() { custom(&bucket, cut, below) } else { regular(h, &bucket, cut, below) };
        whole &= kept.count == bucket.count;
        count += kept.count;
        if kept.count != 0.0 {
            sum += kept.count * kept.value;
        }
        match bucket.index {
            None => out.zero_count = kept.count,
            Some(index) if bucket.positive => out.positive.push((index, kept.count)),
            Some(index) => out.negative.push((index, kept.count)),
        }
    }
    if whole {
        return h.clone();
    }
    // They came from the lowest to the highest, which is from the outside to zero.
    out.negative.reverse();
    (out.count, out.sum) = (count, sum);
    out
}

fn regular(h: &Native, bucket: &Bucket, cut: f64, below: bool) -> Kept {
    let linear = bucket.is_zero();
    let bucket = if linear { h.biased(*bucket) } else { *bucket };
    split(&bucket, cut, below, linear)
}

fn custom(bucket: &Bucket, cut: f64, below: bool) -> Kept {
    let (all, none) = (|value| Kept { count: bucket.count, value }, Kept { count: 0.0, value: 0.0 });
    match (bucket.lower == f64::NEG_INFINITY, bucket.upper == f64::INFINITY) {
        // Nothing is known of where its observations lie.
        (true, true) => none,
        // The last bucket cannot be split.
        (_, true) if below => none,
        (_, true) if cut == f64::INFINITY => none,
        (_, true) => all(bucket.lower.max(cut)),
        // The first bucket ends at zero, if it reaches above it; nothing is known of what lies below.
        (true, _) if bucket.upper > 0.0 => {
            if cut < 0.0 {
                return none;
            }
            split(&Bucket { lower: 0.0, ..*bucket }, cut, below, true)
        }
        (true, _) if below && cut > f64::NEG_INFINITY => all(bucket.upper.min(cut)),
        (true, _) => none,
        _ => split(bucket, cut, below, true),
    }
}

fn split(bucket: &Bucket, cut: f64, below: bool, linear: bool) -> Kept {
    let (lower, upper) = (bucket.lower, bucket.upper);
    let middle = |a: f64, b: f64| {
        if linear {
            return f64::midpoint(a, b);
        }
        let size = (a.abs() * b.abs()).sqrt();
        if b <= 0.0 { -size } else { size }
    };
    let inside = lower < cut && cut < upper;
    if !inside {
        let keep = if below { upper <= cut } else { lower >= cut };
        return Kept { count: if keep { bucket.count } else { 0.0 }, value: middle(lower, upper) };
    }
    let part = share(bucket, cut, linear);
    if below {
        Kept { count: bucket.count * part, value: middle(lower, cut) }
    } else {
        Kept { count: bucket.count * (1.0 - part), value: middle(cut, upper) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn a_cut_inside_a_bucket_splits_it() {
        let h = Native { count: 10.0, sum: 14.0, positive: vec![(1, 4.0), (2, 6.0)], ..Native::default() };
        let low = trim(&h, 2.0_f64.sqrt(), true);
        close(low.count, 2.0);
        close(low.sum, 2.0 * 2.0_f64.powf(0.25));
        let high = trim(&h, 2.0_f64.sqrt(), false);
        close(high.count, 8.0);
        close(trim(&h, 0.5, true).count, 0.0);
    }

    #[test]
    fn what_takes_nothing_away_changes_nothing() {
        let h = Native { count: 4.0, sum: 7.7, positive: vec![(1, 4.0)], ..Native::default() };
        assert_eq!(trim(&h, 2.0, true).sum, 7.7);
        assert_eq!(trim(&h, 1.0, false).sum, 7.7);
        assert_eq!(trim(&h, f64::INFINITY, true).sum, 7.7);
    }

    #[test]
    fn the_ends_of_custom_buckets_are_not_split() {
        let h = Native {
            schema: wellkept_model::CUSTOM_BUCKETS_SCHEMA,
            count: 15.0,
            sum: 172.5,
            positive: vec![(0, 1.0), (1, 6.0), (2, 4.0), (3, 3.0), (4, 1.0)],
            custom: vec![5.0, 10.0, 15.0, 20.0],
            ..Native::default()
        };
        let low = trim(&h, 13.0, true);
        close(low.count, 9.4);
        close(low.sum, 75.1);
        let high = trim(&h, 13.0, false);
        close(high.count, 5.6);
        close(high.sum, 94.9);
        close(trim(&h, 50.0, true).count, 14.0);
    }
}
