//! Lines as JSON. Bytes that are no UTF-8 become replacement characters, and the line says so.

use serde_json::{Map, Value, json};
use wellkept_logstore::{LogEntry, template_word};
use wellkept_model::{Level, TemplateId};

use super::LogViews;

/// A time as answers write it.
pub(super) fn ns(at: i64) -> String {
    at.to_string()
}

/// A line; `resolve` gives the id that stands for its template now.
pub(super) fn line(entry: &LogEntry, logs: &dyn LogViews) -> Value {
    let text = String::from_utf8_lossy(&entry.text);
    let lossy = matches!(text, std::borrow::Cow::Owned(_));
    json!({
        "at_ns": ns(entry.at_ns),
        "labels": labels(entry),
        "level": entry.level.map(Level::word),
        "template": word(logs.resolve(entry.template)),
        "text": text,
        "lossy": lossy,
        "fields": object(&entry.fields),
        "extracted": object(&entry.extracted),
    })
}

pub(super) fn word(template: TemplateId) -> String {
    template_word(template)
}

fn labels(entry: &LogEntry) -> Value {
    let pairs = entry.labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
    Value::Object(pairs.collect())
}

fn object(pairs: &[(String, String)]) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        map.entry(name.clone()).or_insert_with(|| Value::from(value.as_str()));
    }
    Value::Object(map)
}
