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
/// The same of a line that leaves hardly any doubt.
const SPAN_SURE: Duration = Duration::from_secs(15);
const STRAIGHT_SURE: f64 = 0.97;
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
        self.rise_over(SPAN_MIN, STRAIGHT)
    }

    /// The same for a line that leaves hardly any doubt: longer, and with next to nothing beside it.
    pub(crate) fn sure_rise(&self) -> Option<f64> {
        self.rise_over(SPAN_SURE, STRAIGHT_SURE)
    }

    fn rise_over(&self, span: Duration, straight: f64) -> Option<f64> {
        let (first, last) = (self.values.front()?, self.values.back()?);
        if self.values.len() < VALUES_MIN || last.0.since(first.0) < span {
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
        let is_straight = yy > 0.0 && xy * xy / (xx * yy) >= straight;
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
    fn a_line_is_sure_when_it_is_long_and_hardly_anything_lies_beside_it() {
        let sure = |seconds: i64, noise: f64| {
            let mut trend = Trend::default();
            for s in 0..=seconds {
                let value = s as f64 * 5.0 + if s % 2 == 0 { noise } else { -noise };
                trend.add((1, TimestampMs(0)), TimestampMs(s * 1000), value);
            }
            (trend.rise().is_some(), trend.sure_rise().is_some())
        };
        assert_eq!(sure(15, 2.0), (true, true));
        assert_eq!(sure(14, 2.0), (true, false), "too short");
        assert_eq!(sure(15, 6.0), (true, false), "too much beside it");
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
