//! Results of tasks: named values in a map, and what the engine reads from them.

use wellkept_inventory::Value;

use super::show::key;
use crate::book::Named;

/// Reads a truth value that a module may have written as a word.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Int(number) => *number != 0,
        Value::Text(text) | Value::Unsafe(text) => {
            matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1")
        }
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Null => false,
        Value::Float(number) => *number != 0.0,
        Value::Vault(_) => true,
    }
}

pub(crate) fn get<'r>(result: &'r Named, name: &str) -> Option<&'r Value> {
    result.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

pub(crate) fn flag(result: &Named, name: &str) -> bool {
    get(result, name).is_some_and(truth)
}

pub(crate) fn put(result: &mut Named, name: &str, value: Value) {
    match result.iter_mut().find(|(key, _)| key == name) {
        Some((_, slot)) => *slot = value,
        None => result.push((name.to_owned(), value)),
    }
}

pub(crate) fn remove(result: &mut Named, name: &str) {
    result.retain(|(key, _)| key != name);
}

pub(crate) fn failed(message: impl Into<String>) -> Named {
    vec![
        ("changed".to_owned(), Value::Bool(false)),
        ("failed".to_owned(), Value::Bool(true)),
        ("msg".to_owned(), Value::Unsafe(message.into())),
    ]
}

pub(crate) fn skipped(reason: &str, condition: Option<&Value>) -> Named {
    let mut result = vec![
        ("changed".to_owned(), Value::Bool(false)),
        ("skipped".to_owned(), Value::Bool(true)),
        ("skip_reason".to_owned(), Value::Unsafe(reason.to_owned())),
    ];
    if let Some(condition) = condition {
        result.push(("false_condition".to_owned(), crate::book::sealed(condition.clone())));
    }
    result
}

pub(crate) fn to_value(result: &Named) -> Value {
    Value::Map(result.iter().map(|(name, value)| (key(name), value.clone())).collect())
}

pub(crate) fn from_value(value: Value) -> Named {
    match crate::book::sealed(value) {
        Value::Map(entries) => {
            entries.into_iter().map(|(key, value)| (crate::book::key_text(&key), value)).collect()
        }
        other => vec![("msg".to_owned(), other)],
    }
}

/// The result of a whole loop.
pub(crate) fn of_loop(items: Vec<Named>) -> Named {
    let any = |name: &str| items.iter().any(|item| flag(item, name));
    let (changed, failed) = (any("changed"), any("failed"));
    let skipped = items.iter().all(|item| flag(item, "skipped"));
    let message = if failed {
        "One or more items failed"
    } else if skipped {
        "All items skipped"
    } else {
        "All items completed"
    };
    let mut result = vec![
        ("results".to_owned(), Value::List(items.iter().map(to_value).collect())),
        ("changed".to_owned(), Value::Bool(changed)),
        ("msg".to_owned(), Value::Unsafe(message.to_owned())),
    ];
    if failed {
        result.push(("failed".to_owned(), Value::Bool(true)));
    }
    if skipped {
        result.push(("skipped".to_owned(), Value::Bool(true)));
    }
    result
}
