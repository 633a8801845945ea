//! Whether a result is what was expected.

use wellkept_model::{Histogram, Labels, SeriesData, TimestampMs, is_stale};

use super::command::{Eval, Wanted, When};
use super::notation::SeriesValue;
use crate::answer::{Point, PointValue, Value};
use crate::native::{Native, script};
use crate::syntax::number::format_general;

/// Relative error that is allowed, as in Prometheus.
const EPSILON: f64 = 1e-6;

fn close(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    #[expect(clippy::float_cmp, reason = "what is equal is close, also at infinity")]
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (difference, size) = ((a - b).abs(), a.abs() + b.abs());
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < EPSILON
}

/// Hints count only where they are expected.
fn close_histograms(wanted: &Histogram, got: &Histogram) -> bool {
    let (a, b) = (Native::from(wanted), Native::from(got));
    let lists = |a: &[(i64, f64)], b: &[(i64, f64)]| {
        let there = |l: &[(i64, f64)]| l.iter().filter(|b| b.1 != 0.0).copied().collect::<Vec<_>>();
        let (a, b) = (there(a), there(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
    };
    let hint = wanted.reset_hint == Default::default() || wanted.reset_hint == got.reset_hint;
    hint && a.schema == b.schema
        && close(a.count, b.count)
        && close(a.sum, b.sum)
        && close(a.zero_threshold, b.zero_threshold)
        && close(a.zero_count, b.zero_count)
        && (!a.is_custom() || a.custom == b.custom)
        && lists(&a.positive, &b.positive)
        && lists(&a.negative, &b.negative)
}

fn close_values(wanted: &SeriesValue, got: &PointValue) -> bool {
    match (wanted, got) {
        (SeriesValue::Float(a), PointValue::Float(b)) => close(*a, *b),
        (SeriesValue::Histogram(a), PointValue::Histogram(b)) => close_histograms(a, b),
        _ => false,
    }
}

fn describe(value: &PointValue) -> String {
    match value {
        PointValue::Float(value) => format_general(*value),
        PointValue::Histogram(histogram) => script(histogram),
    }
}

fn describe_wanted(value: &SeriesValue) -> String {
    match value {
        SeriesValue::Gap => "_".to_owned(),
        SeriesValue::Float(value) if is_stale(*value) => "stale".to_owned(),
        SeriesValue::Float(value) => format_general(*value),
        SeriesValue::Histogram(histogram) => script(histogram),
    }
}

/// Whether a result is what was expected.
pub(super) fn compare(eval: &Eval, value: &Value) -> Result<(), String> {
    let wanted = &eval.wanted;
    match (value, eval.when) {
        (Value::Scalar { value, .. }, _) => match wanted.scalar {
            Some(number) if close(number, *value) => Ok(()),
            Some(number) => Err(format!("expected scalar {number} but got {value}")),
            None => Err(format!("expected a vector or matrix, but got the scalar {value}")),
        },
        (Value::String { value, .. }, _) => match &wanted.text {
            Some(text) if text == value => Ok(()),
            Some(text) => Err(format!("expected string {text:?} but got {value:?}")),
            None => Err(format!("expected a vector or matrix, but got the string {value:?}")),
        },
        _ if wanted.scalar.is_some() => Err("expected a scalar, but got series".to_owned()),
        (Value::Vector(got), _) => vector(wanted, got),
        (Value::Matrix(got), When::Range { from, to, step }) => {
            let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
            matrix(wanted, got, from, Some(to), step)
        }
        (Value::Matrix(got), When::Instant(_)) => match wanted.matrix {
            Some((from, step)) => {
                matrix(wanted, got, from, None, i64::try_from(step.as_millis()).unwrap_or(i64::MAX))
            }
            None => samples_only(wanted, got),
        },
    }
}

/// The result at one instant.
pub(super) fn vector(wanted: &Wanted, got: &[(Labels, Point)]) -> Result<(), String> {
    for (place, (labels, point)) in got.iter().enumerate() {
        let found = wanted.series.iter().rposition(|(l, _)| l == labels);
        let Some((position, (_, values))) = found.and_then(|i| Some((i, wanted.series.get(i)?))) else {
            return Err(format!(
                "unexpected metric {labels} in result, has value {}",
                describe(&point.value)
            ));
        };
        let [value] = values.as_slice() else {
            return Err(format!("an instant has one value for {labels}, not {}", values.len()));
        };
        if wanted.ordered && position != place {
            return Err(format!(
                "expected metric {labels} at position {} but was at {}",
                position + 1,
                place + 1
            ));
        }
        if !close_values(value, &point.value) {
            let (wanted, got) = (describe_wanted(value), describe(&point.value));
            return Err(format!("expected {wanted} for {labels} but got {got}"));
        }
    }
    missing(wanted, |labels| got.iter().any(|(l, _)| l == labels))
}

fn missing(wanted: &Wanted, has: impl Fn(&Labels) -> bool) -> Result<(), String> {
    for (labels, values) in &wanted.series {
        if !values.iter().all(|v| *v == SeriesValue::Gap) && !has(labels) {
            return Err(format!("expected metric {labels} not found"));
        }
    }
    Ok(())
}

/// The samples of a series in order of time.
pub(super) fn points(series: &SeriesData) -> Vec<Point> {
    let floats = series.samples.iter().map(|s| Point { at: s.at, value: PointValue::Float(s.value) });
    let histograms = series.histograms.iter();
    let histograms = histograms
        .map(|h| Point { at: h.at, value: PointValue::Histogram(std::sync::Arc::clone(&h.histogram)) });
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    points.sort_by_key(|p| p.at);
    points
}

fn matrix(
    wanted: &Wanted,
    got: &[SeriesData],
    from: TimestampMs,
    to: Option<TimestampMs>,
    step: i64,
) -> Result<(), String> {
    if wanted.ordered {
        return Err("expected ordered result, but query returned a matrix".to_owned());
    }
    if !got.is_sorted_by(|a, b| a.labels <= b.labels) {
        return Err("matrix results should always be sorted by labels".to_owned());
    }
    for series in got {
        let labels = &series.labels;
        let points = points(series);
        let shown = || points.iter().map(|p| format!("{}@{}", describe(&p.value), p.at)).collect::<Vec<_>>();
        let Some((_, values)) = wanted.series.iter().rfind(|(l, _)| l == labels) else {
            return Err(format!("unexpected metric {labels} in result, has {}", shown().join(" ")));
        };
        let steps = values.iter().enumerate().map(|(i, v)| {
            (TimestampMs(from.0.saturating_add(step.saturating_mul(i64::try_from(i).unwrap_or(i64::MAX)))), v)
        });
        let wanted: Vec<_> = steps.filter(|(_, v)| **v != SeriesValue::Gap).collect();
        if let Some((at, _)) = wanted.iter().find(|(at, _)| to.is_some_and(|to| *at > to)) {
            return Err(format!("expected a value for {labels} at {at}, after the end of the range"));
        }
        let same = wanted.len() == points.len()
            && wanted.iter().zip(&points).all(|((at, v), p)| *at == p.at && close_values(v, &p.value));
        if !same {
            let wanted: Vec<_> =
                wanted.iter().map(|(at, v)| format!("{}@{at}", describe_wanted(v))).collect();
            return Err(format!(
                "expected for {labels}: {}\n  but got: {}",
                wanted.join(" "),
                shown().join(" ")
            ));
        }
    }
    missing(wanted, |labels| got.iter().any(|s| s.labels == *labels))
}

/// A range selector asked at an instant: the values in their order, wherever they lie.
fn samples_only(wanted: &Wanted, got: &[SeriesData]) -> Result<(), String> {
    for series in got {
        let labels = &series.labels;
        let points = points(series);
        let Some((_, values)) = wanted.series.iter().rfind(|(l, _)| l == labels) else {
            return Err(format!("unexpected metric {labels} in result"));
        };
        let same = values.len() == points.len()
            && values.iter().zip(&points).all(|(v, p)| close_values(v, &p.value));
        if !same {
            let shown: Vec<_> = points.iter().map(|p| describe(&p.value)).collect();
            return Err(format!("expected other samples for {labels}, got {}", shown.join(" ")));
        }
    }
    missing(wanted, |labels| got.iter().any(|s| s.labels == *labels))
}
