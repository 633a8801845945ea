//! `anchored` and `smoothed` ranges: what the values at the ends of a range are, in place of stretching what lies inside.
//!
//! Histograms have no values in between; they are left out here.

use wellkept_model::Sample;

use crate::select::ahead;
use crate::syntax::functions::WindowFn;
use crate::syntax::number::seconds;
use crate::syntax::tree::Edges;

/// What all steps of a call have in common.
pub(super) struct Look {
    /// Length of the range, milliseconds.
    pub(super) range: i64,
    /// How far beyond the ends samples are looked for, milliseconds.
    pub(super) lookback: i64,
    pub(super) edges: Edges,
    pub(super) function: WindowFn,
}

/// The value at an instant on the line between two samples.
pub(crate) fn between(a: &Sample, b: &Sample, at: i64) -> f64 {
    line((a.at.0, a.value), (b.at.0, b.value), at)
}

fn line((start, low): (i64, f64), (end, high): (i64, f64), at: i64) -> f64 {
    low + (high - low) * (seconds(at.saturating_sub(start)) / seconds(end.saturating_sub(start)))
}

/// Runs the function over the windows of one series; `ends` gives the right end of each step's range. True when there
/// is any value.
pub(super) fn walk(
    floats: &[Sample],
    ends: impl Iterator<Item = i64>,
    look: &Look,
    values: &mut [f64],
) -> bool {
    let (mut low, mut high) = (0, 0);
    let smoothed = look.edges == Edges::Smoothed;
    let mut any = false;
    for (value, end) in values.iter_mut().zip(ends) {
        let start = end.saturating_sub(look.range);
        let (from, to) = (
            start.saturating_sub(look.lookback),
            if smoothed { end.saturating_add(look.lookback) } else { end },
        );
        high += ahead(floats, high, |s| s.at.0 <= to);
        low += ahead(floats, low, |s| s.at.0 <= from);
        let seen = floats.get(low..high).unwrap_or_default();
        let got = match look.function {
            WindowFn::Changes | WindowFn::Resets => counted(seen, start, look.function),
            function => grown(seen, start, end, smoothed, function),
        };
        if let Some(got) = got {
            *value = got;
            any = true;
        }
    }
    any
}

/// The place of the sample that stands at the left end: the last one not after it; but never the last of all.
fn anchor(floats: &[Sample], start: i64) -> usize {
    let but_last = floats.get(..floats.len().saturating_sub(1)).unwrap_or_default();
    but_last.partition_point(|s| s.at.0 <= start).saturating_sub(1)
}

#[expect(clippy::float_cmp, reason = "any change counts")]
fn counted(floats: &[Sample], start: i64, f: WindowFn) -> Option<f64> {
    let seen = floats.get(anchor(floats, start)..).filter(|s| !s.is_empty())?;
    let counts = |a: f64, b: f64| match f {
        WindowFn::Resets => b < a,
        _ => a != b && !(a.is_nan() && b.is_nan()),
    };
    let pairs = seen.windows(2).filter(|pair| matches!(pair, [a, b] if counts(a.value, b.value)));
    #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
    Some(pairs.count() as f64)
}

/// `rate`, `increase` and `delta`: the difference of the values at both ends.
fn grown(floats: &[Sample], start: i64, end: i64, smoothed: bool, f: WindowFn) -> Option<f64> {
    let counter = f != WindowFn::Delta;
    let first = anchor(floats, start);
    let mut last = floats.len().checked_sub(1)?;
    if smoothed {
        last = floats.get(..last)?.partition_point(|s| s.at.0 < end);
    }
    let (a, b) = (floats.get(first)?, floats.get(last)?);
    if b.at.0 <= start {
        return None;
    }
    let mut left = a.value;
    if let Some(next) = floats.get(first + 1).filter(|_| smoothed && a.at.0 < start) {
        // After a reset the counter came from zero.
        let low = if counter && next.value < a.value { 0.0 } else { a.value };
        left = line((a.at.0, low), (next.at.0, next.value), start);
    }
    let mut right = b.value;
    let before = last.checked_sub(1).and_then(|i| floats.get(i));
    if let Some(before) = before.filter(|_| smoothed && b.at.0 > end) {
        // Before a reset the counter went on as if there was none.
        let more = if counter && b.value < before.value { before.value } else { 0.0 };
        right = line((before.at.0, before.value), (b.at.0, b.value + more), end);
    }
    let mut difference = right - left;
    if counter {
        let inside = floats.get(first..=last).unwrap_or_default();
        let mut so_far = left;
        let within = inside.iter().filter(|s| s.at.0 > start && s.at.0 < end).map(|s| s.value);
        for value in within.chain([right]) {
            if value < so_far {
                difference += so_far;
            }
            so_far = value;
        }
    }
    Some(if f == WindowFn::Rate { difference / seconds(end.saturating_sub(start)) } else { difference })
}
