//! What became of pushed samples.

use serde_json::Value;

use super::http::Answer;
use super::peers::{query_at, query_value, seconds};
use super::up::Up;

/// The answer to a push that was taken whole.
#[track_caller]
pub fn taken(answer: &Answer) {
    assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text);
}

/// What the store says a selector has at an instant, `None` when nothing or more than one series.
pub fn value(up: &Up, selector: &str, at: i64) -> Option<String> {
    query_value(up.address, selector, &seconds(at))
}

/// Every sample of one series in the hour before `at`.
pub fn samples(up: &Up, selector: &str, at: i64) -> Vec<(i64, String)> {
    let data = query_at(up.address, &format!("{selector}[1h]"), &seconds(at));
    let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let ms = |v: &Value| (v.as_f64().unwrap() * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
    values.iter().map(|v| (ms(&v[0]) as i64, v[1].as_str().unwrap().to_owned())).collect()
}

/// Time and value of the samples of the first series.
pub fn pairs(data: &Value) -> Vec<(String, String)> {
    let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|v| (v[0].to_string(), v[1].as_str().unwrap().to_owned())).collect()
}
