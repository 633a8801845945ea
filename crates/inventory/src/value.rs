//! Variable values with the types that Ansible gives them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::problem::Place;

/// A value. Maps keep the order of the file; keys are values, because YAML and Python allow `80: http`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, `None`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// A text; templates in it are not rendered here.
    Text(String),
    /// A text that must never be rendered as a template (`!unsafe`).
    Unsafe(String),
    /// An encrypted text, opaque here (`!vault`).
    Vault(String),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The text, if it is a plain or unsafe one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Unsafe(text) => Some(text),
            _ => None,
        }
    }

    /// The entry of a map under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The kind in words, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) | Self::Unsafe(_) => "a text",
            Self::Vault(_) => "an encrypted text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The spelling that JSON uses for a map's key.
    pub(crate) fn key_text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) | Self::Unsafe(text) | Self::Vault(text) => text.clone(),
            Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

/// Builds a map: a key that is there already keeps its position and takes the new value.
#[derive(Default)]
pub(crate) struct MapBuilder {
    entries: Vec<(Value, Value)>,
    seen: HashMap<(&'static str, String), usize>,
}

impl MapBuilder {
    pub(crate) fn put(&mut self, key: Value, value: Value) {
        match self.seen.entry((key.kind(), key.key_text())) {
            Entry::Occupied(at) => {
                if let Some(entry) = self.entries.get_mut(*at.get()) {
                    entry.1 = value;
                }
            }
            Entry::Vacant(at) => {
                at.insert(self.entries.len());
                self.entries.push((key, value));
            }
        }
    }

    pub(crate) fn finish(self) -> Value {
        Value::Map(self.entries)
    }

    fn entries(self) -> Vec<(Value, Value)> {
        self.entries
    }
}

/// A variable's value and where it was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Var {
    /// The value.
    pub value: Value,
    /// The file and line.
    pub place: Place,
}

/// The variables of a host or group, by name.
pub type Vars = std::collections::BTreeMap<String, Var>;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = MapBuilder::default();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            entries.put(Value::Text(key), value);
        }
        Ok(tagged(entries.entries()))
    }
}

/// What Ansible's JSON profile writes for marked texts: `{"__ansible_vault": …}` and `{"__ansible_unsafe": …}`.
fn tagged(entries: Vec<(Value, Value)>) -> Value {
    if let [(Value::Text(key), Value::Text(text))] = entries.as_slice() {
        match key.as_str() {
            "__ansible_vault" => return Value::Vault(text.clone()),
            "__ansible_unsafe" => return Value::Unsafe(text.clone()),
            _ => {}
        }
    }
    Value::Map(entries)
}
