//! What sources told about their metrics: the latest word of each, in memory.
//!
//! After a restart it is empty until the sources speak again, which scrapes do at once and remote writers within a
//! minute. It never decides anything: it is shown to people and to query editors.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use wellkept_model::{Metadata, MetricKind};

/// Most metric families that are remembered. The first come, first served: a flood changes nothing that is known.
const FAMILIES_MAX: usize = 100_000;
/// Most different words about one family: sources of different versions.
const PER_FAMILY_MAX: usize = 8;
/// Longest name, help and unit, bytes; longer help is cut at a character.
const TEXT_MAX: usize = 1024;

/// Metadata by family.
#[derive(Debug, Default)]
pub struct MetadataStore {
    families: Mutex<BTreeMap<String, Vec<Metadata>>>,
}

impl MetadataStore {
    /// Remembers what a source said; the latest first.
    pub fn put(&self, mut metadata: Metadata) {
        if metadata.family.is_empty() || metadata.family.len() > TEXT_MAX {
            return;
        }
        cut(&mut metadata.help);
        cut(&mut metadata.unit);
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() >= FAMILIES_MAX && !families.contains_key(&metadata.family) {
            return;
        }
        let known = families.entry(metadata.family.clone()).or_default();
        if known.first() == Some(&metadata) {
            return;
        }
        known.retain(|m| *m != metadata);
        known.insert(0, metadata);
        known.truncate(PER_FAMILY_MAX);
    }

    /// Prometheus' `/api/v1/metadata`.
    #[must_use]
    pub fn view(&self, metric: Option<&str>, limit: usize, per_metric: usize) -> Value {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = families.iter().filter(|(name, _)| metric.is_none_or(|m| m == name.as_str()));
        let shown = wanted.take(limit).map(|(name, known)| {
            let items = known
                .iter()
                .take(per_metric)
                .map(|m| json!({"type": word(m.kind), "help": m.help, "unit": m.unit}));
            (name.clone(), Value::Array(items.collect()))
        });
        Value::Object(shown.collect())
    }

    /// The kind of a family, as its latest source says.
    #[must_use]
    pub fn kind(&self, family: &str) -> MetricKind {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.get(family).and_then(|k| k.first()).map_or(MetricKind::Unknown, |m| m.kind)
    }
}

/// Prometheus' word.
fn word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::GaugeHistogram => "gaugehistogram",
        MetricKind::Summary => "summary",
        MetricKind::Info => "info",
        MetricKind::StateSet => "stateset",
        MetricKind::Unknown => "unknown",
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_MAX {
        let end = text.char_indices().map(|(i, _)| i).take_while(|i| *i <= TEXT_MAX).last().unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(family: &str, help: &str) -> Metadata {
        Metadata { family: family.into(), kind: MetricKind::Counter, help: help.into(), unit: String::new() }
    }

    #[test]
    fn the_latest_word_comes_first_and_is_kept_once() {
        let store = MetadataStore::default();
        for help in ["old", "new", "old"] {
            store.put(of("a_total", help));
        }
        let view = store.view(None, usize::MAX, usize::MAX);
        let want = json!({"a_total": [
            {"type": "counter", "help": "old", "unit": ""}, {"type": "counter", "help": "new", "unit": ""}]});
        assert_eq!(view, want);
        assert_eq!(store.kind("a_total"), MetricKind::Counter);
    }

    #[test]
    fn limits_and_a_name_narrow_the_view() {
        let store = MetadataStore::default();
        for name in ["a", "b", "c"] {
            store.put(of(name, "1"));
            store.put(of(name, "2"));
        }
        let names = |v: &Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
        assert_eq!(names(&store.view(None, 2, 1)), Some(vec!["a".into(), "b".into()]));
        let one = store.view(Some("c"), 10, 1);
        assert_eq!(one["c"].as_array().map(Vec::len), Some(1));
        assert!(one.get("a").is_none());
    }

    #[test]
    fn a_help_of_any_length_is_cut_at_a_character() {
        let store = MetadataStore::default();
        store.put(of("a", &"é".repeat(10_000)));
        let view = store.view(None, 1, 1);
        let help = view["a"][0]["help"].as_str().unwrap_or_default();
        assert!(help.len() <= TEXT_MAX && help.len() > TEXT_MAX - 4);
    }
}
