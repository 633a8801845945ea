//! Fields inside a line: JSON objects and logfmt, one after the other and only as far as asked.
//!
//! Names of inner objects are joined with dots. A list is one field, as it stands there. Names and values are bounded by
//! [`Limits`]: longer ones are cut at a character's border, deeper and later ones are left out.

use std::borrow::Cow;

use crate::Limits;
use crate::json::{self, Members, Value};

/// Walks over the fields of a line: those of a JSON object when it is one, else the pairs `name=value` in it.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    source: Source<'a>,
    limits: Limits,
    left: usize,
}

#[derive(Debug, Clone)]
enum Source<'a> {
    /// Open objects, each with the length of the path that its members stand behind.
    Json {
        open: Vec<(Members<'a>, usize)>,
        path: String,
    },
    Logfmt {
        rest: &'a [u8],
    },
}

/// A field's name and value.
pub type Field<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> Fields<'a> {
    /// The fields of a line.
    #[must_use]
    pub fn of(line: &'a [u8], limits: &Limits) -> Self {
        let source = match Members::of(line) {
            Some(members) => Source::Json { open: vec![(members, 0)], path: String::new() },
            None => Source::Logfmt { rest: line },
        };
        Self { source, limits: *limits, left: limits.fields }
    }

    /// The value of one field of a line.
    #[must_use]
    pub fn get(line: &'a [u8], name: &str, limits: &Limits) -> Option<Cow<'a, str>> {
        Self::of(line, limits).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    fn bounded(&self, name: Cow<'a, str>, value: Cow<'a, str>) -> Field<'a> {
        (cut(name, self.limits.name_bytes), cut(value, self.limits.field_bytes))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.left == 0 {
            return None;
        }
        let (name, value) = match &mut self.source {
            Source::Json { open, path } => next_member(open, path, &self.limits)?,
            Source::Logfmt { rest } => next_pair(rest)?,
        };
        self.left -= 1;
        Some(self.bounded(name, value))
    }
}

fn next_member<'a>(
    open: &mut Vec<(Members<'a>, usize)>,
    path: &mut String,
    limits: &Limits,
) -> Option<Field<'a>> {
    loop {
        let depth = open.len();
        let (members, prefix) = open.last_mut()?;
        path.truncate(*prefix);
        let Some((key, value)) = members.next() else {
            open.pop();
            continue;
        };
        let key = cut(json::unescaped(key), limits.name_bytes);
        let inner = match value {
            Value::Object(raw) if depth < limits.depth && path.len() < limits.name_bytes => Members::of(raw),
            _ => None,
        };
        if let Some(inner) = inner {
            path.push_str(&key);
            path.push('.');
            let prefix = path.len();
            open.push((inner, prefix));
            continue;
        }
        let name = if path.is_empty() { key } else { Cow::Owned(format!("{path}{key}")) };
        return Some((name, value.text()));
    }
}

/// The next `name=value` or `name="value"`; words without `=` are passed over.
fn next_pair<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let (before, after) = (rest.get(..equals)?, rest.get(equals + 1..)?);
        let start = before.iter().rposition(|b| !is_name(*b)).map_or(0, |i| i + 1);
        let name = before.get(start..).unwrap_or_default();
        let (value, taken) = pair_value(after);
        *rest = after.get(taken..).unwrap_or_default();
        let stands_alone = start == 0 || before.get(start - 1).is_some_and(|b| b" \t,;([{|&?".contains(b));
        let named = name.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'@'));
        if named && stands_alone {
            return Some((String::from_utf8_lossy(name), value));
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'@')
}

/// What stands behind `=`, and how many bytes it takes.
fn pair_value(after: &[u8]) -> (Cow<'_, str>, usize) {
    if after.first() == Some(&b'"') {
        let mut at = 1;
        while let Some(found) = after.get(at..).and_then(|r| memchr::memchr2(b'"', b'\\', r)) {
            at += found;
            if after.get(at) == Some(&b'"') {
                return (json::unescaped(after.get(1..at).unwrap_or_default()), at + 1);
            }
            at += 2;
        }
    }
    let end = after.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n')).unwrap_or(after.len());
    let value = after.get(..end).unwrap_or_default();
    let value = value.strip_suffix(b",").unwrap_or(value);
    (String::from_utf8_lossy(value), end)
}

/// The largest border of a character that is not beyond `max`.
pub(crate) fn floor(text: &str, max: usize) -> usize {
    (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// At most `max` bytes, cut at the border of a character.
pub(crate) fn cut(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text;
    }
    let end = floor(&text, max);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<(String, String)> {
        Fields::of(line.as_bytes(), &Limits::default())
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect()
    }

    fn check(line: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(fields(line), expected, "{line}");
    }

    #[test]
    fn fields_of_json_have_the_names_of_their_objects_before_them() {
        check(
            r#"{"level":"info","http":{"method":"GET","req":{"size":12}},"tags":["a","b"],"ok":true}"#,
            &[
                ("level", "info"),
                ("http.method", "GET"),
                ("http.req.size", "12"),
                ("tags", r#"["a","b"]"#),
                ("ok", "true"),
            ],
        );
    }

    #[test]
    fn fields_of_logfmt_stand_anywhere_in_a_line() {
        check(
            r#"time="2024-01-02T03:04:05Z" level=info msg="say \"hi\"" size=12 empty= done"#,
            &[
                ("time", "2024-01-02T03:04:05Z"),
                ("level", "info"),
                ("msg", "say \"hi\""),
                ("size", "12"),
                ("empty", ""),
            ],
        );
        check(
            "logged in user=bob, from=10.0.0.1 (took=3ms",
            &[("user", "bob"), ("from", "10.0.0.1"), ("took", "3ms")],
        );
        check("GET /x?a=1 == b", &[("a", "1")]);
        check("x=\"open", &[("x", "\"open")]);
        check("no fields here", &[]);
    }

    #[test]
    fn one_field_is_found_by_its_name() {
        let limits = Limits::default();
        assert_eq!(Fields::get(br#"{"a":{"b":"c\n"}}"#, "a.b", &limits).as_deref(), Some("c\n"));
        assert_eq!(Fields::get(b"a=1 b=2", "b", &limits).as_deref(), Some("2"));
        assert_eq!(Fields::get(b"a=1 b=2", "c", &limits), None);
    }

    #[test]
    fn number_length_and_depth_are_bounded() {
        let limits = Limits { fields: 3, name_bytes: 4, field_bytes: 5, depth: 2, ..Limits::default() };
        let got: Vec<_> =
            Fields::of("{\"ééé\":\"éééé\",\"b\":{\"c\":{\"d\":1}},\"e\":1,\"f\":2}".as_bytes(), &limits)
                .collect();
        let got: Vec<_> = got.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        assert_eq!(got, [("éé", "éé"), ("b.c", "{\"d\":"), ("e", "1")]);
    }

    proptest::proptest! {
        #[test]
        fn noise_is_bounded(line in "[a{}\":=, \\\\é\\[\\]]{0,200}") {
            let limits = Limits { fields: 5, name_bytes: 8, field_bytes: 8, ..Limits::default() };
            let got: Vec<_> = Fields::of(line.as_bytes(), &limits).collect();
            assert!(got.len() <= 5 && got.iter().all(|(n, v)| n.len() <= 8 && v.len() <= 8));
        }
    }
}
