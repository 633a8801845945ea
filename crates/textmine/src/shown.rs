//! Bytes of strangers as text for people: one line, no control characters, nothing that turns or hides text.
//!
//! The catalogue does the same for whole messages; it stands beside us and may not be named here, and it takes
//! text, not bytes.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;

/// The bytes as one harmless line: invalid UTF-8 as `\xff`, control, direction and invisible characters as
/// `\n`, `\t` or `\u{1b}`. Up to ten times as long as the bytes: cut before, or with [`cut`].
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_harmful(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // marks of direction, no width
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
            | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' // separators, invisible operators
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // invisible tags
}

/// At most `bytes_max` bytes of the text, ending with `…` where something was left out. What people see as one
/// character is never cut through; where not even the mark has room, nothing is left.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: char = '…';
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let Some(room) = bytes_max.checked_sub(MARK.len_utf8()) else { return String::new() };
    // Only what fits, and a little of what follows, is looked at, however long the text is.
    let window = text.get(..boundary(text, room + 256)).unwrap_or("");
    let end = window.grapheme_indices(true).map(|(at, g)| at + g.len()).take_while(|end| *end <= room).last();
    let mut out = window.get(..end.unwrap_or(0)).unwrap_or("").to_owned();
    out.push(MARK);
    out
}

/// The last border of a character at or before `at`.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_harm_is_shown_by_number() {
        assert_eq!(shown(b"a\x1b[31mb\0\xff\tc"), "a\\u{1b}[31mb\\u{0}\\xff\\tc");
        assert_eq!(shown("x\u{202e}y\u{200b}z\u{2028}".as_bytes()), "x\\u{202e}y\\u{200b}z\\u{2028}");
        assert_eq!(shown("磁盘已满 👩‍👧".as_bytes()), "磁盘已满 👩‍👧");
    }

    #[test]
    fn a_cut_keeps_whole_what_people_see_as_one() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcdef", 5), "ab…");
        assert_eq!(cut("磁盘已满", 10), "磁盘…");
        assert_eq!(cut("a👩‍👧b", 10), "a…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 6), "e\u{301}…");
        assert_eq!(cut("abcdef", 2), "");
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_and_a_cut_is_within_its_bound(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), max in 0usize..100,
        ) {
            let text = shown(&bytes);
            prop_assert!(!text.chars().any(is_harmful));
            prop_assert!(cut(&text, max).len() <= max);
        }
    }
}
