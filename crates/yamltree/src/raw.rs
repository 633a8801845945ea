//! What serde sees before the spelling of plain scalars is taken from the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::problem::cut;
use crate::tree::{At, Key, Node, Place, Value};

/// One value.
pub(crate) enum Raw {
    Null,
    /// A number or truth word; `shown` is used where the spelling cannot be taken from the text.
    Typed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

macro_rules! typed {
    ($($name:ident: $type:ty),*) => { $(
        fn $name<E>(self, value: $type) -> Result<Raw, E> {
            Ok(Raw::Typed(value.to_string()))
        }
    )* };
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    typed!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64);

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Turns values into nodes; the limits of the file bound the recursion.
pub(crate) struct Converter<'s> {
    pub(crate) source: &'s str,
    pub(crate) path_chars_max: usize,
}

impl Converter<'_> {
    pub(crate) fn node(&self, raw: Spanned<Raw>, path: String) -> Node {
        let written = slice(self.source, &raw.defined).unwrap_or_default();
        let (value, width) = match raw.value {
            Raw::Null => (Value::Null, 1),
            Raw::Typed(shown) => {
                let text = if written.is_empty() { shown } else { written.to_owned() };
                let width = text.chars().count();
                (Value::Scalar { text, exact: !written.is_empty() }, width)
            }
            Raw::Text(text) => {
                let width = written.lines().next().unwrap_or_default().trim_end().chars().count();
                let exact = written == text;
                (Value::Scalar { text, exact }, width)
            }
            Raw::List(items) => {
                let items = items.into_iter().enumerate();
                let below = |i| cut(&format!("{path}[{i}]"), self.path_chars_max);
                (Value::List(items.map(|(i, item)| self.node(item, below(i))).collect()), 1)
            }
            Raw::Map(entries) => (Value::Map(entries.into_iter().map(|e| self.entry(e, &path)).collect()), 1),
        };
        Node { at: At { place: place(&raw.referenced, width), path }, value }
    }

    fn entry(&self, (key, value): (Spanned<String>, Spanned<Raw>), path: &str) -> (Key, Node) {
        let dot = if path.is_empty() { "" } else { "." };
        let below = cut(&format!("{path}{dot}{}", key.value), self.path_chars_max);
        let width = slice(self.source, &key.defined).map_or(1, |s| s.trim_end().chars().count());
        let at = At { place: place(&key.referenced, width), path: below.clone() };
        (Key { at, text: key.value }, self.node(value, below))
    }
}

pub(crate) fn place(location: &Location, width: usize) -> Place {
    Place { line: location.line() as u32, column: location.column() as u32, width: width as u32 }
}

fn slice<'s>(source: &'s str, location: &Location) -> Option<&'s str> {
    let from = usize::try_from(location.span().byte_offset()?).ok()?;
    let len = usize::try_from(location.span().byte_len()?).ok()?;
    source.get(from..from.checked_add(len)?)
}
