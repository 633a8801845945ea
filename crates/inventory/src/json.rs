//! Writes values as JSON and YAML.

use std::fmt::Write;

use crate::value::Value;

/// JSON with keys in order and four spaces, as `ansible-inventory --list` writes it.
pub(crate) fn to_json(value: &Value) -> String {
    let mut out = String::new();
    json(value, 0, &mut out);
    out.push('\n');
    out
}

fn json(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_finite() => out.push_str(&format!("{number:?}")),
        // JSON has no such numbers.
        Value::Float(number) => out.push_str(&quoted(&number.to_string())),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::Unsafe(text) => marked("__ansible_unsafe", text, indent, out),
        Value::Vault(text) => marked("__ansible_vault", text, indent, out),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::List(items) => {
            let lines = items.iter().map(|item| (String::new(), item));
            block('[', ']', lines, indent, out);
        }
        Value::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Value::Map(entries) => {
            let mut lines: Vec<(String, &Value)> =
                entries.iter().map(|(key, value)| (key.key_text(), value)).collect();
            lines.sort_by(|a, b| a.0.cmp(&b.0));
            let lines = lines.into_iter().map(|(key, value)| (format!("{}: ", quoted(&key)), value));
            block('{', '}', lines, indent, out);
        }
    }
}

fn marked(key: &str, text: &str, indent: usize, out: &mut String) {
    let text = Value::Text(text.to_owned());
    block('{', '}', [(format!("{}: ", quoted(key)), &text)].into_iter(), indent, out);
}

fn block<'v>(
    open: char,
    close: char,
    lines: impl Iterator<Item = (String, &'v Value)>,
    indent: usize,
    out: &mut String,
) {
    out.push(open);
    for (at, (head, value)) in lines.enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&"    ".repeat(indent + 1));
        out.push_str(&head);
        json(value, indent + 1, out);
    }
    out.push('\n');
    out.push_str(&"    ".repeat(indent));
    out.push(close);
}

/// A text in double quotes; what JSON escapes, YAML reads too.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// YAML in block style; maps keep their order, because the order of hosts is the order of work. Texts that could be read as something else are quoted.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Map(entries) if !entries.is_empty() => yaml_map(entries, 0, &mut out),
        other => {
            out.push_str(&yaml_scalar(other));
            out.push('\n');
        }
    }
    out
}

fn yaml_map(entries: &[(Value, Value)], indent: usize, out: &mut String) {
    for (key, value) in entries {
        out.push_str(&"  ".repeat(indent));
        out.push_str(&yaml_scalar(key));
        out.push(':');
        yaml_below(value, indent, out);
    }
}

/// What stands after a key's colon or an item's dash.
fn yaml_below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            yaml_map(entries, indent + 1, out);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&"  ".repeat(indent + 1));
                out.push('-');
                yaml_below(item, indent + 1, out);
            }
        }
        other => {
            out.push(' ');
            out.push_str(&yaml_scalar(other));
            out.push('\n');
        }
    }
}

fn yaml_scalar(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => yaml_float(*number),
        Value::Text(text) if is_plain(text) => text.clone(),
        Value::Text(text) => quoted(text),
        Value::Unsafe(text) => format!("!unsafe {}", quoted(text)),
        Value::Vault(text) => format!("!vault {}", quoted(text)),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

fn yaml_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = format!("{number:?}");
    // YAML 1.1 wants a dot and a sign: `1e16` would be a text.
    match text.split_once('e') {
        Some((digits, power)) => {
            let digits = if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
            let sign = if power.starts_with('-') { "" } else { "+" };
            format!("{digits}e{sign}{power}")
        }
        None => text,
    }
}

/// Only words that nothing could read as anything but a text.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.chars().all(word)
        && matches!(crate::scalar::plain(text), Value::Text(_))
}
