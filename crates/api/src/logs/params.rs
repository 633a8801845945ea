//! Parameters: times, queries, numbers; and a query whose templates mean all ids that became one.

use jiff::Timestamp;
use wellkept_logstore::query::{LineQuery, QueryError, parse_lines};
use wellkept_logstore::{SearchCost, SearchLimits, Stopped, template_word};
use wellkept_model::{MatchOp, Matcher, TemplateId};

use super::LogViews;
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;

const HOUR_NS: i64 = 3600 * 1_000_000_000;
/// Digits from which on a number is nanoseconds.
const NS_DIGITS: usize = 16;

/// RFC 3339, seconds since 1970 with a fraction, or nanoseconds (16 digits and more).
pub(super) fn instant_ns(name: &str, text: &str) -> Result<i64, ApiError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let ns = if is_whole && digits.len() >= NS_DIGITS {
        text.parse::<i64>().ok()
    } else if let Ok(seconds) = text.parse::<f64>() {
        let ns = (seconds * 1e9).round();
        (ns.abs() < 9.2e18).then_some(ns as i64)
    } else {
        text.parse::<Timestamp>().ok().and_then(|t| i64::try_from(t.as_nanosecond()).ok())
    };
    ns.ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        ApiError::bad_parameter(format!(
            "invalid parameter {name:?}: cannot parse {shown:?} to a valid timestamp; use RFC 3339, seconds since \
             1970, or nanoseconds"
        ))
    })
}

/// From and to; the last hour when nothing is said. The end is behind the last line.
pub(super) fn range(app: &App, params: &Params) -> Result<(i64, i64), ApiError> {
    let now_ns = (app.clock)().0.saturating_mul(1_000_000);
    let one =
        |name: &str| params.get(name).filter(|t| !t.is_empty()).map(|t| instant_ns(name, t)).transpose();
    // Lines of this very moment are wanted, too.
    let end = one("end")?.unwrap_or_else(|| now_ns.saturating_add(1_000_000_000));
    let start = one("start")?.unwrap_or_else(|| end.saturating_sub(HOUR_NS));
    if end < start {
        return Err(ApiError::bad_parameter("end timestamp must not be before start time"));
    }
    Ok((start, end))
}

/// A whole number between two bounds, or its default.
pub(super) fn whole(
    params: &Params,
    name: &str,
    default: usize,
    (from, to): (usize, usize),
) -> Result<usize, ApiError> {
    let Some(text) = params.get(name).filter(|t| !t.is_empty()) else { return Ok(default) };
    text.parse::<usize>().ok().filter(|n| (from..=to).contains(n)).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::bad_parameter(format!(
            "invalid parameter {name:?}: {shown:?} is no number from {from} to {to}"
        ))
    })
}

/// The query for lines; nothing at all means all lines.
pub(super) fn lines(app: &App, params: &Params) -> Result<LineQuery, ApiError> {
    let text = params.get("query").map(str::trim).filter(|t| !t.is_empty()).unwrap_or("{}");
    let query = parse_lines(text).map_err(|e| refused(&e))?;
    Ok(with_aliases(query, app.logs.as_ref()))
}

pub(super) fn refused(error: &QueryError) -> ApiError {
    ApiError::bad_parameter(format!("invalid parameter \"query\": {error}"))
}

/// Lines keep the id that they were given, also when their template became one with another.
pub(super) fn with_aliases(mut query: LineQuery, logs: &dyn LogViews) -> LineQuery {
    for matcher in &mut query.selector {
        if let Some(wider) = widened(matcher, logs) {
            *matcher = wider;
        }
    }
    query
}

fn widened(matcher: &Matcher, logs: &dyn LogViews) -> Option<Matcher> {
    let op = match (matcher.name(), matcher.op()) {
        ("template", MatchOp::Equal) => MatchOp::Regex,
        ("template", MatchOp::NotEqual) => MatchOp::NotRegex,
        _ => return None,
    };
    let ids = logs.aliases(template(matcher.value())?);
    let words: Vec<String> = ids.into_iter().map(template_word).collect();
    Matcher::new("template", op, &words.join("|")).ok().filter(|_| words.len() > 1)
}

/// A template's id as answers write it.
pub(super) fn template(word: &str) -> Option<TemplateId> {
    (word.len() == 16).then(|| u64::from_str_radix(word, 16).ok().map(TemplateId)).flatten()
}

/// Bounds of one search.
pub(super) fn limits<'a>(stop: &'a (dyn Fn() -> bool + Sync)) -> SearchLimits<'a> {
    SearchLimits { stop, result_bytes_max: 32 << 20, ..SearchLimits::default() }
}

/// Why a search ended early.
pub(super) fn stopped(why: Option<Stopped>) -> Option<&'static str> {
    why.map(|why| match why {
        Stopped::Bytes => "bytes",
        Stopped::Lines => "lines",
        Stopped::ResultBytes => "result_bytes",
        Stopped::Caller => "time",
    })
}

pub(super) fn cost(cost: &SearchCost) -> serde_json::Value {
    serde_json::json!({
        "bytes": cost.bytes,
        "lines": cost.lines,
        "segments": cost.segments,
        "segments_skipped": cost.segments_skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_in_three_ways() {
        for (text, ns) in [
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000.5", 1_700_000_000_500_000_000),
            ("1700000000000000123", 1_700_000_000_000_000_123),
            ("2023-11-14T22:13:20.000000001Z", 1_700_000_000_000_000_001),
        ] {
            assert_eq!(instant_ns("start", text).unwrap(), ns, "{text}");
        }
        for bad in ["", "now", "1e300", "99999999999999999999", "NaN"] {
            assert!(instant_ns("start", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn templates_are_sixteen_digits() {
        assert_eq!(template("00000000000000ab"), Some(TemplateId(0xab)));
        assert_eq!(template("ab"), None);
        assert_eq!(template("zzzzzzzzzzzzzzzz"), None);
    }
}
