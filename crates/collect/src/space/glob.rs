//! Patterns for one file name: `*`, `?`, `[abc]`, `[a-z]`, `[!x]`, and `\` before a sign that is meant as itself.
//!
//! As in the shell, a name that begins with a dot is matched only by a pattern that does. Matching takes at most
//! (length of pattern × length of name) steps: names come from strangers.

/// True when `name` matches the whole `pattern`.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: that star takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        match (rest.first(), name.get(n)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            (Some(_), Some(&byte)) => {
                let (fits, used) = one(rest, byte);
                if fits {
                    (p, n) = (p + used, n + 1);
                    continue;
                }
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        match retry {
            Some((after_star, from)) if from < name.len() => {
                retry = Some((after_star, from + 1));
                (p, n) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// Whether the first element of a pattern fits one byte, and how long that element is.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'\\', literal, ..] => (*literal == byte, 2),
        [b'[', rest @ ..] => set(rest, byte).map_or((byte == b'[', 1), |(fits, len)| (fits, len + 1)),
        [literal, ..] => (*literal == byte, 1),
        [] => (false, 0),
    }
}

/// A set in brackets, without the opening one; `None` when it is never closed.
fn set(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    // A closing bracket in the first place is meant as itself.
    let close = rest.iter().skip(start + 1).position(|b| *b == b']')? + start + 1;
    let mut inner = rest.get(start..close)?;
    let mut found = false;
    while let Some((&low, tail)) = inner.split_first() {
        inner = match tail {
            [b'-', high, after @ ..] => {
                found |= (low..=*high).contains(&byte);
                after
            }
            _ => {
                found |= low == byte;
                tail
            }
        };
    }
    Some((found != negated, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, name, expected) in [
            ("export-*.bin", "export-1.bin", true),
            ("export-*.bin", "export-.bin", true),
            ("export-*.bin", "export-1.bin.keep", false),
            ("*", "anything", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("?.log", "a.log", true),
            ("?.log", "ab.log", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[ab", "[ab", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_name_takes_no_longer_than_its_length_allows() {
        let name = vec![b'a'; 20_000];
        assert!(!matches(b"*a*a*a*a*a*a*a*a*b", &name));
    }
}
