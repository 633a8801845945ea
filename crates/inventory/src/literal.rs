//! The types of values in INI files: whatever reads as one Python literal is that value, all else stays text.
//!
//! Numbers, quoted texts (with Python's escapes), `True`, `False`, `None`, lists, tuples, sets and maps of these.
//! Tuples and sets become lists.

use crate::bounds::DEPTH_MAX;
use crate::value::{MapBuilder, Value};

/// The value that a text in an INI file stands for.
pub fn from_ini(text: &str) -> Value {
    let mut reader = Reader { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    match reader.whole() {
        Some(value) => value,
        None => Value::Text(text.to_owned()),
    }
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    /// One value, or several with commas between them, and nothing after; comments are passed over.
    fn whole(&mut self) -> Option<Value> {
        let first = self.value()?;
        self.space();
        let value = if self.rest.starts_with(',') { self.tuple(first)? } else { first };
        self.space();
        self.rest.is_empty().then_some(value)
    }

    fn tuple(&mut self, first: Value) -> Option<Value> {
        let mut items = vec![first];
        while self.take(",") {
            self.space();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                break;
            }
            items.push(self.value()?);
        }
        Some(Value::List(items))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let first = self.rest.chars().next()?;
        let value = match first {
            '[' => self.list(),
            '(' => self.parenthesis(),
            '{' => self.braces(),
            '+' | '-' => self.signed(),
            '0'..='9' => self.number(),
            '.' if self.rest.starts_with("...") => {
                self.take("...");
                Some(Value::Text("...".to_owned()))
            }
            '.' => self.number(),
            _ => self.word_or_text(),
        };
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Option<Value> {
        self.take("[");
        Some(Value::List(self.items("]")?))
    }

    fn items(&mut self, end: &str) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.value()?);
            if !self.take(",") {
                return self.take(end).then_some(items);
            }
        }
        Some(items)
    }

    fn parenthesis(&mut self) -> Option<Value> {
        self.take("(");
        if self.take(")") {
            return Some(Value::List(Vec::new()));
        }
        let first = self.value()?;
        self.space();
        let value = if self.rest.starts_with(',') { self.tuple(first)? } else { first };
        self.take(")").then_some(value)
    }

    fn braces(&mut self) -> Option<Value> {
        self.take("{");
        if self.take("}") {
            return Some(Value::Map(Vec::new()));
        }
        let first = self.value()?;
        if !self.take(":") {
            let mut items = vec![first];
            if self.take(",") {
                items.extend(self.items("}")?);
                return Some(Value::List(items));
            }
            return self.take("}").then_some(Value::List(items));
        }
        let mut entries = MapBuilder::default();
        let mut key = first;
        loop {
            if matches!(key, Value::Map(_)) {
                return None;
            }
            let value = self.value()?;
            entries.put(key, value);
            if !self.take(",") {
                return self.take("}").then(|| entries.finish());
            }
            if self.take("}") {
                return Some(entries.finish());
            }
            key = self.value()?;
            if !self.take(":") {
                return None;
            }
        }
    }

    fn signed(&mut self) -> Option<Value> {
        let minus = self.rest.starts_with('-');
        self.rest = self.rest.get(1..)?;
        self.space();
        // Python's literals have one sign at most.
        if self.rest.starts_with(['+', '-']) {
            return None;
        }
        match self.value()? {
            Value::Int(number) if minus => Some(Value::Int(number.checked_neg()?)),
            Value::Float(number) if minus => Some(Value::Float(-number)),
            number @ (Value::Int(_) | Value::Float(_)) => Some(number),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let len = number_len(self.rest);
        let text = self.rest.get(..len)?;
        self.rest = self.rest.get(len..)?;
        python_number(text)
    }

    fn word_or_text(&mut self) -> Option<Value> {
        let len = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(len);
        if after.starts_with(['\'', '"']) && len <= 2 {
            return self.texts();
        }
        self.rest = after;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            "set" => (self.take("(") && self.take(")")).then_some(Value::List(Vec::new())),
            _ => None,
        }
    }

    /// Quoted texts; those that stand side by side are one.
    fn texts(&mut self) -> Option<Value> {
        let mut whole = String::new();
        let mut bytes = false;
        loop {
            let len = self.rest.find(['\'', '"'])?;
            let prefix = self.rest.get(..len)?.to_ascii_lowercase();
            let raw = match prefix.as_str() {
                "" | "u" | "b" => false,
                "r" | "br" | "rb" => true,
                _ => return None,
            };
            bytes |= prefix.contains('b');
            self.rest = self.rest.get(len..)?;
            whole.push_str(&self.quoted(raw)?);
            self.space();
            let next = self.rest.trim_start_matches(|c: char| "rRuUbB".contains(c));
            if self.rest.len() - next.len() > 2 || !next.starts_with(['\'', '"']) {
                // Ansible trusts no template that came as bytes.
                return Some(if bytes { Value::Unsafe(whole) } else { Value::Text(whole) });
            }
        }
    }

    fn quoted(&mut self, raw: bool) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let triple = quote.to_string().repeat(3);
        let end = if self.rest.starts_with(&triple) { triple } else { quote.to_string() };
        let mut rest = self.rest.get(end.len()..)?;
        let mut out = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(end.as_str()) {
                self.rest = after;
                return Some(out);
            }
            let c = rest.chars().next()?;
            rest = rest.get(c.len_utf8()..)?;
            if c != '\\' {
                out.push(c);
            } else if raw {
                let next = rest.chars().next()?;
                rest = rest.get(next.len_utf8()..)?;
                out.extend([c, next]);
            } else {
                rest = escape(rest, &mut out)?;
            }
        }
    }
}

