//! Makes text from outside harmless for terminals, logs and one-line notices.
//!
//! Control characters could move the cursor, end the line or start an escape sequence; bidirectional marks could
//! make a line read differently than it is. Both are shown as escapes, everything else stays as it is.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with control, bidirectional and line-separating characters written as `\n`, `\t` or `\u{1b}`.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' // marks of direction
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // invisible tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in ["web-1", "磁盘已满", "a\\n b", "👩‍👧", "ünïcode {x}"] {
            assert!(matches!(harmless(text), Cow::Borrowed(t) if t == text), "{text}");
        }
    }

    #[test]
    fn control_and_direction_characters_become_visible() {
        let cases = [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("x\u{2028}y", "x\\u{2028}y"),
        ];
        for (given, shown) in cases {
            assert_eq!(harmless(given), shown);
        }
    }
}
