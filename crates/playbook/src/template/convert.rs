//! Between stored values, which may hold templates, and values of a running template.

use std::rc::Rc;

use indexmap::IndexMap;
use wellkept_inventory::Value;

use super::scope::ScopeRef;
use super::value::{Dict, Key, Val};

/// Whether a text may be a template.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// A stored value as it is seen through `scope`; texts that are templates stay lazy.
pub(crate) fn to_val(value: &Value, scope: &ScopeRef) -> Val {
    match value {
        Value::Null => Val::None,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Int(number) => Val::Int(*number),
        Value::Float(number) => Val::Float(*number),
        Value::Text(text) if is_template(text) => Val::Lazy(text.as_str().into(), Rc::clone(scope)),
        Value::Text(text) | Value::Unsafe(text) => Val::str(text),
        Value::Vault(text) => Val::Vault(text.as_str().into()),
        Value::List(items) => Val::list(items.iter().map(|item| to_val(item, scope)).collect()),
        Value::Map(entries) => {
            let mut map: Dict = IndexMap::with_capacity(entries.len());
            for (key, value) in entries {
                map.insert(to_key(key), to_val(value, scope));
            }
            Val::map(map)
        }
    }
}

/// A stored value as data: no text in it is a template.
pub(crate) fn data(value: &Value) -> Val {
    match value {
        Value::Text(text) => Val::str(text),
        Value::List(items) => Val::list(items.iter().map(data).collect()),
        Value::Map(entries) => {
            Val::map(entries.iter().map(|(key, value)| (to_key(key), data(value))).collect())
        }
        Value::Null => Val::None,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Int(number) => Val::Int(*number),
        Value::Float(number) => Val::Float(*number),
        Value::Unsafe(text) => Val::str(text),
        Value::Vault(text) => Val::Vault(text.as_str().into()),
    }
}

fn to_key(value: &Value) -> Key {
    match value {
        Value::Null => Key::None,
        Value::Bool(truth) => Key::Bool(*truth),
        Value::Int(number) => Key::Int(*number),
        Value::Float(number) => Key::Float(number.to_bits()),
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => Key::text(text),
        Value::List(_) | Value::Map(_) => Key::None,
    }
}

fn from_key(key: &Key) -> Value {
    match key {
        Key::None => Value::Null,
        Key::Bool(truth) => Value::Bool(*truth),
        Key::Int(number) => Value::Int(*number),
        Key::Float(bits) => Value::Float(f64::from_bits(*bits)),
        Key::Str(text) => Value::Unsafe(text.to_string()),
        Key::Tuple(items) => Value::List(items.iter().map(from_key).collect()),
    }
}

/// A finished value for storing; `None` for `omit`. Texts come out as [`Value::Unsafe`]: they are results.
///
/// Lazy and undefined values must have been dealt with before.
pub(crate) fn to_value(value: &Val) -> Option<Value> {
    Some(match value {
        Val::Omit => return None,
        Val::None | Val::Undef(_) => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Int(number) => Value::Int(*number),
        Val::Float(number) => Value::Float(*number),
        Val::Str(text) | Val::Lazy(text, _) => Value::Unsafe(text.to_string()),
        Val::Vault(text) => Value::Vault(text.to_string()),
        Val::List(items) => Value::List(items.borrow().iter().filter_map(to_value).collect()),
        Val::Tuple(items) => Value::List(items.iter().filter_map(to_value).collect()),
        Val::Map(entries) | Val::Object(entries, _) => Value::Map(
            entries
                .borrow()
                .iter()
                .filter_map(|(key, value)| Some((from_key(key), to_value(value)?)))
                .collect(),
        ),
        Val::Time(_) | Val::Delta(_) | Val::Func(_) | Val::Scope(_) | Val::Hosts(_) => {
            Value::Unsafe(super::show::text(value))
        }
    })
}
