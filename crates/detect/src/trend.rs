//! A straight rise: the shape of a leak.
//!
//! A leak grows by the same amount per request, so over some ten seconds its values lie on a line. Warming up bends
//! and ends; load comes and goes. Both miss the line, and what misses it is no leak.

use std::collections::VecDeque;
use std::time::Duration;

use wellkept_model::TimestampMs;

/// How far back values count.
const WINDOW: Duration = Duration::from_secs(20);
/// Least time that a rise must last to be judged.
const SPAN_MIN: Duration = Duration::from_secs(10);
/// Fewest values.
const VALUES_MIN: usize = 8;
/// Share of the variance that the line must explain.
const STRAIGHT: f64 = 0.9;
/// Most values that are kept.
const VALUES_MAX: usize = 64;

/// The last values of one quantity of one process.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    process: Option<(u32, TimestampMs)>,
    values: VecDeque<(TimestampMs, f64)>,
}

impl Trend {
    /// Adds a value; another process begins anew.
    pub(crate) fn add(&mut self, process: (u32, TimestampMs), at: TimestampMs, value: f64) {
        if self.process.replace(process) != Some(process) {
            self.values.clear();
        }
        if self.values.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        self.values.push_back((at, value));
        while self.values.len() > VALUES_MAX
            || self.values.front().is_some_and(|(first, _)| at.since(*first) > WINDOW)
        {
            self.values.pop_front();
        }
    }

    /// The slope per second when the values rise in a straight line, else `None`.
    pub(crate) fn rise(&self) -> Option<f64> {
        let (first, last) = (self.values.front()?, self.values.back()?);
        if self.values.len() < VALUES_MIN || last.0.since(first.0) < SPAN_MIN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most some dozens of values")]
        let n = self.values.len() as f64;
        let point = |(at, v): &(TimestampMs, f64)| (at.since(first.0).as_secs_f64(), *v);
        let (sum_x, sum_y) = self.values.iter().map(point).fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in self.values.iter().map(point) {
            xx += (x - mean_x).powi(2);
            xy += (x - mean_x) * (y - mean_y);
            yy += (y - mean_y).powi(2);
        }
        let slope = xy / xx;
        let is_straight = yy > 0.0 && xy * xy / (xx * yy) >= STRAIGHT;
        (slope > 0.0 && is_straight).then_some(slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise(values: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut trend = Trend::default();
        for (second, value) in values.into_iter().enumerate() {
            trend.add((1, TimestampMs(0)), TimestampMs(second as i64 * 1000), value);
        }
        trend.rise()
    }

    #[test]
    fn a_straight_rise_has_a_slope_and_little_noise_does_not_hide_it() {
        let slope = rise((0..20).map(|s| f64::from(s) * 5.0 + f64::from(s % 3))).expect("it rises");
        assert!((slope - 5.0).abs() < 0.3, "{slope}");
    }

    #[test]
    fn steady_high_values_waves_and_a_step_are_no_leak() {
        assert_eq!(rise(std::iter::repeat_n(82.0, 30)), None);
        assert_eq!(rise((0..30).map(|s| f64::from(s % 7) * 10.0)), None);
        assert_eq!(rise((0..30).map(|s| if s < 20 { 10.0 } else { 30.0 })), None, "tripled traffic");
        assert_eq!(rise((0..20).map(|s| 100.0 - 100.0 * (-f64::from(s) / 2.0).exp())), None, "warming up");
    }

    #[test]
    fn another_process_begins_anew() {
        let mut trend = Trend::default();
        for second in 0..15 {
            trend.add((1, TimestampMs(0)), TimestampMs(second * 1000), second as f64);
        }
        assert!(trend.rise().is_some());
        trend.add((2, TimestampMs(9)), TimestampMs(15_000), 15.0);
        assert_eq!(trend.rise(), None);
    }
}
