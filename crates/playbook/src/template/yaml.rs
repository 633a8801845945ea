//! YAML as PyYAML writes it for Ansible's `to_yaml` and `to_nice_yaml`.

use wellkept_inventory::{Place, read_yaml};

use super::convert::data;
use super::error::{Result, bail};
use super::show;
use super::value::{Key, Val};

/// How YAML is written.
pub(crate) struct Style {
    pub(crate) indent: usize,
    pub(crate) width: usize,
    pub(crate) sort: bool,
    /// `None`: lists and maps of plain values on one line.
    pub(crate) flow: Option<bool>,
    pub(crate) unicode: bool,
    pub(crate) start: bool,
}

/// Reads one document.
pub(crate) fn load(text: &str) -> Result<Val> {
    match read_yaml(text, &Place::file("<unicode string>")) {
        Ok(Some(node)) => Ok(data(&node.into_value())),
        Ok(None) => Ok(Val::None),
        Err(error) => bail!("{error}"),
    }
}

/// Reads several documents.
pub(crate) fn load_all(text: &str) -> Result<Val> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(line.strip_prefix("---").unwrap_or_default().to_owned());
        } else if line.trim_end() != "..."
            && let Some(last) = documents.last_mut()
        {
            last.push_str(line);
        }
    }
    let blank = |text: &String| text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
    if documents.first().is_some_and(blank) {
        documents.remove(0);
    }
    Ok(Val::list(documents.iter().map(|text| load(text)).collect::<Result<_>>()?))
}

/// Writes a document.
pub(crate) fn dump(value: &Val, style: &Style) -> Result<String> {
    let mut out = String::new();
    if style.start {
        out.push_str("---");
        out.push(if is_collection(value) && style.flow != Some(true) { '\n' } else { ' ' });
    }
    let flow = flows(value, style);
    node(value, style, 0, flow, Position::Root, &mut out)?;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Root,
    /// After `key:`.
    Value,
    /// After `-`.
    Item,
}

/// Levels that are written; a list can hold itself.
const DEPTH_MAX: usize = 100;

fn is_collection(value: &Val) -> bool {
    matches!(value, Val::List(_) | Val::Tuple(_) | Val::Map(_) | Val::Object(..))
}

/// Whether a collection is written on one line.
fn flows(value: &Val, style: &Style) -> bool {
    match style.flow {
        Some(flow) => flow,
        None => match value {
            Val::Map(entries) => entries.borrow().values().all(plain_scalar),
            other => other.items().unwrap_or_default().iter().all(plain_scalar),
        },
    }
}

fn plain_scalar(value: &Val) -> bool {
    match value {
        Val::Str(text) => !text.contains('\n') && !needs_quotes(text),
        other => !is_collection(other),
    }
}

fn is_empty(value: &Val) -> bool {
    match value {
        Val::Map(entries) => entries.borrow().is_empty(),
        other => other.items().is_some_and(|items| items.is_empty()),
    }
}

