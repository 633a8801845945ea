//! Between the values of playbooks and JSON, which crosses to helpers and into records.

use serde_json::{Map, Number, Value as Json};
use wellkept_inventory::Value;

/// A map of named JSON values, in the order in which they were put.
pub type JsonMap = Map<String, Json>;

/// A value as JSON. Sealed texts stay sealed; numbers that JSON has not become texts.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => i64::try_from(*number)
            .map(Json::from)
            .or_else(|_| u64::try_from(*number).map(Json::from))
            .unwrap_or_else(|_| Json::String(number.to_string())),
        Value::Float(number) => {
            Number::from_f64(*number).map_or_else(|| Json::String(number.to_string()), Json::Number)
        }
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key_text(key), to_json(value))).collect())
        }
    }
}

/// JSON as a value whose texts are data: never rendered as templates.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::Int(number.into()),
            (_, Some(number), _) => Value::Int(number.into()),
            (.., number) => Value::Float(number.unwrap_or_default()),
        },
        Json::String(text) => Value::Unsafe(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(map) => Value::Map(
            map.iter().map(|(key, value)| (Value::Unsafe(key.clone()), from_json(value))).collect(),
        ),
    }
}

/// How a value is written where a text is wanted.
pub fn key_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => text.clone(),
        Value::List(_) | Value::Map(_) => to_json(value).to_string(),
    }
}

/// Whether a value means yes, as Ansible reads words.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Int(number) => *number != 0,
        other => is_yes(&key_text(other)),
    }
}

/// `yes`, `true`, `on`, `1`, `y`, `t`.
pub fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t")
}

/// Builds a result map.
pub fn map<const N: usize>(entries: [(&str, Json); N]) -> JsonMap {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A failed result with its reason.
pub fn failed(message: impl Into<String>) -> JsonMap {
    map([("changed", false.into()), ("failed", true.into()), ("msg", message.into().into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_data() {
        let json = serde_json::json!({"a": [1, true, null, "{{ x }}", 1.5], "b": {"c": 18_446_744_073_709_551_615u64}});
        let value = from_json(&json);
        assert_eq!(to_json(&value), json);
        let inner = value.get("a").cloned();
        let Some(Value::List(items)) = inner else { panic!("a list") };
        assert_eq!(items.get(3), Some(&Value::Unsafe("{{ x }}".to_owned())));
    }
}
