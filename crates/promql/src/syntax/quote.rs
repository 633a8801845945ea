//! String literals as Go writes them: `"…"` and `'…'` with escapes, `` `…` `` without.

/// The text of a literal with its quotes, or why it is none.
pub(crate) fn unquote(literal: &str) -> Result<String, String> {
    let mut chars = literal.chars();
    let quote = chars.next().ok_or("empty string literal")?;
    let inner = literal
        .strip_prefix(quote)
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or_else(|| "unterminated quoted string".to_owned())?;
    if quote == '`' {
        return Ok(inner.to_owned());
    }
    if !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(rest.get(..at).unwrap_or_default().as_bytes());
        rest = escape(rest.get(at + 1..).unwrap_or_default(), quote, &mut bytes)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| "the escapes do not make valid UTF-8".to_owned())
}

/// Reads one escape after its backslash; gives what follows it.
fn escape<'a>(text: &'a str, quote: char, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = text.chars();
    let c = chars.next().ok_or("escape sequence not terminated")?;
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        c if c == quote => c as u8,
        '0'..='7' => {
            let byte = digits(text, 0, 3, 8)?;
            out.push(u8::try_from(byte).map_err(|_| "octal escape is above 255")?);
            return Ok(text.get(3..).unwrap_or_default());
        }
        'x' => {
            out.push(digits(text, 1, 2, 16)? as u8);
            return Ok(text.get(3..).unwrap_or_default());
        }
        'u' | 'U' => {
            let count = if c == 'u' { 4 } else { 8 };
            let point = char::from_u32(digits(text, 1, count, 16)?)
                .ok_or("escape sequence is an invalid Unicode code point")?;
            out.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(text.get(1 + count..).unwrap_or_default());
        }
        other => return Err(format!("unknown escape sequence '\\{other}'")),
    };
    out.push(simple);
    Ok(chars.as_str())
}

fn digits(text: &str, from: usize, count: usize, radix: u32) -> Result<u32, String> {
    let digits = text.get(from..from + count).ok_or("escape sequence not terminated")?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("illegal character in escape sequence {digits:?}"));
    }
    u32::from_str_radix(digits, radix).map_err(|e| e.to_string())
}

/// The text as a literal in double quotes, as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_gives_its_text() {
        for (literal, text) in [
            (r#""a\n\"b\"""#, "a\n\"b\""),
            (r"'it''s'", "it''s"),
            (r"'\''", "'"),
            (r"`\n`", "\\n"),
            (r#""\x41\101\u00e9\U0001F600""#, "AAé😀"),
        ] {
            assert_eq!(unquote(literal).as_deref(), Ok(text), "{literal}");
        }
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for literal in
            [r#""\q""#, r#""\é""#, r#""\x4""#, r#""\xzz""#, r#""\ud800""#, r#""\xff""#, r#""\400""#]
        {
            assert!(unquote(literal).is_err(), "{literal}");
        }
    }

    #[test]
    fn quoting_and_unquoting_give_the_text_back() {
        for text in ["", "a\"b\\c\n\t", "é😀", "\u{1}\u{7f}\u{7}"] {
            assert_eq!(unquote(&quote(text)).as_deref(), Ok(text));
        }
    }
}
