//! JSON as Python writes it, and reading it.

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{Result, bail};
use super::show;
use super::value::{Dict, Key, Val};

/// Writes JSON. `indent`: spaces of each level; without, one line. A finished value only.
pub(crate) fn dump(value: &Val, indent: Option<usize>, ascii: bool, sort: bool) -> Result<String> {
    let mut out = String::new();
    write(value, indent, 0, ascii, sort, &mut out)?;
    Ok(out)
}

/// Levels that are written; a list can hold itself.
const DEPTH_MAX: usize = 200;

fn write(
    value: &Val,
    indent: Option<usize>,
    depth: usize,
    ascii: bool,
    sort: bool,
    out: &mut String,
) -> Result<()> {
    if depth > DEPTH_MAX {
        bail!("Circular reference detected");
    }
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    match value {
        Val::None | Val::Undef(_) => out.push_str("null"),
        Val::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Val::Int(number) => out.push_str(&number.to_string()),
        Val::Float(number) if number.is_nan() => out.push_str("NaN"),
        Val::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Val::Float(number) => out.push_str(&show::float(*number)),
        Val::List(_) | Val::Tuple(_) => {
            let items = value.items().unwrap_or_default();
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(comma);
                }
                line(out, depth + 1);
                write(item, indent, depth + 1, ascii, sort, out)?;
            }
            if !items.is_empty() {
                line(out, depth);
            }
            out.push(']');
        }
        Val::Map(entries) | Val::Object(entries, _) => {
            let mut entries: Vec<(String, Val)> =
                entries.borrow().iter().map(|(key, value)| (json_key(key), value.clone())).collect();
            if sort {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
            }
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push_str(comma);
                }
                line(out, depth + 1);
                quoted(key, ascii, out);
                out.push_str(": ");
                write(value, indent, depth + 1, ascii, sort, out)?;
            }
            if !entries.is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
        other => quoted(&show::text(other), ascii, out),
    }
    Ok(())
}

fn json_key(key: &Key) -> String {
    match key {
        Key::None => "null".to_owned(),
        Key::Bool(truth) => truth.to_string(),
        other => show::key_text(other),
    }
}

/// A text in quotes.
pub(crate) fn quoted(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (ascii && !c.is_ascii()) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads JSON as data.
pub(crate) fn load(text: &str) -> Result<Val> {
    match serde_json::from_str::<Loaded>(text.trim()) {
        Ok(loaded) => Ok(loaded.0),
        Err(error) => bail!("{error}"),
    }
}

struct Loaded(Val);

struct LoadedVisitor;

impl<'de> Deserialize<'de> for Loaded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(LoadedVisitor).map(Loaded)
    }
}

impl<'de> Visitor<'de> for LoadedVisitor {
    type Value = Val;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Val, E> {
        Ok(Val::None)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Val, E> {
        Ok(Val::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Val, E> {
        Ok(Val::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Val, E> {
        Ok(Val::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Val, E> {
        Ok(Val::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Val, E> {
        Ok(Val::str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Val, A::Error> {
        let mut items = Vec::new();
        while let Some(Loaded(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Val::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Val, A::Error> {
        let mut entries: Dict = IndexMap::new();
        while let Some((key, Loaded(value))) = map.next_entry::<String, Loaded>()? {
            entries.insert(Key::text(&key), value);
        }
        Ok(Val::map(entries))
    }
}
