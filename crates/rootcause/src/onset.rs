//! When trouble began, when nobody raised an alarm, and when one series began to move.
//!
//! Each series that changed its level to the bad side votes for the instant of its largest change; votes that lie close
//! together count as one opinion, and the heaviest opinion's earliest vote is the onset.

use wellkept_model::TimestampMs;

use crate::changepoint::{ChangePoint, change_points};
use crate::kind::Direction;
use crate::scene::{MetricSeries, Scene};

/// Votes this far apart may still be one event: two rounds of a slow sampling.
const TOGETHER_MS: i64 = 120_000;

/// Fewest units of noise of a change that may vote: below it a level that differs is often chance.
const VOTE_MIN: f64 = 3.0;

/// Votes of at most this many units of noise: one series alone must not outvote all others.
const VOTE_MAX: f64 = 20.0;

/// The largest change of a series to its bad side that is beyond chance, by its height.
pub(crate) fn worst_change(series: &MetricSeries) -> Option<ChangePoint> {
    let bad = |c: &ChangePoint| match series.kind.direction() {
        Direction::Up => c.height,
        Direction::Down => -c.height,
        Direction::Both => c.height.abs(),
    };
    let changes = change_points(&series.samples);
    changes.into_iter().filter(|c| bad(c) >= VOTE_MIN).max_by(|a, b| bad(a).total_cmp(&bad(b)))
}

/// The instant at which most series changed to the bad side; `None` when none did.
pub(crate) fn onset(scene: &Scene) -> Option<TimestampMs> {
    let mut votes: Vec<(TimestampMs, f64)> =
        scene.series.iter().filter_map(worst_change).map(|c| (c.at, c.height.abs().min(VOTE_MAX))).collect();
    votes.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
    let weight = |from: TimestampMs| {
        let together = votes.iter().filter(|v| v.0 >= from && v.0.0.saturating_sub(from.0) <= TOGETHER_MS);
        together.map(|v| v.1).sum::<f64>()
    };
    let opinions = votes.iter().map(|v| (v.0, weight(v.0)));
    opinions
        .fold(None, |best: Option<(TimestampMs, f64)>, o| best.filter(|b| b.1 >= o.1).or(Some(o)))
        .map(|b| b.0)
}
