//! Escapes in quoted texts, as Python reads them: what is not known stays as it is.

/// The text that stands between the quotes.
pub(crate) fn unescape(body: &str) -> String {
    if !body.contains('\\') {
        return body.to_owned();
    }
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = chars.next() else {
            out.push('\\');
            break;
        };
        let plain = match kind {
            '\n' => continue,
            '\\' | '\'' | '"' => kind,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' | 'u' | 'U' => {
                let wanted = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = chars.clone().take(wanted).collect();
                let number = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == wanted);
                match number.and_then(char::from_u32) {
                    Some(found) => {
                        chars.by_ref().take(wanted).for_each(drop);
                        found
                    }
                    None => {
                        out.push('\\');
                        kind
                    }
                }
            }
            '0'..='7' => {
                let mut digits = kind.to_string();
                while digits.len() < 3 && chars.peek().is_some_and(|c| ('0'..='7').contains(c)) {
                    digits.extend(chars.next());
                }
                u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
            }
            other => {
                out.push('\\');
                other
            }
        };
        out.push(plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes_are_read_and_others_stay() {
        for (body, text) in [
            (r"a\nb", "a\nb"),
            (r"\.\d+", r"\.\d+"),
            (r"\\1", r"\1"),
            (r"\x41\u00e9", "Aé"),
            (r"\101", "A"),
            (r"\xzz", r"\xzz"),
        ] {
            assert_eq!(unescape(body), text);
        }
    }
}
