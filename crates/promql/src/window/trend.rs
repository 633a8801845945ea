//! Lines through a range, and smoothing.

use super::{Window, float};
use crate::QueryError;
use crate::column::Cell;
use crate::stats::Sum;
use crate::syntax::number::{format_number, seconds};

/// Slope per second and value at `zero` of the least-squares line; nothing below two floats.
fn line(w: &Window<'_>, zero: i64) -> Option<(f64, f64)> {
    let first = w.floats.first()?.value;
    if w.floats.len() == 1 {
        w.ignore_histograms();
        return None;
    }
    w.ignore_histograms();
    #[expect(clippy::float_cmp, reason = "only a line that is level to the last bit has no slope at all")]
    if w.values().all(|v| v == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let (mut x1, mut y1, mut xy, mut x2) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in w.floats {
        let x = seconds(sample.at.0.saturating_sub(zero));
        x1.add(x);
        y1.add(sample.value);
        xy.add(x * sample.value);
        x2.add(x * x);
    }
    #[expect(clippy::cast_precision_loss, reason = "a window never holds 2^52 samples")]
    let n = w.floats.len() as f64;
    let (x1, y1) = (x1.plain_total(), y1.plain_total());
    let covariance = xy.plain_total() - x1 * y1 / n;
    let variance = x2.plain_total() - x1 * x1 / n;
    let slope = covariance / variance;
    Some((slope, y1 / n - slope * x1 / n))
}

pub(super) fn deriv(w: &Window<'_>) -> Cell {
    // The zero at the first sample, not the step, keeps the products small.
    let zero = w.floats.first().map_or(0, |s| s.at.0);
    line(w, zero).map_or(Cell::None, |(slope, _)| float(slope))
}

pub(super) fn predict_linear(w: &Window<'_>) -> Cell {
    line(w, w.at).map_or(Cell::None, |(slope, now)| float(slope * w.params[0] + now))
}

/// Double exponential smoothing (Holt's linear method).
///
/// Source: NIST/SEMATECH e-Handbook of Statistical Methods, 6.4.3.3.
pub(super) fn smoothed(w: &Window<'_>) -> Result<Cell, QueryError> {
    let [smoothing, trend] = w.params;
    for (name, sign, factor) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
        if factor <= 0.0 || factor >= 1.0 {
            return Err(QueryError::failed(format!(
                "invalid {name} factor. Expected: 0 < {sign} < 1, got: {}",
                format_number(factor)
            )));
        }
    }
    let [first, second, ..] = w.floats else {
        if !w.floats.is_empty() {
            w.ignore_histograms();
        }
        return Ok(Cell::None);
    };
    w.ignore_histograms();
    let (mut level, mut slope) = (first.value, second.value - first.value);
    let mut before = None;
    for sample in w.floats.get(1..).unwrap_or_default() {
        if let Some(before) = before {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        before = Some(level);
        level = smoothing * sample.value + (1.0 - smoothing) * (level + slope);
    }
    Ok(float(level))
}
