//! `*_over_time`: sums, means, extremes, spreads and ends of a range.

use std::collections::VecDeque;

use wellkept_model::Sample;

use super::{Either, Window, float, histogram};
use crate::column::Cell;
use crate::native::{Hints, Native, Total};
use crate::select::ahead;
use crate::stats;
use crate::syntax::functions::WindowFn;
use crate::syntax::number::seconds;

pub(super) fn sum(w: &Window<'_>) -> Cell {
    if w.is_mixed() {
        return Cell::None;
    }
    if !w.floats.is_empty() {
        return float(stats::sum(w.values()));
    }
    total(w, false)
}

pub(super) fn avg(w: &Window<'_>) -> Cell {
    if w.is_mixed() {
        return Cell::None;
    }
    if !w.floats.is_empty() {
        return float(stats::mean(w.values()));
    }
    total(w, true)
}

/// Sum or mean of the histograms of a window.
fn total(w: &Window<'_>, mean: bool) -> Cell {
    let mut rest = w.histograms.iter().map(|s| Native::from(s.histogram.as_ref()));
    let Some(first) = rest.next() else { return Cell::None };
    let mut hints = Hints::default();
    hints.see(first.hint);
    let mut total = Total::new(first, mean);
    let done = rest.try_for_each(|next| {
        hints.see(next.hint);
        w.notes.reconciled(total.so_far(), &next, "aggregation", w.span);
        total.add(&next)
    });
    let Ok(all) = done.and_then(|()| total.finish()) else {
        w.notes.mismatch(w.metric, w.span);
        return Cell::None;
    };
    if hints.collide() {
        w.notes.collision("aggregation", w.span);
    }
    histogram(all)
}

/// The least or greatest value, or when it was last seen.
pub(super) fn extreme(w: &Window<'_>, f: WindowFn) -> Cell {
    let Some(first) = w.floats.first() else { return Cell::None };
    w.ignore_histograms();
    let mut best = first;
    for sample in w.floats {
        let (value, so_far) = (sample.value, best.value);
        let better = match f {
            WindowFn::Min => value < so_far,
            WindowFn::Max => value > so_far,
            WindowFn::TsOfMin => value <= so_far,
            _ => value >= so_far,
        };
        if better || so_far.is_nan() {
            best = sample;
        }
    }
    match f {
        WindowFn::Min | WindowFn::Max => float(best.value),
        _ => float(seconds(best.at.0)),
    }
}

/// `min_over_time` or `max_over_time` of floats at all steps at once: what [`extreme`] says of each window. Only values
/// that may still become the extreme are kept, so that each is looked at a few times, not once per window. `ends` gives
/// the right end of each step's window. True when there is any value.
pub(super) fn extremes(
    floats: &[Sample],
    ends: impl Iterator<Item = i64>,
    range: i64,
    f: WindowFn,
    values: &mut [f64],
) -> bool {
    let beaten = |old: f64, new: f64| if f == WindowFn::Min { new < old } else { new > old };
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let (mut low, mut high) = (0, 0);
    let mut any = false;
    for (value, end) in values.iter_mut().zip(ends) {
        let start = end.saturating_sub(range);
        while let Some(sample) = floats.get(high).filter(|s| s.at.0 <= end) {
            let worse = |i: &usize| floats.get(*i).is_some_and(|old| beaten(old.value, sample.value));
            while candidates.back().is_some_and(worse) {
                candidates.pop_back();
            }
            if !sample.value.is_nan() {
                candidates.push_back(high);
            }
            high += 1;
        }
        low += ahead(floats, low, |s| s.at.0 <= start);
        while candidates.front().is_some_and(|i| *i < low) {
            candidates.pop_front();
        }
        if low >= high {
            continue;
        }
        any = true;
        // Without a candidate there are only values that are no numbers; the last of them, as it is.
        let best = candidates.front().or(high.checked_sub(1).as_ref()).and_then(|i| floats.get(*i));
        *value = best.map_or(f64::NAN, |s| s.value);
    }
    any
}

pub(super) fn spread(w: &Window<'_>, f: WindowFn) -> Cell {
    if w.floats.is_empty() {
        return Cell::None;
    }
    w.ignore_histograms();
    let sorted = |q: f64, values: &mut Vec<f64>| stats::quantile(q, values);
    float(match f {
        WindowFn::Stddev => stats::variance(w.values()).sqrt(),
        WindowFn::Stdvar => stats::variance(w.values()),
        WindowFn::Quantile => sorted(w.params[0], &mut w.values().collect()),
        _ => {
            let median = sorted(0.5, &mut w.values().collect());
            sorted(0.5, &mut w.values().map(|v| (v - median).abs()).collect())
        }
    })
}

/// The first or last sample, or its time.
pub(super) fn end(w: &Window<'_>, f: WindowFn) -> Cell {
    let first = matches!(f, WindowFn::First | WindowFn::TsOfFirst);
    let (float_end, histogram_end) =
        if first { (w.floats.first(), w.histograms.first()) } else { (w.floats.last(), w.histograms.last()) };
    let end = match (float_end, histogram_end) {
        (Some(f), Some(h)) if (f.at < h.at) == first => Either::Float(f),
        (_, Some(h)) => Either::Histogram(h),
        (Some(f), None) => Either::Float(f),
        (None, None) => return Cell::None,
    };
    match (f, end) {
        (WindowFn::TsOfFirst | WindowFn::TsOfLast, end) => float(seconds(end.at())),
        (_, Either::Float(f)) => float(f.value),
        (_, Either::Histogram(h)) => Cell::Histogram(std::sync::Arc::clone(&h.histogram)),
    }
}
