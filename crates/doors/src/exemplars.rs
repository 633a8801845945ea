//! The latest exemplars of each series, in memory, within one bound for all.
//!
//! As in Prometheus they are a ring: the oldest go first, and a restart forgets them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use wellkept_model::{Exemplar, Labels, Matcher, TimestampMs};

/// Most exemplars in all, as Prometheus' default.
const KEPT_MAX: usize = 100_000;
/// Most bytes of an exemplar's own labels; OpenMetrics allows 128 characters.
const LABELS_MAX: usize = 512;

/// Exemplars by series.
#[derive(Debug, Default)]
pub struct ExemplarStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By series, oldest first.
    by_series: HashMap<Labels, VecDeque<Exemplar>>,
    /// Which series got one, oldest first.
    order: VecDeque<Labels>,
}

impl ExemplarStore {
    /// Keeps one. What is not newer than the last of its series, or repeats it, is left out.
    pub fn put(&self, exemplar: Exemplar) {
        let bytes: usize = exemplar.labels.iter().map(|(n, v)| n.len() + v.len()).sum();
        if bytes > LABELS_MAX {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let series = exemplar.series.clone();
        let kept = inner.by_series.entry(series.clone()).or_default();
        if kept.back().is_some_and(|last| last.at >= exemplar.at) {
            return;
        }
        kept.push_back(exemplar);
        inner.order.push_back(series);
        if inner.order.len() > KEPT_MAX {
            inner.forget_oldest();
        }
    }

    /// Prometheus' `/api/v1/query_exemplars`.
    #[must_use]
    pub fn view(&self, selectors: &[Vec<Matcher>], from: TimestampMs, to: TimestampMs) -> Value {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |labels: &Labels| selectors.iter().any(|s| s.iter().all(|m| m.matches(labels.get(m.name()))));
        let mut found: Vec<(&Labels, Vec<&Exemplar>)> = inner
            .by_series
            .iter()
            .filter(|(labels, _)| fits(labels))
            .map(|(labels, kept)| (labels, kept.iter().filter(|e| (from..=to).contains(&e.at)).collect()))
            .filter(|(_, kept): &(_, Vec<_>)| !kept.is_empty())
            .collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        Value::Array(found.into_iter().map(|(labels, kept)| row(labels, &kept)).collect())
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        let Some(series) = self.order.pop_front() else { return };
        if let Some(kept) = self.by_series.get_mut(&series) {
            kept.pop_front();
            if kept.is_empty() {
                self.by_series.remove(&series);
            }
        }
    }
}

fn row(labels: &Labels, kept: &[&Exemplar]) -> Value {
    let exemplars = kept
        .iter()
        .map(|e| json!({"labels": object(&e.labels), "value": number(e.value), "timestamp": seconds(e.at)}));
    json!({"seriesLabels": object(labels), "exemplars": exemplars.collect::<Vec<_>>()})
}

fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect())
}

/// Whole seconds without a fraction, as Prometheus writes them.
fn seconds(at: TimestampMs) -> Value {
    if at.0 % 1000 == 0 { json!(at.0 / 1000) } else { json!(at.as_seconds()) }
}

/// JSON has no NaN and no infinity, so Prometheus writes numbers as text.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::MatchOp;

    use super::*;

    fn exemplar(series: &str, at: i64, trace: &str) -> Exemplar {
        Exemplar {
            series: Labels::metric(series, []),
            labels: Labels::new([("trace_id", trace)]),
            value: 0.5,
            at: TimestampMs(at),
        }
    }

    fn view(store: &ExemplarStore, name: &str) -> Value {
        let selector = Matcher::new("__name__", MatchOp::Equal, name).unwrap();
        store.view(&[vec![selector]], TimestampMs(0), TimestampMs(10_000))
    }

    #[test]
    fn exemplars_are_found_by_selector_and_time() {
        let store = ExemplarStore::default();
        for (name, at) in [("a", 1000), ("a", 2500), ("a", 20_000), ("b", 1000)] {
            store.put(exemplar(name, at, "t1"));
        }
        let want = json!([{"seriesLabels": {"__name__": "a"}, "exemplars": [
            {"labels": {"trace_id": "t1"}, "value": "0.5", "timestamp": 1},
            {"labels": {"trace_id": "t1"}, "value": "0.5", "timestamp": 2.5}]}]);
        assert_eq!(view(&store, "a"), want);
        assert_eq!(view(&store, "c"), json!([]));
    }

    #[test]
    fn what_a_source_repeats_is_kept_once() {
        let store = ExemplarStore::default();
        for _ in 0..3 {
            store.put(exemplar("a", 1000, "t1"));
        }
        assert_eq!(view(&store, "a")[0]["exemplars"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn the_oldest_go_first_and_leave_nothing_behind() {
        let store = ExemplarStore::default();
        store.put(exemplar("old", 1, "t"));
        for i in 0..KEPT_MAX {
            store.put(exemplar("a", i as i64, "t"));
        }
        let inner = store.inner.lock().unwrap();
        assert_eq!(inner.order.len(), KEPT_MAX);
        assert!(!inner.by_series.contains_key(&Labels::metric("old", [])));
    }
}
