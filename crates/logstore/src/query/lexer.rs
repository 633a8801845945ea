//! Words and signs of a query.

use crate::query::QueryError;

/// A word or a sign.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name, or a number with or without a unit: `status`, `5m`, `1.5KB`.
    Word(String),
    /// A quoted text.
    Text(Vec<u8>),
    /// Anything else: `{`, `|=`, `>=`.
    Sign(&'static str),
    /// Nothing more.
    End,
}

impl Token {
    /// As a person would name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Text(text) => format!("the text \"{}\"", String::from_utf8_lossy(text).escape_debug()),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer signs first.
const SIGNS: [&str; 22] = [
    "|=", "|~", "!=", "!~", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<",
    "-", "+", "*",
];

/// All tokens with their places.
pub(crate) fn tokens(query: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = query.get(at..).filter(|r| !r.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if first == '"' || first == '`' {
            let (text, len) = quoted(rest, at)?;
            out.push((at, Token::Text(text)));
            at += len;
        } else if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            out.push((at, Token::Sign(sign)));
            at += sign.len();
        } else {
            let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            if len == 0 {
                return Err(QueryError {
                    at,
                    found: format!("`{}`", first.escape_debug()),
                    expected: "a name, a number, a quoted text or a sign".to_owned(),
                });
            }
            out.push((at, Token::Word(rest.get(..len).unwrap_or_default().to_owned())));
            at += len;
        }
    }
    out.push((query.len(), Token::End));
    Ok(out)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | 'µ')
}

/// A quoted text and its length with the quotes.
fn quoted(rest: &str, at: usize) -> Result<(Vec<u8>, usize), QueryError> {
    let mut chars = rest.char_indices();
    let quote = chars.next().map_or('"', |c| c.1);
    let mut out = Vec::new();
    let put = |c: char, out: &mut Vec<u8>| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    while let Some((i, c)) = chars.next() {
        if c == quote {
            return Ok((out, i + quote.len_utf8()));
        }
        if c != '\\' || quote == '`' {
            put(c, &mut out);
            continue;
        }
        let escape = chars.next();
        match escape.map(|e| e.1) {
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('r') => out.push(b'\r'),
            Some('0') => out.push(0),
            Some(c @ ('\\' | '"' | '\'' | '`')) => put(c, &mut out),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).map(|c| c.1).collect();
                let byte = u8::from_str_radix(&digits, 16).map_err(|_| QueryError {
                    at: at + i,
                    found: format!("`\\x{}`", digits.escape_debug()),
                    expected: "two hexadecimal digits behind `\\x`".to_owned(),
                })?;
                out.push(byte);
            }
            other => {
                return Err(QueryError {
                    at: at + i,
                    found: other.map_or("the end".to_owned(), |c| format!("`\\{}`", c.escape_debug())),
                    expected:
                        "one of \\n \\t \\r \\0 \\xFF \\\\ \\\"; between back quotes nothing is escaped"
                            .to_owned(),
                });
            }
        }
    }
    Err(QueryError {
        at,
        found: "a text without an end".to_owned(),
        expected: format!("a closing `{quote}`"),
    })
}
