//! How many connections are refused to those who ask for them here.
//!
//! Who asks again and again where nobody listens leaves no socket to look at: on this host a refusal comes at once. The
//! kernel counts it, though. Whom it is about is told from what is declared, not here.

use std::collections::VecDeque;

use wellkept_model::TimestampMs;

/// Over which time it is counted, milliseconds, and the shortest time that says anything.
const WINDOW_MS: i64 = 10_000;
const SHORTEST_MS: i64 = 3_000;

/// The counter over the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    past: VecDeque<(TimestampMs, f64)>,
}

impl Refused {
    /// Takes the counter as it stands; gives how many came in a second lately.
    pub(crate) fn rate(&mut self, now: TimestampMs, counter: Option<f64>) -> Option<f64> {
        let counter = counter?;
        if self.past.back().is_some_and(|(at, last)| counter < *last || now <= *at) {
            self.past.clear();
        }
        self.past.push_back((now, counter));
        while self.past.get(1).is_some_and(|(at, _)| at.0 <= now.0 - WINDOW_MS) {
            self.past.pop_front();
        }
        let (at, first) = self.past.front()?;
        let ms = now.0 - at.0;
        #[expect(clippy::cast_precision_loss, reason = "some seconds")]
        (ms >= SHORTEST_MS).then(|| (counter - first) * 1000.0 / ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_a_second_over_the_last_ten() {
        let mut refused = Refused::default();
        let mut at = |s: i64, counter: f64| refused.rate(TimestampMs(s * 1000), Some(counter));
        assert_eq!((at(0, 100.0), at(2, 104.0)), (None, None), "too short a time");
        assert_eq!(at(4, 108.0), Some(2.0));
        assert_eq!(at(10, 120.0), Some(2.0));
        assert_eq!(at(20, 120.0), Some(0.0), "what is older is over");
        assert_eq!(at(21, 5.0), None, "counted anew");
        assert_eq!(at(24, 8.0), Some(1.0));
        assert_eq!(at(24, 8.0), None, "no time passed");
        assert_eq!(refused.rate(TimestampMs(30_000), None), None);
    }
}
