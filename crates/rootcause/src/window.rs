//! Which samples count as "since the alarm".
//!
//! An alarm is raised somewhere inside a sampling interval, and trouble may be over before the recording ends. When the
//! series that rang is known, its own bad samples tell the stretch; else everything from the alarm on counts.

use wellkept_model::TimestampMs;

use crate::change::Change;
use crate::kind::Direction;
use crate::onset::onset;
use crate::scene::{MetricSeries, Scene};

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
}

impl Window {
    /// Everything from an instant on.
    pub(crate) fn from(start: TimestampMs) -> Self {
        Self { start, end: TimestampMs(i64::MAX) }
    }

    /// A stretch that holds nothing.
    pub(crate) fn never() -> Self {
        Self { start: TimestampMs(i64::MAX), end: TimestampMs(i64::MIN) }
    }

    /// The stretch of the trouble: where the series that rang was bad, else from the alarm on, else from where most
    /// series changed. `None` when nobody raised an alarm and nothing changed.
    pub(crate) fn of(scene: &Scene) -> Option<Self> {
        let rang = scene
            .series
            .iter()
            .filter(|s| Some(&s.entity) == scene.alarm.entity.as_ref() && Some(s.kind) == scene.alarm.kind);
        let mut stretches = rang.filter_map(|s| match scene.alarm.at {
            // The sample that stands for the interval in which the alarm was raised lies at most one interval before it.
            Some(at) => bad_stretch(s, TimestampMs(at.0.saturating_sub(interval_ms(s)?).saturating_add(1))),
            None if s.reference.len() >= REFERENCE_MIN => bad_stretch(s, s.samples.first()?.at),
            None => None,
        });
        stretches.next().or_else(|| scene.alarm.at.or_else(|| onset(scene)).map(Self::from))
    }

    pub(crate) fn holds(&self, at: TimestampMs) -> bool {
        self.start <= at && at <= self.end
    }
}

/// Fewest values of normal operation that can tell by themselves when a series began to be bad.
const REFERENCE_MIN: usize = 20;

/// From the first to the last sample beyond noise, `from` some instant on.
fn bad_stretch(series: &MetricSeries, from: TimestampMs) -> Option<Window> {
    let change = Change::of(series, &Window::from(from))?;
    let noise = change.noise();
    let bad = series.samples.iter().filter(|s| s.at >= from).filter(|s| match series.kind.direction() {
        Direction::Up => s.value > change.before + noise,
        Direction::Down => s.value < change.before - noise,
        Direction::Both => (s.value - change.before).abs() > noise,
    });
    let (mut first, mut last) = (None, None);
    for sample in bad {
        first = first.or(Some(sample.at));
        last = Some(sample.at);
    }
    Some(Window { start: first?, end: last? })
}

/// The usual distance of samples: the median.
fn interval_ms(series: &MetricSeries) -> Option<i64> {
    let pairs = series.samples.iter().zip(series.samples.iter().skip(1));
    let mut gaps: Vec<i64> = pairs.map(|(a, b)| b.at.0.saturating_sub(a.at.0)).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}
