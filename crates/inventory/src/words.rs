//! Splits a host line of an INI file into words as a shell would: quotes, backslashes, `#` comments.

/// The words and the character (from 0) where each begins. `None` when a quote or backslash has no end.
///
/// `#` begins a comment even in the middle of a word, as in Python's `shlex`.
pub(crate) fn split(line: &str) -> Option<Vec<(usize, String)>> {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut chars = line.chars().enumerate();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' => break,
            '\'' | '"' => {
                let (_, word) = word.get_or_insert((at, String::new()));
                quoted(&mut chars, c, word)?;
            }
            '\\' => {
                let next = chars.next()?.1;
                word.get_or_insert((at, String::new())).1.push(next);
            }
            other => word.get_or_insert((at, String::new())).1.push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads up to the closing quote. A backslash escapes only the quote and itself, and only within `"`.
fn quoted(chars: &mut impl Iterator<Item = (usize, char)>, quote: char, word: &mut String) -> Option<()> {
    loop {
        let c = chars.next()?.1;
        if c == quote {
            return Some(());
        }
        if c == '\\' && quote == '"' {
            let next = chars.next()?.1;
            if next != '"' && next != '\\' {
                word.push('\\');
            }
            word.push(next);
        } else {
            word.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).expect("closed quotes").into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn quotes_join_and_comments_end() {
        assert_eq!(words(r#"web a="x y" b='p "q"' c=1#no d"#), ["web", "a=x y", "b=p \"q\"", "c=1"]);
        assert_eq!(words(r#"h a="q\"w\d" b=a\ b e="" "#), ["h", "a=q\"w\\d", "b=a b", "e="]);
    }

    #[test]
    fn an_open_quote_is_a_mistake() {
        assert_eq!(split("web a='x"), None);
        assert_eq!(split("web a\\"), None);
    }
}
