//! Functions of a range of samples: `rate` and its kin, `*_over_time`, trends.
//!
//! A range is open at its left and closed at its right end, as in Prometheus 3. Stale markers are taken out before.

use wellkept_model::Sample;

use crate::stats::{self, Sum};

/// What a function sees at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// In order of time; never empty.
    pub(crate) samples: &'a [Sample],
    /// Left end, milliseconds, not part of it.
    pub(crate) start: i64,
    /// Right end, milliseconds, part of it.
    pub(crate) end: i64,
    /// The step itself; differs from `end` by the offset.
    pub(crate) at: i64,
    /// The function's scalar, where it takes one.
    pub(crate) param: f64,
}

/// Gives nothing where there are too few samples.
pub(crate) type WindowFn = fn(&Window<'_>) -> Option<f64>;

impl Window<'_> {
    fn values(&self) -> impl Iterator<Item = f64> + Clone {
        self.samples.iter().map(|s| s.value)
    }

    /// Neighbouring values.
    fn steps(&self) -> impl Iterator<Item = (f64, f64)> {
        self.samples.windows(2).filter_map(|pair| match pair {
            [a, b] => Some((a.value, b.value)),
            _ => None,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "differences of real dates stay far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

pub(crate) fn rate(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true).map(|v| v / seconds(w.end.saturating_sub(w.start)))
}

pub(crate) fn increase(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true)
}

pub(crate) fn delta(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, false)
}

/// How much more than the usual distance a sample may lie from an end of the range and still be taken to belong
/// there: Prometheus' 10 %, for scrapes that come a little late.
const NEAR_THE_END: f64 = 1.1;

/// The difference between the last and the first sample, stretched to the whole range.
///
/// Near an end (see [`NEAR_THE_END`]) it is stretched to that end, else by half the usual distance: there the series
/// probably began or ended. A counter is never stretched to before the instant at which it would have been zero.
fn extrapolated(w: &Window<'_>, counter: bool) -> Option<f64> {
    let (first, last) = (w.samples.first()?, w.samples.last()?);
    if w.samples.len() < 2 {
        return None;
    }
    let mut difference = last.value - first.value;
    if counter {
        difference += w.steps().filter(|(a, b)| b < a).map(|(a, _)| a).sum::<f64>();
    }
    let covered = seconds(last.at.0.saturating_sub(first.at.0));
    #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
    let usual = covered / (w.samples.len() - 1) as f64;
    let stretch = |gap: f64| if gap >= usual * NEAR_THE_END { usual / 2.0 } else { gap };
    let mut before = stretch(seconds(first.at.0.saturating_sub(w.start)));
    if counter && difference > 0.0 && first.value >= 0.0 {
        before = before.min(covered * (first.value / difference));
    }
    let after = stretch(seconds(w.end.saturating_sub(last.at.0)));
    Some(difference * ((covered + before + after) / covered))
}

/// The last two samples.
fn last_two<'a>(w: &Window<'a>) -> Option<(&'a Sample, &'a Sample)> {
    match w.samples {
        [.., a, b] => Some((a, b)),
        _ => None,
    }
}

pub(crate) fn irate(w: &Window<'_>) -> Option<f64> {
    let (a, b) = last_two(w)?;
    let grown = if b.value < a.value { b.value } else { b.value - a.value };
    Some(grown / seconds(b.at.0.saturating_sub(a.at.0)))
}

pub(crate) fn idelta(w: &Window<'_>) -> Option<f64> {
    let (a, b) = last_two(w)?;
    Some(b.value - a.value)
}

pub(crate) fn resets(w: &Window<'_>) -> Option<f64> {
    Some(count(w.steps().filter(|(a, b)| b < a)))
}

pub(crate) fn changes(w: &Window<'_>) -> Option<f64> {
    Some(count(w.steps().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan()))))
}

#[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
fn count(items: impl Iterator) -> f64 {
    items.count() as f64
}

/// Slope per second and value at `zero` of the least-squares line; nothing below two samples.
fn line(w: &Window<'_>, zero: i64) -> Option<(f64, f64)> {
    let first = w.samples.first().filter(|_| w.samples.len() >= 2)?.value;
    if w.values().all(|v| v == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let (mut x1, mut y1, mut xy, mut x2) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in w.samples {
        let x = seconds(sample.at.0.saturating_sub(zero));
        x1.add(x);
        y1.add(sample.value);
        xy.add(x * sample.value);
        x2.add(x * x);
    }
    let n = count(w.samples.iter());
    let covariance = xy.total() - x1.total() * y1.total() / n;
    let variance = x2.total() - x1.total() * x1.total() / n;
    let slope = covariance / variance;
    Some((slope, y1.total() / n - slope * x1.total() / n))
}

pub(crate) fn deriv(w: &Window<'_>) -> Option<f64> {
    // The zero at the first sample, not the step, keeps the products small.
    let zero = w.samples.first()?.at.0;
    line(w, zero).map(|(slope, _)| slope)
}

pub(crate) fn predict_linear(w: &Window<'_>) -> Option<f64> {
    line(w, w.at).map(|(slope, now)| slope * w.param + now)
}

/// Makes a [`WindowFn`] of a function of plain values that wants at least one.
macro_rules! over_time {
    ($($name:ident = $of:expr;)*) => {$(
        pub(crate) fn $name(w: &Window<'_>) -> Option<f64> {
            let of: fn(&Window<'_>) -> f64 = $of;
            Some(of(w))
        }
    )*};
}

over_time! {
    avg_over_time = |w| stats::mean(w.values());
    sum_over_time = |w| stats::sum(w.values());
    min_over_time = |w| stats::min(w.values());
    max_over_time = |w| stats::max(w.values());
    count_over_time = |w| count(w.samples.iter());
    present_over_time = |_| 1.0;
    stdvar_over_time = |w| stats::variance(w.values());
    stddev_over_time = |w| stats::variance(w.values()).sqrt();
    quantile_over_time = |w| stats::quantile(w.param, &mut w.values().collect::<Vec<_>>());
    mad_over_time = |w| {
        let median = stats::quantile(0.5, &mut w.values().collect::<Vec<_>>());
        stats::quantile(0.5, &mut w.values().map(|v| (v - median).abs()).collect::<Vec<_>>())
    };
}

pub(crate) fn first_over_time(w: &Window<'_>) -> Option<f64> {
    w.samples.first().map(|s| s.value)
}

pub(crate) fn last_over_time(w: &Window<'_>) -> Option<f64> {
    w.samples.last().map(|s| s.value)
}
