//! Texts that a host has sent, made fit to stand in an error.

/// The longest text of a host in an error, characters.
const SHOWN_MAX: usize = 200;

/// At most 200 characters, in one line, without control and direction characters.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::new();
    for (index, c) in text.trim().chars().enumerate() {
        if index == SHOWN_MAX {
            out.push('…');
            break;
        }
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped_and_length_is_bounded() {
        assert_eq!(harmless(" a\u{1b}[2Jb\u{202e}\n"), "a\\u{1b}[2Jb\\u{202e}");
        assert_eq!(harmless(&"x".repeat(300)).chars().count(), 201);
        assert_eq!(harmless("名前"), "名前");
    }
}
