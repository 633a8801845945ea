//! The only file that calls the query engine: texts in, its outcome or an API error out. Blocking.

use std::error::Error;
use std::time::Duration;

use axum::http::StatusCode;
use wellkept_model::{Matcher, SeriesSource, SourceError, SourceLimits, TimestampMs};
use wellkept_promql::{Limits, Query, QueryError};

use crate::error::ApiError;

pub(crate) use wellkept_promql::{Outcome, PointValue, Value, histogram_buckets};

/// Longest error message, characters: an engine may quote the whole query.
const MESSAGE_MAX: usize = 1000;

/// When an evaluation shall end early.
pub(crate) type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

pub(crate) fn instant(
    text: &str,
    at: TimestampMs,
    source: &dyn SeriesSource,
    limits: &Limits,
    stop: Stop<'_>,
) -> Result<Outcome, ApiError> {
    let query = Query::parse(text, limits).map_err(|e| failed(&e))?;
    wellkept_promql::instant(&query, source, at, limits, stop).map_err(|e| failed(&e))
}

/// The instants of a range query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) from: TimestampMs,
    pub(crate) to: TimestampMs,
    pub(crate) step: Duration,
}

pub(crate) fn range(
    text: &str,
    steps: Steps,
    source: &dyn SeriesSource,
    limits: &Limits,
    stop: Stop<'_>,
) -> Result<Outcome, ApiError> {
    let query = Query::parse(text, limits).map_err(|e| failed(&e))?;
    wellkept_promql::range(&query, source, steps.from, steps.to, steps.step, limits, stop)
        .map_err(|e| failed(&e))
}

/// The matchers of a `match[]` parameter.
pub(crate) fn selector(text: &str, limits: &Limits) -> Result<Vec<Matcher>, ApiError> {
    wellkept_promql::selector(text, limits).map_err(|e| failed(&e))
}

/// The expression as Prometheus would write it.
pub(crate) fn format(text: &str, limits: &Limits) -> Result<String, ApiError> {
    wellkept_promql::format_query(text, limits).map_err(|e| failed(&e))
}

/// The expression's tree.
pub(crate) fn tree(text: &str, limits: &Limits) -> Result<serde_json::Value, ApiError> {
    wellkept_promql::parse_query(text, limits).map_err(|e| failed(&e))
}

/// The selectors of an expression.
pub(crate) fn selectors(text: &str, limits: &Limits) -> Result<Vec<Vec<Matcher>>, ApiError> {
    wellkept_promql::selectors(text, limits).map_err(|e| failed(&e))
}

/// What one look at series without a query may cost.
pub(crate) fn source_limits(limits: &Limits) -> SourceLimits {
    SourceLimits { series: limits.series, samples: limits.samples, time: limits.time }
}

/// A source that failed outside a query.
pub(crate) fn source_failed(error: &SourceError) -> ApiError {
    let kind = match error {
        SourceError::TooMuch { what: "milliseconds", .. } => "timeout",
        SourceError::TooMuch { .. } => "execution",
        SourceError::Read { .. } => "internal",
    };
    ApiError::plain(status(kind), kind, chain(error))
}

fn failed(error: &QueryError) -> ApiError {
    let kind = error.error_type();
    ApiError::plain(status(kind), kind, chain(error))
}

/// Prometheus' status for its `errorType`.
fn status(kind: &str) -> StatusCode {
    match kind {
        "bad_data" => StatusCode::BAD_REQUEST,
        "execution" => StatusCode::UNPROCESSABLE_ENTITY,
        "timeout" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error with everything behind it, cut where nobody reads on.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    match text.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