/// Reads what stands after a backslash; returns the rest.
fn escape<'t>(rest: &'t str, out: &mut String) -> Option<&'t str> {
    let c = rest.chars().next()?;
    let after = rest.get(c.len_utf8()..)?;
    let code = |len: usize| -> Option<(char, &'t str)> {
        let digits = after.get(..len)?;
        Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, after.get(len..)?))
    };
    let plain = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '\\' | '\'' | '"' => c,
        'x' | 'u' | 'U' => {
            let (decoded, after) = code(match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            })?;
            out.push(decoded);
            return Some(after);
        }
        'N' => return None,
        '0'..='7' => {
            let len = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            out.push(char::from_u32(u32::from_str_radix(rest.get(..len)?, 8).ok()?)?);
            return rest.get(len..);
        }
        other => {
            out.extend(['\\', other]);
            return Some(after);
        }
    };
    out.push(plain);
    Some(after)
}

/// How many bytes at the start belong to a number, a wrong one included.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let mut len = 0;
    while let Some(byte) = bytes.get(len) {
        let exponent_sign =
            matches!(byte, b'+' | b'-') && !hex && len > 0 && matches!(bytes.get(len - 1), Some(b'e' | b'E'));
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent_sign) {
            break;
        }
        len += 1;
    }
    len
}

/// A number as Python spells it.
fn python_number(text: &str) -> Option<Value> {
    let bytes = text.as_bytes();
    let lonely = |at: usize, byte: &u8| {
        *byte == b'_'
            && (at == 0
                || !bytes.get(at - 1).is_some_and(u8::is_ascii_alphanumeric)
                || !bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric))
    };
    if bytes.iter().enumerate().any(|(at, byte)| lonely(at, byte)) {
        return None;
    }
    let plain = text.replace('_', "").to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            return i128::from_str_radix(digits, radix).ok().map(Value::Int);
        }
    }
    if plain.bytes().all(|b| b.is_ascii_digit()) {
        if plain.len() > 1 && plain.starts_with('0') && plain.bytes().any(|b| b != b'0') {
            return None;
        }
        return plain.parse().ok().map(Value::Int);
    }
    let fits = plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    if !fits || plain.starts_with('e') {
        return None;
    }
    plain.parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn what_reads_as_a_python_literal_has_its_type() {
        for (written, value) in [
            ("1", Value::Int(1)),
            ("-7", Value::Int(-7)),
            ("0x1f", Value::Int(31)),
            ("1_000", Value::Int(1000)),
            ("1.50", Value::Float(1.5)),
            ("1e3", Value::Float(1000.0)),
            ("True", Value::Bool(true)),
            ("None", Value::Null),
            ("'a' \"b\"", text("ab")),
            (r"'a\tb\x41\d'", text("a\tbA\\d")),
            ("\"quoted\" # comment", text("quoted")),
            (
                "[1, 'two', [3]]",
                Value::List(vec![Value::Int(1), text("two"), Value::List(vec![Value::Int(3)])]),
            ),
            ("1, 2", Value::List(vec![Value::Int(1), Value::Int(2)])),
            ("(1)", Value::Int(1)),
            ("(1,)", Value::List(vec![Value::Int(1)])),
            (
                "{'a': 1, 80: 'http'}",
                Value::Map(vec![(text("a"), Value::Int(1)), (Value::Int(80), text("http"))]),
            ),
        ] {
            assert_eq!(from_ini(written), value, "{written}");
        }
    }

    #[test]
    fn all_else_stays_text_as_it_stands() {
        for written in [
            "true", "yes", "null", "010", "08", "1.2.3", "10.0.0.1", "a b # c", "1 2", "'open", "[1",
            "{{ x }}", "_1", "1__0", "f'x'", "1-2", "--1", "",
        ] {
            assert_eq!(from_ini(written), text(written), "{written}");
        }
    }

    #[test]
    fn endless_brackets_stay_text() {
        let deep = "[".repeat(100_000);
        assert_eq!(from_ini(&deep), text(&deep));
    }
}
