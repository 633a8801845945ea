//! The one place of the chores that reads the clock.

use std::time::{Duration, Instant};

/// A point on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "benches measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks `check` every `every` until it gives a value or `limit` has passed.
pub(crate) fn wait_for<T>(
    limit: Duration,
    every: Duration,
    mut check: impl FnMut() -> Option<T>,
) -> Option<T> {
    let start = now();
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_first_value() {
        let mut asked = 0;
        let got = wait_for(Duration::from_secs(10), Duration::ZERO, || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(got, Some(3));
    }

    #[test]
    fn waiting_gives_up_at_its_limit_after_asking_at_least_once() {
        let mut asked = 0;
        let got: Option<()> = wait_for(Duration::ZERO, Duration::ZERO, || {
            asked += 1;
            None
        });
        assert_eq!((got, asked), (None, 1));
    }
}
