//! One line of Influx' protocol: where its parts end, and what its values are.

use super::Problem;
use crate::number;

/// The next line and the rest. A line feed inside a text field does not end it.
pub(super) fn take_line(body: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', body).unwrap_or(body.len());
    let split = |end: usize| {
        let (line, rest) = body.split_at_checked(end).unwrap_or((body, &[]));
        (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
    };
    let first = body.get(..end).unwrap_or_default();
    if memchr::memchr(b'"', first).is_none() || first.starts_with(b"#") {
        return split(end);
    }
    // Quotes only count in the fields, which begin behind the first blank that is not escaped.
    let fields = find(first, |b| b == b' ').unwrap_or(end);
    match find_unquoted(body.get(fields..).unwrap_or_default(), |b| b == b'\n') {
        Some(at) => split(fields + at),
        None => split(end),
    }
}

/// Where the first byte stands that `wanted` accepts and no backslash precedes.
pub(super) fn find(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut bytes = text.iter().enumerate();
    while let Some((i, b)) = bytes.next() {
        if *b == b'\\' {
            bytes.next();
        } else if wanted(*b) {
            return Some(i);
        }
    }
    None
}

/// The same, outside of quotes.
pub(super) fn find_unquoted(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut quoted = false;
    let mut bytes = text.iter().enumerate();
    while let Some((i, b)) = bytes.next() {
        match b {
            b'\\' => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            b if !quoted && wanted(*b) => return Some(i),
            _ => {}
        }
    }
    None
}

/// What stands before `end`; the rest follows it.
pub(super) fn take_until<'t>(rest: &mut &'t str, end: u8) -> &'t str {
    let at = find(rest.as_bytes(), |b| b == end).unwrap_or(rest.len());
    let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
    *rest = after.get(1..).unwrap_or("");
    before
}

/// A backslash before a comma, a blank, an equals sign or a backslash is taken away.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(',' | ' ' | '=' | '\\') if c == '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

/// The next `name=value` of the fields and what follows its comma.
#[expect(clippy::type_complexity, reason = "three slices of one line")]
pub(super) fn field(fields: &[u8]) -> Result<(&[u8], &[u8], &[u8]), Problem> {
    const MISSING: Problem = "a field needs `=` and a value";
    let end = find_unquoted(fields, |b| b == b',').unwrap_or(fields.len());
    let (this, rest) = fields.split_at_checked(end).ok_or(MISSING)?;
    let equals = find(this, |b| b == b'=').ok_or(MISSING)?;
    let (name, value) = this.split_at_checked(equals).ok_or(MISSING)?;
    let rest = match rest {
        [b','] => return Err("a field must follow the comma"),
        rest => rest.get(1..).unwrap_or_default(),
    };
    Ok((name, value.get(1..).unwrap_or_default(), rest))
}

/// A field's value as a number; nothing for a text that holds none.
pub(super) fn value(text: &[u8]) -> Result<Option<f64>, Problem> {
    match text {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => return Ok(Some(1.0)),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => return Ok(Some(0.0)),
        [b'"', inner @ .., b'"'] => return Ok(number::float(inner).filter(|n| n.is_finite())),
        [digits @ .., b'i' | b'u'] => {
            let whole = std::str::from_utf8(digits).ok().and_then(|t| t.parse::<i128>().ok());
            return whole.map(|n| Some(n as f64)).ok_or("a whole number is damaged");
        }
        _ => {}
    }
    number::float(text).map(Some).ok_or("a field's value is no number, boolean or text in quotes")
}
