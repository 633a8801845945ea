//! Labels of a stream as Loki's clients write them: `{job="app", host="web-1"}`.

use std::borrow::Cow;

use crate::{Limits, Refusal};

/// Reads the pairs. Blanks and a comma at the end are allowed; values are in double quotes with Go's escapes, or in
/// backquotes.
pub(super) fn parse<'a>(text: &'a [u8], limits: &Limits) -> Result<Vec<(&'a str, Cow<'a, str>)>, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::NotUtf8)?.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let mut rest = inner.ok_or(Refusal::Labels("expected { and }"))?.trim_start();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        if pairs.len() == limits.labels {
            return Err(Refusal::TooManyLabels { limit: limits.labels });
        }
        let end = rest.find('=').ok_or(Refusal::Labels("a name without a value"))?;
        let (name, after) = rest.split_at(end);
        let after = after.get(1..).unwrap_or_default().trim_start();
        let (value, after) = value(after)?;
        pairs.push((name.trim(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(Refusal::Labels("expected a comma after a value")),
        };
    }
    Ok(pairs)
}

fn value(text: &str) -> Result<(Cow<'_, str>, &str), Refusal> {
    const OPEN: Refusal = Refusal::Labels("a value without its closing quote");
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`').ok_or(OPEN)?;
        return Ok((Cow::Borrowed(value), rest));
    }
    let quoted = text.strip_prefix('"').ok_or(Refusal::Labels("a value must stand in quotes"))?;
    let end = quoted.find(['"', '\\']).ok_or(OPEN)?;
    if quoted.as_bytes().get(end) == Some(&b'"') {
        return Ok((Cow::Borrowed(quoted.get(..end).ok_or(OPEN)?), quoted.get(end + 1..).ok_or(OPEN)?));
    }
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Cow::Owned(value), quoted.get(at + 1..).ok_or(OPEN)?)),
            '\\' => value.push(escape(&mut chars)?),
            c => value.push(c),
        }
    }
    Err(OPEN)
}

fn escape(chars: &mut std::str::CharIndices<'_>) -> Result<char, Refusal> {
    const WRONG: Refusal = Refusal::Labels("an escape that Go does not have");
    let (_, kind) = chars.next().ok_or(WRONG)?;
    let digits = match kind {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        'a' => return Ok('\u{7}'),
        'b' => return Ok('\u{8}'),
        'f' => return Ok('\u{c}'),
        'v' => return Ok('\u{b}'),
        '"' | '\\' | '\'' => return Ok(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(WRONG),
    };
    let mut number = 0_u32;
    for _ in 0..digits {
        let digit = chars.next().and_then(|(_, c)| c.to_digit(16)).ok_or(WRONG)?;
        number = number << 4 | digit;
    }
    char::from_u32(number).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text.as_bytes(), &Limits::default()).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (*n, v.as_ref())).collect();
        assert_eq!(pairs, expected, "{text}");
    }

    #[test]
    fn labels_are_read_as_go_writes_them() {
        check("{}", &[]);
        check(r#"{job="app", host="web-1"}"#, &[("job", "app"), ("host", "web-1")]);
        check(r#" { job = "a\"b\n\u00e9\x41" , } "#, &[("job", "a\"b\né\u{41}")]);
        check("{job=`a\\b`}", &[("job", "a\\b")]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for text in [
            "",
            "job=1",
            "{job}",
            "{job=1}",
            "{job=\"a}",
            "{job=\"a\\\"}",
            "{job=\"a\" b=\"c\"}",
            "{a=\"\\q\"}",
            "{a=\"\\uD800\"}",
        ] {
            assert!(matches!(parse(text.as_bytes(), &Limits::default()), Err(Refusal::Labels(_))), "{text}");
        }
        assert_eq!(parse(b"{\xff}", &Limits::default()), Err(Refusal::NotUtf8));
        let limits = Limits { labels: 1, ..Limits::default() };
        assert_eq!(parse(b"{a=\"1\",b=\"2\"}", &limits), Err(Refusal::TooManyLabels { limit: 1 }));
    }
}
