//! Whether a counter started again between two histograms.

use wellkept_model::{Histogram, ResetHint};

use super::{Native, math};

/// Whether something fell, or a bucket vanished, from `before` to `now`. A higher resolution or a narrower zero bucket
/// comes with a new start only; hints decide where there are some.
pub(crate) fn is_reset(now: &Histogram, before: &Histogram) -> bool {
    match now.reset_hint {
        ResetHint::Reset => return true,
        ResetHint::NoReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if now.count < before.count {
        return true;
    }
    let same_shape = now.schema == before.schema
        && now.zero_threshold == before.zero_threshold
        && now.custom_values == before.custom_values
        && now.positive_spans == before.positive_spans
        && now.negative_spans == before.negative_spans;
    if same_shape {
        let fell = |now: &[f64], before: &[f64]| now.iter().zip(before).any(|(n, b)| n < b);
        return now.zero_count < before.zero_count
            || fell(&now.positive, &before.positive)
            || fell(&now.negative, &before.negative);
    }
    differs(&Native::from(now), &Native::from(before))
}

fn differs(now: &Native, before: &Native) -> bool {
    if now.bounds_differ(before) {
        let bounds = now.common_bounds(before);
        return differs(&now.with_bounds(&bounds), &before.with_bounds(&bounds));
    }
    if now.fits(before).is_err() || now.schema > before.schema || now.zero_threshold < before.zero_threshold {
        return true;
    }
    let (zero, threshold) = before.zero_within(now.zero_threshold);
    // Else the new threshold lies inside a bucket that has a count.
    if threshold != now.zero_threshold || now.zero_count < zero {
        return true;
    }
    let fell = |now_list: &[(i64, f64)], before_list: &[(i64, f64)]| {
        let old = math::reduced(before_list, before.schema, now.schema);
        let outside = |(index, _): &(i64, f64)| now.is_custom() || now.bound(*index) > now.zero_threshold;
        let mut new = now_list.iter().peekable();
        old.iter().filter(|b| outside(b)).any(|(index, count)| {
            while new.next_if(|n| n.0 < *index).is_some() {}
            let now = new.peek().filter(|n| n.0 == *index).map_or(0.0, |n| n.1);
            now < *count
        })
    };
    fell(&now.positive, &before.positive) || fell(&now.negative, &before.negative)
}

/// What histograms that are put together say about resets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints {
    reset: bool,
    no_reset: bool,
}

impl Hints {
    pub(crate) fn see(&mut self, hint: ResetHint) {
        self.reset |= hint == ResetHint::Reset;
        self.no_reset |= hint == ResetHint::NoReset;
    }

    /// Whether one was reset and another was not.
    pub(crate) fn collide(self) -> bool {
        self.reset && self.no_reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(i64, f64)]) -> Histogram {
        let count = list.iter().map(|b| b.1).sum();
        Native { count, positive: list.to_vec(), ..Native::default() }.into()
    }

    #[test]
    fn a_counter_that_only_grows_was_not_reset() {
        assert!(!is_reset(&of(&[(1, 2.0), (2, 1.0)]), &of(&[(1, 1.0)])));
        assert!(!is_reset(&of(&[(1, 1.0)]), &of(&[(1, 1.0)])));
    }

    #[test]
    fn a_bucket_that_falls_or_vanishes_tells_of_a_reset() {
        assert!(is_reset(&of(&[(1, 1.0), (2, 9.0)]), &of(&[(1, 2.0)])));
        assert!(is_reset(&of(&[(2, 9.0)]), &of(&[(1, 2.0)])));
        assert!(is_reset(&of(&[]), &of(&[(1, 2.0)])));
    }

    #[test]
    fn a_hint_decides() {
        let mut now = of(&[(1, 5.0)]);
        now.reset_hint = ResetHint::Reset;
        assert!(is_reset(&now, &of(&[(1, 1.0)])));
        now.reset_hint = ResetHint::NoReset;
        assert!(!is_reset(&now, &of(&[(1, 9.0)])));
    }

    #[test]
    fn a_lower_resolution_alone_is_no_reset() {
        let mut now = of(&[(1, 5.0)]);
        now.schema = -1;
        assert!(!is_reset(&now, &of(&[(1, 2.0), (2, 3.0)])));
        assert!(is_reset(&of(&[(1, 5.0)]), &now), "a higher one is");
    }
}
