//! Texts of statements without the values in them.
//!
//! `pg_stat_statements` puts `$1` in the place of values, but not always: not in statements that define things
//! (`ALTER ROLE … PASSWORD '…'`), and not when an entry was pushed out while its statement ran. What could be a secret
//! must not get into a finding, so texts are taken of statements that read and write rows only, and every value that
//! still stands in one is left out.

/// What stands for a value.
const VALUE: &str = "?";

/// Condition of SQL: the statement reads or writes rows.
pub(super) const READS_OR_WRITES: &str =
    r"query ~* '^\s*(select|insert|update|delete|merge|with|values|table)\M'";

/// The text with `?` for each value, and without comments.
pub(super) fn without_values(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        let next = chars.get(at + 1).copied();
        match c {
            '\'' => {
                let escapes = is_escaping(&chars, at);
                at = after_quoted(&chars, at + 1, escapes);
                out.push_str(VALUE);
            }
            '"' => {
                let end = after(&chars, at + 1, "\"");
                out.extend(chars.get(at..end).unwrap_or_default());
                at = end;
            }
            '$' if !in_word(&chars, at) && !next.is_some_and(|c| c.is_ascii_digit()) => {
                let tag: String =
                    chars.get(at + 1..).unwrap_or_default().iter().take_while(|c| is_word(**c)).collect();
                let open = format!("${tag}$");
                if chars.get(at + 1 + tag.chars().count()) == Some(&'$') {
                    at = after(&chars, at + open.chars().count(), &open);
                    out.push_str(VALUE);
                } else {
                    at += 1;
                }
            }
            '-' if next == Some('-') => break,
            '/' if next == Some('*') => at = after(&chars, at + 2, "*/"),
            c if c.is_ascii_digit() && !in_word(&chars, at) => {
                at += chars
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|c| is_word(**c) || **c == '.')
                    .count();
                out.push_str(VALUE);
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out.trim_end().to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word or a parameter goes on here.
fn in_word(chars: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| chars.get(before)).is_some_and(|c| is_word(*c) || *c == '$')
}

/// Whether the quote begins a text with backslashes: `E'…'`.
fn is_escaping(chars: &[char], quote: usize) -> bool {
    let Some(before) = quote.checked_sub(1) else { return false };
    chars.get(before).is_some_and(|c| matches!(c, 'e' | 'E')) && !in_word(chars, before)
}

/// Behind a text in quotes; two quotes are one in it. One that was cut goes to the end.
fn after_quoted(chars: &[char], from: usize, escapes: bool) -> usize {
    let mut at = from;
    while let Some(c) = chars.get(at) {
        at += match (c, chars.get(at + 1)) {
            ('\\', _) if escapes => 2,
            ('\'', Some('\'')) => 2,
            ('\'', _) => return at + 1,
            _ => 1,
        };
    }
    chars.len()
}

/// Behind the next `end`, or at the end of all.
fn after(chars: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    let found = chars.get(from..).and_then(|rest| rest.windows(end.len()).position(|w| w == end));
    found.map_or(chars.len(), |at| from + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn no_value_is_told() {
        for (text, told) in [
            ("SELECT * FROM t1 WHERE a = $1 AND b2 = 17", "SELECT * FROM t1 WHERE a = $1 AND b2 = ?"),
            ("UPDATE u SET p = 'sec''ret' WHERE n = \"it's\"", "UPDATE u SET p = ? WHERE n = \"it's\""),
            (r"SELECT E'a\' secret', 'b\', 'c'", "SELECT E?, ?, ?"),
            (r"SELECT note'a\' , secret", "SELECT note? , secret"),
            ("SELECT $$sec'ret$$, $tag$ $$secret$tag$, x", "SELECT ?, ?, x"),
            ("SELECT a /* secret */ FROM t -- secret", "SELECT a  FROM t"),
            ("SELECT 1.5e3, 0xFF, a.b", "SELECT ?, ?, a.b"),
            ("SELECT 'cut secret", "SELECT ?"),
            ("SELECT $x$ cut secret", "SELECT ?"),
            ("SELECT $ 1", "SELECT  ?"),
            ("", ""),
        ] {
            assert_eq!(without_values(text), told, "{text}");
        }
    }
}
