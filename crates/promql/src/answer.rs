//! The doors: a query that was read, its evaluation at an instant or over a range, and what comes out.

use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{
    Histogram, HistogramSample, Labels, Matcher, Sample, SeriesData, SeriesSource, TimestampMs,
};

use crate::column::{Cell, Column, Grid, is_absent};
use crate::eval::{Evaluated, Evaluator};
use crate::syntax::functions::Function;
use crate::syntax::tree::{AggregateOp, Expr, Kind};
use crate::syntax::{json, parse, pretty, token};
use crate::{Limits, QueryError};

/// A query that may be evaluated any number of times.
#[derive(Debug)]
pub struct Query {
    pub(crate) text: String,
    pub(crate) expr: Expr,
}

impl Query {
    /// Reads and checks a query. Safe for any text: depth and size are bounded while it is read.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when the text is beyond a limit, is no PromQL, or has types that do not fit.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, QueryError> {
        Ok(Self { text: text.to_owned(), expr: parse::parse(text, limits)? })
    }

    /// The query in Prometheus' form, on one line.
    #[must_use]
    pub fn print(&self) -> String {
        crate::syntax::print::print(&self.expr)
    }
}

/// The query in Prometheus' form, split into lines where it is long: `/api/v1/format_query`.
///
/// # Errors
/// As [`Query::parse`].
pub fn format_query(text: &str, limits: &Limits) -> Result<String, QueryError> {
    Ok(pretty::pretty(&parse::parse(text, limits)?, 0))
}

/// The tree of a query as `/api/v1/parse_query` gives it under `data`.
///
/// # Errors
/// As [`Query::parse`].
pub fn parse_query(text: &str, limits: &Limits) -> Result<serde_json::Value, QueryError> {
    Ok(json::json(&parse::parse(text, limits)?))
}

/// The matchers of a lone series selector, as `match[]` of `/api/v1/series` wants it; the name comes first.
///
/// # Errors
/// [`QueryError::BadData`] as [`Query::parse`], and when the text is anything but a plain selector.
pub fn selector(text: &str, limits: &Limits) -> Result<Vec<Matcher>, QueryError> {
    match parse::parse(text, limits)? {
        Expr::Vector(selector) if selector.is_plain() => {
            let mut matchers = selector.matchers;
            if !selector.name.is_empty() {
                matchers.rotate_right(1);
            }
            Ok(matchers)
        }
        _ => Err(token::error(
            text,
            0,
            "this is no series selector; write a name, matchers in braces, or both",
        )),
    }
}

/// The matchers of every selector in an expression, in order, each once: what `/api/v1/query_exemplars` looks for.
///
/// # Errors
/// As [`Query::parse`].
pub fn selectors(text: &str, limits: &Limits) -> Result<Vec<Vec<Matcher>>, QueryError> {
    let expr = parse::parse(text, limits)?;
    let (mut found, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for selector in expr.selectors() {
        if seen.insert(crate::syntax::print::bare_selector(selector)) {
            found.push(selector.matchers.clone());
        }
    }
    Ok(found)
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked for.
    pub value: Value,
    /// What is probably wrong with the data or the query, with its place; sorted, at most eleven.
    pub warnings: Vec<String>,
    /// What may be wrong, likewise.
    pub infos: Vec<String>,
}

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number without labels; instant queries only.
    Scalar {
        /// The instant asked for.
        at: TimestampMs,
        /// The number.
        value: f64,
    },
    /// A text; instant queries only.
    String {
        /// The instant asked for.
        at: TimestampMs,
        /// The text.
        value: String,
    },
    /// One value per series; instant queries only. Sorted by labels, or as `sort`, `topk` and the like say.
    Vector(Vec<(Labels, Point)>),
    /// Many samples per series, sorted by labels: range queries, and instant queries of a range selector.
    Matrix(Vec<SeriesData>),
}

/// One value with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When it holds.
    pub at: TimestampMs,
    /// The value.
    pub value: PointValue,
}