fn entries_of(value: &Val, style: &Style) -> Vec<(Key, Val)> {
    let Val::Map(entries) = value else { return Vec::new() };
    let mut entries: Vec<(Key, Val)> = entries.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    if style.sort {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
    entries
}

fn node(value: &Val, style: &Style, indent: usize, flow: bool, at: Position, out: &mut String) -> Result<()> {
    if indent > DEPTH_MAX * 10 {
        bail!("too many levels for YAML");
    }
    if !is_collection(value) {
        return scalar(value, style, indent, out);
    }
    if flow || is_empty(value) {
        return flow_node(value, style, indent, 0, out);
    }
    let pad = " ".repeat(indent);
    let mut first = at != Position::Value;
    if at == Position::Value {
        out.push('\n');
    }
    if let Val::Map(_) = value {
        for (key, below) in entries_of(value, style) {
            if !first {
                out.push_str(&pad);
            }
            first = false;
            scalar(&key.value(), style, indent, out)?;
            out.push(':');
            let below_flow = is_collection(&below) && (flows(&below, style) || is_empty(&below));
            if !is_collection(&below) || below_flow {
                out.push(' ');
            }
            // PyYAML writes lists below a key at the key's own indent.
            let list = below.items().is_some();
            let deeper = if list { indent } else { indent + style.indent };
            let deeper = if is_collection(&below) { deeper } else { indent + style.indent };
            node(&below, style, deeper, below_flow, Position::Value, out)?;
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
        return Ok(());
    }
    for item in value.items().unwrap_or_default() {
        if !first {
            out.push_str(&pad);
        }
        first = false;
        out.push('-');
        let item_flow = is_collection(&item) && (flows(&item, style) || is_empty(&item));
        let wide = is_collection(&item) && !item_flow;
        out.push_str(&" ".repeat(if wide { style.indent.saturating_sub(1).max(1) } else { 1 }));
        node(&item, style, indent + style.indent, item_flow, Position::Item, out)?;
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    Ok(())
}

fn flow_node(value: &Val, style: &Style, indent: usize, depth: usize, out: &mut String) -> Result<()> {
    if depth > DEPTH_MAX {
        bail!("too many levels for YAML");
    }
    let (open, close) = if matches!(value, Val::Map(_)) { ("{", "}") } else { ("[", "]") };
    out.push_str(open);
    let mut parts: Vec<(Option<Key>, Val)> = Vec::new();
    if matches!(value, Val::Map(_)) {
        parts.extend(entries_of(value, style).into_iter().map(|(k, v)| (Some(k), v)));
    } else {
        parts.extend(value.items().unwrap_or_default().into_iter().map(|v| (None, v)));
    }
    for (at, (key, below)) in parts.iter().enumerate() {
        if at > 0 {
            out.push(',');
            let start = out.rfind('\n').map_or(0, |n| n + 1);
            if out.chars().count() - out.get(..start).map_or(0, |s| s.chars().count()) > style.width {
                out.push('\n');
                out.push_str(&" ".repeat(indent.max(style.indent)));
            } else {
                out.push(' ');
            }
        }
        if let Some(key) = key {
            scalar(&key.value(), style, indent, out)?;
            out.push_str(": ");
        }
        if is_collection(below) {
            flow_node(below, style, indent, depth + 1, out)?;
        } else {
            flow_scalar(below, style, out)?;
        }
    }
    out.push_str(close);
    Ok(())
}

fn flow_scalar(value: &Val, style: &Style, out: &mut String) -> Result<()> {
    match value {
        Val::Str(text) if text.contains([',', '[', ']', '{', '}', '?']) => {
            out.push_str(&single(text));
            Ok(())
        }
        other => scalar(other, style, 0, out),
    }
}

fn scalar(value: &Val, style: &Style, indent: usize, out: &mut String) -> Result<()> {
    match value {
        Val::None | Val::Undef(_) => out.push_str("null"),
        Val::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Val::Int(number) => out.push_str(&number.to_string()),
        Val::Float(number) if number.is_nan() => out.push_str(".nan"),
        Val::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { ".inf" } else { "-.inf" })
        }
        Val::Float(number) => {
            let text = show::float(*number);
            // YAML 1.1 wants a point in every number with an exponent.
            out.push_str(&if text.contains('e') && !text.contains('.') {
                text.replacen('e', ".0e", 1)
            } else {
                text
            });
        }
        other => text(&show::text(other), style, indent, out),
    }
    Ok(())
}

fn text(text: &str, style: &Style, indent: usize, out: &mut String) {
    let special = text
        .chars()
        .any(|c| (c.is_control() && c != '\n') || (!style.unicode && !c.is_ascii()) || c == '\u{feff}');
    if special {
        out.push_str(&double(text, style));
        return;
    }
    if text.contains('\n') {
        out.push_str(&wrapped_single(text, style, indent, out));
        return;
    }
    if needs_quotes(text) {
        out.push_str(&folded(&single(text), style, indent, out));
    } else {
        out.push_str(&folded(text, style, indent, out));
    }
}

/// Long texts are broken at single blanks, as PyYAML does.
fn folded(text: &str, style: &Style, indent: usize, before: &str) -> String {
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let mut column = before.get(start..).map_or(0, |line| line.chars().count());
    let words: Vec<&str> = text.split(' ').collect();
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            let neighbours_full = !word.is_empty() && words.get(at - 1).is_some_and(|w| !w.is_empty());
            if column > style.width && neighbours_full {
                out.push('\n');
                out.push_str(&" ".repeat(indent.max(style.indent)));
                column = indent.max(style.indent);
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out
}

fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A single-quoted text whose line breaks are doubled.
fn wrapped_single(text: &str, style: &Style, indent: usize, _before: &str) -> String {
    let pad = " ".repeat(indent.max(style.indent));
    let mut out = String::from("'");
    let mut broken = false;
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let line = line.replace('\'', "''");
        if !line.is_empty() {
            if broken {
                out.push_str(&pad);
            }
            out.push_str(&line);
        }
        if lines.peek().is_some() {
            if !line.is_empty() || !broken {
                out.push('\n');
            }
            out.push('\n');
            broken = true;
        }
    }
    if text.ends_with('\n') {
        out.push_str(&pad);
    }
    out.push('\'');
    out
}

fn double(text: &str, style: &Style) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' => out.push_str("\\e"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            c if c.is_control() || (!style.unicode && !c.is_ascii()) => {
                let code = c as u32;
                out.push_str(&if code <= 0xff {
                    format!("\\x{code:02X}")
                } else if code <= 0xffff {
                    format!("\\u{code:04X}")
                } else {
                    format!("\\U{code:08X}")
                });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Texts that would be read as something else without quotes.
fn needs_quotes(text: &str) -> bool {
    if text.is_empty() || text.starts_with(' ') || text.ends_with(' ') {
        return true;
    }
    if text.starts_with(['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`']) {
        return true;
    }
    if text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || text.starts_with("---")
        || text.starts_with("...")
    {
        return true;
    }
    if text.starts_with(['-', '?', ':']) && text.chars().nth(1).is_none_or(|c| c == ' ') {
        return true;
    }
    if matches!(text, "=" | "<<") {
        return true;
    }
    !matches!(wellkept_inventory::plain_scalar(text), wellkept_inventory::Value::Text(_)) || is_date(text)
}

/// `2024-01-02` and the longer forms, which YAML 1.1 reads as dates.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, c: u8| bytes.get(at) == Some(&c);
    let day = (0..4).all(digit) && is(4, b'-') && digit(5) && digit(6) && is(7, b'-') && digit(8) && digit(9);
    day && (bytes.len() == 10 || matches!(bytes.get(10), Some(b'T' | b't' | b' ')) && digit(11))
}
