//! The one place that talks to the PromQL crate.

use wellkept_model::{Labels, MatchOp, Matcher, SeriesSource, TimestampMs};
use wellkept_promql::{Limits, Query, QueryError, Value, instant, selector};

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
) -> Result<Vec<(Labels, f64)>, QueryError> {
    match instant(query, reader.source, at, reader.limits, reader.cancelled)?.value {
        Value::Vector(vector) => Ok(vector.into_iter().map(|(l, s)| (l, s.value)).collect()),
        Value::Scalar { value, .. } => Ok(vec![(Labels::default(), value)]),
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
