//! What a counter or a gauge did over a range: `rate` and its kin.

use wellkept_model::Sample;

use super::{Either, Window, float, histogram, histograms};
use crate::column::Cell;
use crate::native::{Native, is_reset};
use crate::select::ahead;
use crate::syntax::functions::WindowFn;
use crate::syntax::number::seconds;

/// How much more than the usual distance a sample may lie from an end of the range and still be taken to belong
/// there: Prometheus' 10 %, for scrapes that come a little late.
const NEAR_THE_END: f64 = 1.1;

/// The difference between the last and the first sample, stretched to the whole range, perhaps per second.
///
/// Near an end (see [`NEAR_THE_END`]) it is stretched to that end, else by half the usual distance: there the series
/// probably began or ended. A counter is never stretched to before the instant at which it would have been zero.
pub(super) fn extrapolated(w: &Window<'_>, f: WindowFn) -> Cell {
    if w.is_mixed() {
        return Cell::None;
    }
    let counter = f != WindowFn::Delta;
    let range = (w.start, w.end);
    if let [first, .., last] = w.histograms {
        let Some(mut grown) = histograms::grown(w, counter) else { return Cell::None };
        let ends = (first.at.0, last.at.0);
        // The count tells when the whole histogram was zero; a bucket may have been zero later.
        let start = first.histogram.count;
        let to_zero = (counter && grown.count > 0.0 && start >= 0.0).then(|| start / grown.count);
        grown.scale(factor(range, ends, w.histograms.len(), to_zero, f == WindowFn::Rate));
        return histogram(grown);
    }
    let [first, .., last] = w.floats else { return Cell::None };
    let mut grown = last.value - first.value;
    if counter {
        let falls = w.floats.windows(2).filter(|pair| matches!(pair, [a, b] if b.value < a.value));
        falls.filter_map(|pair| pair.first()).for_each(|before| grown += before.value);
    }
    float(stretched(range, first, last, w.floats.len(), grown, f))
}

/// What `grown` between two floats stands for over the whole range.
fn stretched(range: (i64, i64), first: &Sample, last: &Sample, count: usize, grown: f64, f: WindowFn) -> f64 {
    let counter = f != WindowFn::Delta;
    let to_zero = (counter && grown > 0.0 && first.value >= 0.0).then(|| first.value / grown);
    grown * factor(range, (first.at.0, last.at.0), count, to_zero, f == WindowFn::Rate)
}

/// What the difference is multiplied with. `to_zero` is how far before the first sample the counter was zero, in
/// units of the time between the first and the last.
fn factor(
    (start, end): (i64, i64),
    (first, last): (i64, i64),
    count: usize,
    to_zero: Option<f64>,
    per_second: bool,
) -> f64 {
    let covered = seconds(last.saturating_sub(first));
    #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
    let usual = covered / (count - 1) as f64;
    let stretch = |gap: f64| if gap >= usual * NEAR_THE_END { usual / 2.0 } else { gap };
    let mut before = stretch(seconds(first.saturating_sub(start)));
    if let Some(zero) = to_zero.map(|z| covered * z).filter(|zero| *zero < before) {
        before = zero;
    }
    let after = stretch(seconds(end.saturating_sub(last)));
    let factor = (covered + before + after) / covered;
    if per_second { factor / seconds(end.saturating_sub(start)) } else { factor }
}

