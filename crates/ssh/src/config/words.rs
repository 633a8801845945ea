//! The words of a line, split as OpenSSH 9 does: quotes, backslashes, comments at the end.

/// The keyword and what comes after it; `None` for empty lines and comments.
pub(super) fn keyword(line: &str) -> Option<(String, &str)> {
    let line = line.trim_matches([' ', '\t', '\r', '\n', '\u{c}']);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((word.trim_matches('"').to_lowercase(), rest))
}

/// The arguments of a keyword.
///
/// # Errors
/// When a quote is not closed.
pub(super) fn arguments(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = |n: &char| matches!(n, '\'' | '"' | '\\') || (quote.is_none() && *n == ' ');
                    word.push(chars.next_if(escaped).unwrap_or('\\'));
                }
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed");
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_ends_at_blanks_or_one_equals_sign() {
        for line in ["Port 22", "  port=22", "PORT = 22", "Port\t22\r"] {
            let (word, rest) = keyword(line).expect(line);
            assert_eq!((word.as_str(), rest.trim()), ("port", "22"), "{line}");
        }
        assert_eq!(keyword("  # Port 22"), None);
        assert_eq!(keyword("x == y").expect("a word").1, "= y");
    }

    #[test]
    fn quotes_backslashes_and_comments_are_those_of_openssh() {
        for (text, want) in [
            ("a b", vec!["a", "b"]),
            ("\"a b\" c", vec!["a b", "c"]),
            ("'a \"b' # c", vec!["a \"b"]),
            ("a#b #c d", vec!["a#b"]),
            (r"a\ b \\c \d", vec!["a b", r"\c", r"\d"]),
            ("\"\"", vec![""]),
            ("x\"y z\"w", vec!["xy zw"]),
        ] {
            assert_eq!(arguments(text).expect(text), want, "{text}");
        }
        assert!(arguments("\"a").is_err());
    }
}
