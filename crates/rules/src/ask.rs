//! The one place that talks to the PromQL crate.

use std::sync::Arc;

use wellkept_model::{Histogram, Labels, MatchOp, Matcher, SeriesSource, TimestampMs};
use wellkept_promql::{Limits, PointValue, Query, QueryError, Value, instant, selector};

/// One value of a series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Point {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl From<PointValue> for Point {
    fn from(value: PointValue) -> Self {
        match value {
            PointValue::Float(value) => Self::Float(value),
            PointValue::Histogram(histogram) => Self::Histogram(histogram),
        }
    }
}

impl Point {
    /// The number; 0 for a histogram, as Prometheus has it in alerts.
    pub(crate) fn float(&self) -> f64 {
        match self {
            Self::Float(value) => *value,
            Self::Histogram(_) => 0.0,
        }
    }
}

/// What an evaluation reads from and how much it may cost.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Where the series are.
    pub source: &'a dyn SeriesSource,
    /// Bounds of each query.
    pub limits: &'a Limits,
    /// Ends a query when it says true.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Query, QueryError> {
    Query::parse(text, &Limits::default())
}

/// The samples of an instant query; a scalar is a sample without labels.
pub(crate) fn vector(
    query: &Query,
    at: TimestampMs,
    reader: &Reader<'_>,
) -> Result<Vec<(Labels, Point)>, QueryError> {
    match instant(query, reader.source, at, reader.limits, reader.cancelled)?.value {
        Value::Vector(vector) => Ok(vector.into_iter().map(|(l, s)| (l, s.value.into())).collect()),
        Value::Scalar { value, .. } => Ok(vec![(Labels::default(), Point::Float(value))]),
        _ => Err(QueryError::Execution("rule result is not a vector or scalar".to_owned())),
    }
}

/// A series as files write it: `up{job="a"}`, `{}`, `{__name__="up"}`.
pub(crate) fn metric(text: &str) -> Result<Labels, QueryError> {
    if text.chars().filter(|c| !c.is_whitespace()).eq("{}".chars()) {
        return Ok(Labels::default());
    }
    let matchers = selector(text, &Limits::default())?;
    if matchers.iter().any(|m| m.op() != MatchOp::Equal) {
        return Err(QueryError::BadData("parse error: a series is written with `=` only".to_owned()));
    }
    Ok(Labels::new(matchers.iter().map(|m| (m.name(), m.value()))))
}

/// The matchers of one `match[]`.
pub(crate) fn matchers(text: &str) -> Result<Vec<Matcher>, QueryError> {
    selector(text, &Limits::default())
}
