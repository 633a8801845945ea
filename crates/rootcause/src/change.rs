//! How far one series moved: median and spread before, level and peak after.
//!
//! Values from another time (a reference) and those right before the alarm are two opinions of what is normal; the one
//! that explains more of the present holds, so that what was strange already before the alarm is not news.

use crate::kind::Direction;
use crate::robust::{iqr, median, quantile, sorted};
use crate::scene::MetricSeries;
use crate::window::Window;

/// Share of the level that always counts as noise: what moves less than a twentieth is no change, however calm it was.
const NOISE_SHARE: f64 = 0.05;

/// Fewest values right before the alarm that may overrule a reference.
const PRE_MIN: usize = 2;

/// Largest strength told: beyond it "more" says nothing.
const STRENGTH_MAX: f64 = 1000.0;

/// From so many values on the worst few are wild ones, not the peak.
const MANY: usize = 20;

/// Part of many values that lies beyond the peak.
const TAIL: f64 = 0.05;

/// How much a statement about a change rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// No values before or none after: nothing can be said.
    Unknown,
    /// Few values on one side.
    Weak,
    /// Enough values on both sides.
    Firm,
}

/// One series, before against after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Typical value before, in the metric's unit.
    pub before: f64,
    /// Distance of the quartiles before.
    pub spread: f64,
    /// Mean of the values after.
    pub after: f64,
    /// The worst value after, by the kind's direction; of many values one that a twentieth of them exceed.
    pub peak: f64,
    /// Distance of the peak from before, in units of the usual noise; negative when it moved to the good side.
    pub strength: f64,
    /// What it rests on.
    pub confidence: Confidence,
}

impl Change {
    /// Compares the samples in the window with those before it and with the reference.
    ///
    /// `None` when one side has no finite value.
    pub(crate) fn of(series: &MetricSeries, window: &Window) -> Option<Self> {
        let samples = || series.samples.iter();
        let pre = sorted(samples().filter(|s| s.at < window.start).map(|s| s.value));
        let post = sorted(samples().filter(|s| window.holds(s.at)).map(|s| s.value));
        let reference = sorted(series.reference.iter().copied());
        let direction = series.kind.direction();
        let opinions = [(&reference, 1), (&pre, if reference.is_empty() { 1 } else { PRE_MIN })];
        opinions
            .into_iter()
            .filter(|(values, least)| values.len() >= *least)
            .filter_map(|(values, _)| Self::against(values, &post, direction))
            .min_by(|a, b| a.strength.abs().total_cmp(&b.strength.abs()))
            .map(|change| Self { confidence: confidence(pre.len() + reference.len(), post.len()), ..change })
    }

    fn against(before: &[f64], after: &[f64], direction: Direction) -> Option<Self> {
        let centre = median(before)?;
        let spread = iqr(before)?;
        let tail = if after.len() < MANY { 0.0 } else { TAIL };
        let (low, high) = (quantile(after, tail)?, quantile(after, 1.0 - tail)?);
        let peak = match direction {
            Direction::Up => high,
            Direction::Down => low,
            Direction::Both if (high - centre).abs() >= (low - centre).abs() => high,
            Direction::Both => low,
        };
        let moved = match direction {
            Direction::Up => peak - centre,
            Direction::Down => centre - peak,
            Direction::Both => (peak - centre).abs(),
        };
        let noise = noise(centre, spread);
        let strength = if noise > 0.0 {
            moved / noise
        } else {
            moved.signum() * if moved == 0.0 { 0.0 } else { STRENGTH_MAX }
        };
        Some(Self {
            before: centre,
            spread,
            after: mean(after),
            peak,
            strength: strength.clamp(-STRENGTH_MAX, STRENGTH_MAX),
            confidence: Confidence::Unknown,
        })
    }

    /// What counts as noise, in the metric's unit.
    pub(crate) fn noise(&self) -> f64 {
        noise(self.before, self.spread)
    }

    /// How much of `after` is beyond what noise explains, towards more; zero when it is within.
    pub(crate) fn excess(&self) -> f64 {
        (self.after - self.before - self.spread).max(0.0)
    }

    /// How much of `after` is below what noise explains; zero when it is within.
    pub(crate) fn shortfall(&self) -> f64 {
        (self.before - self.spread - self.after).max(0.0)
    }
}

fn noise(centre: f64, spread: f64) -> f64 {
    spread + NOISE_SHARE * centre.abs()
}

/// Mean; zero of nothing.
#[expect(clippy::cast_precision_loss, reason = "lengths stay below 2^53")]
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn confidence(n_before: usize, n_after: usize) -> Confidence {
    match (n_before, n_after) {
        (0, _) | (_, 0) => Confidence::Unknown,
        (5.., 3..) => Confidence::Firm,
        _ => Confidence::Weak,
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::{Sample, TimestampMs};

    use super::*;
    use crate::MetricKind;

    fn series(kind: MetricKind, reference: &[f64], values: &[f64]) -> MetricSeries {
        let samples =
            values.iter().enumerate().map(|(i, v)| Sample { at: TimestampMs(i as i64), value: *v }).collect();
        MetricSeries { entity: "a".into(), metric: "m".into(), kind, reference: reference.to_vec(), samples }
    }

    fn change(kind: MetricKind, reference: &[f64], values: &[f64], at: i64) -> Option<Change> {
        Change::of(&series(kind, reference, values), &Window::from(TimestampMs(at)))
    }

    #[test]
    fn a_rise_of_latency_is_strong_and_a_fall_is_not() {
        let up = change(MetricKind::Latency, &[], &[1.0, 1.1, 0.9, 1.0, 1.0, 9.0, 9.0, 9.0], 5).unwrap();
        assert!(up.strength > 10.0 && up.confidence == Confidence::Firm, "{up:?}");
        let down = change(MetricKind::Latency, &[], &[9.0, 9.1, 8.9, 9.0, 9.0, 1.0, 1.0, 1.0], 5).unwrap();
        assert!(down.strength < 0.0, "{down:?}");
    }

    #[test]
    fn less_availability_is_worse() {
        let c = change(MetricKind::Availability, &[], &[100.0, 100.0, 80.0], 2).unwrap();
        assert!(c.strength > 1.0 && c.peak == 80.0 && c.confidence == Confidence::Weak, "{c:?}");
    }

    #[test]
    fn what_was_strange_before_the_alarm_is_not_news() {
        let c = change(MetricKind::Latency, &[1.0; 20], &[5.0, 5.1, 4.9, 5.0], 2).unwrap();
        assert!(c.strength < 1.0, "{c:?}");
    }

    #[test]
    fn nothing_is_said_without_values_on_both_sides() {
        assert_eq!(change(MetricKind::Latency, &[], &[1.0, 2.0], 0), None);
        assert_eq!(change(MetricKind::Latency, &[], &[1.0, 2.0], 9), None);
        assert_eq!(change(MetricKind::Latency, &[f64::NAN], &[f64::NAN, f64::NAN], 1), None);
    }

    #[test]
    fn a_constant_that_stays_has_no_strength() {
        assert_eq!(change(MetricKind::Other, &[], &[0.0; 8], 4).unwrap().strength, 0.0);
    }
}