impl Point {
    /// The number, when it is one and no histogram.
    #[must_use]
    pub fn float(&self) -> Option<f64> {
        match self.value {
            PointValue::Float(value) => Some(value),
            PointValue::Histogram(_) => None,
        }
    }
}

/// A number or a native histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One bucket of a native histogram, as Prometheus' JSON wants it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketView {
    /// Which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
    pub boundaries: u8,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations in it; never 0.
    pub count: f64,
}

/// The buckets of a native histogram that counted something, from the lowest to the highest.
#[must_use]
pub fn histogram_buckets(histogram: &Histogram) -> Vec<BucketView> {
    let buckets = crate::native::Native::from(histogram).buckets();
    let there = buckets.into_iter().filter(|b| b.count != 0.0);
    there
        .map(|b| {
            let boundaries = match b.inclusive() {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            BucketView { boundaries, lower: b.lower, upper: b.upper, count: b.count }
        })
        .collect()
}

/// Evaluates a query at one instant. Blocks while the source reads. `cancelled` is asked now and then (about every
/// 0.1 ms of work) and ends the query when it says true.
///
/// # Errors
/// Any [`QueryError`]; [`QueryError::Timeout`] when `cancelled` said so.
pub fn instant(
    query: &Query,
    source: &dyn SeriesSource,
    at: TimestampMs,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Outcome, QueryError> {
    let grid = Grid { start: at.0, step: 1, count: 1 };
    let eval = Evaluator::new(source, limits, cancelled, grid, 0);
    let value = instant_value(query, &eval, at, grid)?;
    Ok(outcome(&eval, query, value))
}

pub(crate) fn instant_value(
    query: &Query,
    eval: &Evaluator<'_>,
    at: TimestampMs,
    grid: Grid,
) -> Result<Value, QueryError> {
    if let Expr::Range(expr) = query.expr.bare() {
        let series = eval.ranges(expr, grid, None)?.into_series(eval)?;
        return Ok(Value::Matrix(series));
    }
    Ok(match eval.eval(&query.expr, grid)? {
        Evaluated::Scalar(values) => Value::Scalar { at, value: values.first().copied().unwrap_or(f64::NAN) },
        Evaluated::Text(value) => Value::String { at, value },
        Evaluated::Vector(columns) => {
            let columns = eval.finish(columns)?;
            let there = columns.into_iter().filter_map(|c| {
                let value = match c.cell(0) {
                    Cell::None => return None,
                    Cell::Float(value) => PointValue::Float(value),
                    Cell::Histogram(histogram) => PointValue::Histogram(histogram),
                };
                Some((c.labels, Point { at, value }))
            });
            let mut vector: Vec<_> = there.collect();
            if !is_ordered(query.expr.bare()) {
                vector.sort_by(|a, b| a.0.cmp(&b.0));
            }
            Value::Vector(vector)
        }
    })
}

fn outcome(eval: &Evaluator<'_>, query: &Query, value: Value) -> Outcome {
    let (warnings, infos) = eval.notes.placed(&query.text);
    Outcome { value, warnings, infos }
}

/// Evaluates a query at `from`, `from + step`, … up to `to`. Each selector is read once for the whole range.
/// `cancelled` as in [`instant`].
///
/// # Errors
/// Any [`QueryError`]; [`QueryError::BadData`] also for a step of zero, `to` before `from`, too many steps, or a
/// query that gives neither a scalar nor an instant vector.
pub fn range(
    query: &Query,
    source: &dyn SeriesSource,
    from: TimestampMs,
    to: TimestampMs,
    step: Duration,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Outcome, QueryError> {
    let grid = steps(from, to, step, limits)?;
    let eval = Evaluator::new(source, limits, cancelled, grid, grid.step);
    let value = range_value(query, &eval, grid)?;
    Ok(outcome(&eval, query, value))
}

pub(crate) fn range_value(query: &Query, eval: &Evaluator<'_>, grid: Grid) -> Result<Value, QueryError> {
    let kind = query.expr.kind();
    if !matches!(kind, Kind::Scalar | Kind::Vector) {
        return Err(QueryError::bad(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            kind.word()
        )));
    }
    let columns = match eval.eval(&query.expr, grid)? {
        Evaluated::Scalar(values) => vec![Column { values, ..Column::empty(Labels::default(), 0) }],
        Evaluated::Vector(columns) => eval.finish(columns)?,
        Evaluated::Text(_) => Vec::new(),
    };
    let mut series: Vec<_> = columns.into_iter().map(|c| samples(c, grid)).collect();
    series.retain(|s| !s.samples.is_empty() || !s.histograms.is_empty());
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Value::Matrix(series))
}

/// A column as samples.
pub(crate) fn samples(column: Column, grid: Grid) -> SeriesData {
    let histograms = column.histograms.into_iter().flatten().zip(grid.times());
    let histograms = histograms
        .filter_map(|(h, at)| Some(HistogramSample { at: TimestampMs(at), histogram: h? }))
        .collect();
    let there = grid.times().zip(column.values).filter(|(_, v)| !is_absent(*v));
    let samples = there.map(|(at, value)| Sample { at: TimestampMs(at), value }).collect();
    SeriesData { labels: column.labels, samples, histograms }
}

/// The steps of a range.
pub(crate) fn steps(
    from: TimestampMs,
    to: TimestampMs,
    step: Duration,
    limits: &Limits,
) -> Result<Grid, QueryError> {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if step == 0 {
        return Err(QueryError::bad(
            "zero or negative query resolution step widths are not accepted; use at least 1 ms",
        ));
    }
    if to < from {
        return Err(QueryError::bad(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let count = (i128::from(to.0) - i128::from(from.0)) / i128::from(step) + 1;
    match usize::try_from(count).ok().filter(|c| *c <= limits.steps) {
        Some(count) => Ok(Grid { start: from.0, step, count }),
        None => Err(QueryError::bad(format!(
            "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
            limits.steps
        ))),
    }
}

/// Whether the order of an instant vector carries meaning.
fn is_ordered(expr: &Expr) -> bool {
    use Function::{Sort, SortByLabel, SortByLabelDesc, SortDesc};
    match expr {
        Expr::Call(call) => {
            matches!(call.signature.function, Sort | SortDesc | SortByLabel | SortByLabelDesc)
        }
        Expr::Aggregate(a) => matches!(a.op, AggregateOp::TopK | AggregateOp::BottomK),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::{METRIC_NAME, MatchOp};

    use super::*;

    fn named(text: &str) -> Vec<(String, MatchOp, String)> {
        let matchers = selector(text, &Limits::default()).unwrap();
        matchers.iter().map(|m| (m.name().to_owned(), m.op(), m.value().to_owned())).collect()
    }

    #[test]
    fn a_selector_gives_its_matchers_with_the_name_first() {
        let name = (METRIC_NAME.to_owned(), MatchOp::Equal, "up".to_owned());
        assert_eq!(named("up"), std::slice::from_ref(&name));
        assert_eq!(
            named(r#"up{job!~"n|m"}"#),
            [name.clone(), ("job".into(), MatchOp::NotRegex, "n|m".into())]
        );
        assert_eq!(named(r#"{__name__="up"}"#), std::slice::from_ref(&name));
        assert_eq!(named(r#"{"up"}"#), [name]);
    }

    #[test]
    fn what_is_more_than_a_selector_is_none() {
        for text in
            ["up offset 5m", "up @ 5", "up[5m]", "sum(up)", "(up)", "1", "", "{}", "up{", "up smoothed"]
        {
            assert!(selector(text, &Limits::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_query_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Query>();
        shared::<QueryError>();
    }

    #[test]
    fn an_error_tells_line_and_column() {
        let error = Query::parse("sum(\n  rate(up))", &Limits::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2:8: parse error: expected type range vector in call to function \"rate\", got instant vector"
        );
    }
}