/// `rate`, `increase` or `delta` of floats at all steps at once: what [`extrapolated`] says of each window, without
/// making a window of it. `ends` gives the right end of each step's window. True when there is any value.
pub(super) fn rates(
    floats: &[Sample],
    ends: impl Iterator<Item = i64>,
    range: i64,
    f: WindowFn,
    values: &mut [f64],
) -> bool {
    // Places of floats that are below the one before: found once, so that a window costs as many additions as it has
    // resets inside, not as many as it has samples.
    let mut resets = Vec::new();
    if f != WindowFn::Delta {
        let falls = floats.windows(2).enumerate();
        resets.extend(
            falls.filter(|(_, pair)| matches!(pair, [a, b] if b.value < a.value)).map(|(i, _)| i + 1),
        );
    }
    let (mut low, mut high, mut first_reset) = (0, 0, 0);
    let mut any = false;
    for (value, end) in values.iter_mut().zip(ends) {
        let start = end.saturating_sub(range);
        high += ahead(floats, high, |s| s.at.0 <= end);
        low += ahead(floats, low, |s| s.at.0 <= start);
        let Some([first, .., last]) = floats.get(low..high) else { continue };
        let mut grown = last.value - first.value;
        if !resets.is_empty() {
            first_reset += ahead(&resets, first_reset, |i| *i <= low);
            let inside = resets.get(first_reset..).unwrap_or_default().iter().take_while(|i| **i < high);
            // One by one, as Prometheus adds them, so that the sum rounds in the same way.
            for before in inside.filter_map(|i| floats.get(i - 1)) {
                grown += before.value;
            }
        }
        *value = stretched((start, end), first, last, high - low, grown, f);
        any = true;
    }
    any
}

/// The last two samples: their difference, or how fast a counter grew between them.
pub(super) fn instant(w: &Window<'_>, rate: bool) -> Cell {
    let mut newest: [Option<Either<'_>>; 2] = [None, None];
    // Only the last two of each kind can be among the last two of all.
    let tail = Window { floats: last_two(w.floats), histograms: last_two(w.histograms), ..*w };
    for sample in tail.all() {
        newest = [newest[1].take(), Some(sample)];
    }
    let [Some(a), Some(b)] = newest else { return Cell::None };
    let interval = seconds(b.at().saturating_sub(a.at()));
    if interval == 0.0 {
        return Cell::None;
    }
    match (a, b) {
        (Either::Float(a), Either::Float(b)) => {
            let grown = if rate && b.value < a.value { b.value } else { b.value - a.value };
            float(if rate { grown / interval } else { grown })
        }
        (Either::Histogram(a), Either::Histogram(b)) => {
            let Some(mut grown) = histograms::between(w, &a.histogram, &b.histogram, rate) else {
                return Cell::None;
            };
            if rate {
                grown.divide(interval);
            }
            histogram(grown)
        }
        _ => {
            w.notes.mixed_samples(w.metric, w.span);
            Cell::None
        }
    }
}

fn last_two<T>(items: &[T]) -> &[T] {
    items.get(items.len().saturating_sub(2)..).unwrap_or_default()
}

/// Counts neighbours for which `floats` or `both` says yes; a change of kind always counts.
fn count(
    w: &Window<'_>,
    floats: impl Fn(f64, f64) -> bool,
    both: impl Fn(&wellkept_model::Histogram, &wellkept_model::Histogram) -> bool,
) -> Cell {
    let mut found = 0.0;
    if w.histograms.is_empty() {
        for pair in w.floats.windows(2) {
            if matches!(pair, [a, b] if floats(a.value, b.value)) {
                found += 1.0;
            }
        }
        return float(found);
    }
    let mut before: Option<Either<'_>> = None;
    for sample in w.all() {
        let counts = match (&before, &sample) {
            (None, _) => false,
            (Some(Either::Float(a)), Either::Float(b)) => floats(a.value, b.value),
            (Some(Either::Histogram(a)), Either::Histogram(b)) => both(&a.histogram, &b.histogram),
            _ => true,
        };
        if counts {
            found += 1.0;
        }
        before = Some(sample);
    }
    float(found)
}

pub(super) fn resets(w: &Window<'_>) -> Cell {
    count(w, |a, b| b < a, |a, b| is_reset(b, a))
}

#[expect(clippy::float_cmp, reason = "any change counts")]
pub(super) fn changes(w: &Window<'_>) -> Cell {
    count(w, |a, b| a != b && !(a.is_nan() && b.is_nan()), |a, b| !Native::same(a, b))
}
