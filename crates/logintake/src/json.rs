//! A JSON object inside a line, member by member, without building anything.
//!
//! Only as much is read as is asked for. What is not well formed ends the walk: a line is data, and half of it is better
//! than none.

use std::borrow::Cow;

/// Walks over the members of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// A value as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// What stands between the quotes, escapes and all.
    Text(&'a [u8]),
    /// From `{` to its `}`.
    Object(&'a [u8]),
    /// From `[` to its `]`.
    List(&'a [u8]),
    /// Number, `true`, `false` or `null`.
    Other(&'a [u8]),
}

impl<'a> Members<'a> {
    /// The members of a text that begins with `{`, blanks apart.
    pub(crate) fn of(text: &'a [u8]) -> Option<Self> {
        let start = text.iter().position(|b| !b.is_ascii_whitespace())?;
        (text.get(start) == Some(&b'{')).then_some(Self { text, at: start + 1 })
    }

    fn skip_blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// What stands between two quotes; the cursor is on the first.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        let end = end_of_text(self.text, start)?;
        self.at = end + 1;
        self.text.get(start..end)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        match self.text.get(start)? {
            b'"' => self.quoted().map(Value::Text),
            b'{' => self.nested().map(Value::Object),
            b'[' => self.nested().map(Value::List),
            _ => {
                let rest = self.text.get(start..)?;
                let end =
                    rest.iter().position(|b| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace())?;
                self.at += end;
                rest.get(..end).filter(|v| !v.is_empty()).map(Value::Other)
            }
        }
    }

    /// An object or a list to its end, whatever its depth, without recursion.
    fn nested(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.text.get(self.at)? {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
    }

    fn member(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        self.skip_blanks();
        if self.text.get(self.at) == Some(&b',') {
            self.at += 1;
            self.skip_blanks();
        }
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let key = self.quoted()?;
        self.skip_blanks();
        if self.text.get(self.at) != Some(&b':') {
            return None;
        }
        self.at += 1;
        self.skip_blanks();
        Some((key, self.value()?))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.member();
        if member.is_none() {
            self.at = self.text.len();
        }
        member
    }
}

/// Where the quote stands that ends a text which began before `start`.
fn end_of_text(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

impl<'a> Value<'a> {
    /// As text: without quotes and escapes; objects and lists as they stand there.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        match self {
            Self::Text(raw) => unescaped(raw),
            Self::Object(raw) | Self::List(raw) | Self::Other(raw) => String::from_utf8_lossy(raw),
        }
    }
}

/// A JSON string's content with its escapes resolved. What is no valid escape stays as it is; what is not UTF-8 and
/// halves of surrogates become the replacement character.
pub(crate) fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let taken = escape(rest, &mut out);
        rest = rest.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// Writes what the escape at the beginning of `rest` means; returns how many bytes it took, at least 1.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let plain = match rest.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b @ (b'"' | b'\\' | b'/')) => *b,
        Some(b'u') => return unicode(rest, out),
        _ => {
            out.push(b'\\');
            return 1;
        }
    };
    out.push(plain);
    2
}

fn unicode(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(first) = hex4(rest, 2) else {
        out.push(b'\\');
        return 1;
    };
    let low = || hex4(rest, 8).filter(|low| rest.get(6..8) == Some(b"\\u") && (0xdc00..0xe000).contains(low));
    let (code, taken) = match (first, low()) {
        (0xd800..0xdc00, Some(low)) => (0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00), 12),
        _ => (first, 6),
    };
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    taken
}

fn hex4(rest: &[u8], at: usize) -> Option<u32> {
    rest.get(at..at + 4)?.iter().try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<(String, String)> {
        let own = |(k, v): (&[u8], Value<'_>)| (unescaped(k).into_owned(), v.text().into_owned());
        Members::of(text.as_bytes()).into_iter().flatten().map(own).collect()
    }

    #[test]
    fn members_come_with_their_values_as_text() {
        let text =
            r#" {"a":"x\"y\n\u00e9\ud83d\ude00", "b" : -1.5e3,"c":{"d":["]}"]}, "e":[1,{"f":2}],"g":null}"#;
        let expected = [
            ("a", "x\"y\né😀"),
            ("b", "-1.5e3"),
            ("c", r#"{"d":["]}"]}"#),
            ("e", r#"[1,{"f":2}]"#),
            ("g", "null"),
        ];
        assert_eq!(members(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_broken_ends_the_walk() {
        assert_eq!(members(r#"{"a":1,"b"#), [("a".to_owned(), "1".to_owned())]);
        for text in
            ["", "{", "{}", "[1]", "{a:1}", r#"{"a"}"#, r#"{"a":"#, r#"{"a":]}"#, r#"{"a":"b\"#, "{\"a\":1"]
        {
            assert!(members(text).is_empty(), "{text}");
        }
        assert!(members(&"{\"a\":[".repeat(100_000)).is_empty());
    }

    #[test]
    fn broken_escapes_stay_and_lonely_halves_are_replaced() {
        assert_eq!(unescaped(br"a\qb\u12\ud83dx\"), "a\\qb\\u12\u{fffd}x\\");
        assert_eq!(unescaped(b"\xff\\n"), "\u{fffd}\n");
    }
}
