//! Comma-separated tables (RFC 4180), borrowed where no quote is doubled.

use std::borrow::Cow;

/// Takes the next record into `fields` and returns the rest of the text; `None` at the end. Quoted fields may hold
/// commas and line ends.
fn record<'a>(text: &'a str, fields: &mut Vec<Cow<'a, str>>) -> Option<&'a str> {
    if text.is_empty() {
        return None;
    }
    fields.clear();
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    if !line.contains('"') {
        fields.extend(line.strip_suffix('\r').unwrap_or(line).split(',').map(Cow::Borrowed));
        return Some(after);
    }
    let mut rest = text;
    loop {
        let (field, after) =
            if let Some(quoted) = rest.strip_prefix('"') { quoted_field(quoted) } else { plain(rest) };
        fields.push(field);
        if let Some(next) = after.strip_prefix(',') {
            rest = next;
            continue;
        }
        let after = after.strip_prefix('\r').unwrap_or(after);
        return Some(after.strip_prefix('\n').unwrap_or(after));
    }
}

fn plain(text: &str) -> (Cow<'_, str>, &str) {
    let end = text.bytes().position(|b| matches!(b, b',' | b'\n' | b'\r')).unwrap_or(text.len());
    let (field, rest) = text.split_at(end);
    (Cow::Borrowed(field), rest)
}

/// After the opening quote. What stands between the closing quote and the next comma or line end is passed over.
fn quoted_field(text: &str) -> (Cow<'_, str>, &str) {
    let mut from = 0;
    let mut doubled = false;
    while let Some(at) = text.get(from..).and_then(|t| t.find('"')).map(|at| at + from) {
        if text.get(at + 1..).is_some_and(|t| t.starts_with('"')) {
            doubled = true;
            from = at + 2;
            continue;
        }
        let (field, rest) = text.split_at(at);
        let field = if doubled { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) };
        return (field, plain(rest.get(1..).unwrap_or_default()).1);
    }
    (Cow::Borrowed(text), "")
}

/// Calls `take` for each record.
pub(super) fn records<'a>(text: &'a str, mut take: impl FnMut(&[Cow<'a, str>])) {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some(after) = record(rest, &mut fields) {
        rest = after;
        if fields.len() > 1 || fields.first().is_some_and(|f| !f.is_empty()) {
            take(&fields);
        }
    }
}

/// Positions of wanted columns by name, from a header.
pub(super) fn columns<const N: usize>(header: &[Cow<'_, str>], wanted: [&str; N]) -> [Option<usize>; N] {
    wanted.map(|w| header.iter().position(|h| h.trim() == w))
}

/// The field of a column; empty when the record is short or the column is missing.
pub(super) fn field<'r>(record: &'r [Cow<'_, str>], column: Option<usize>) -> &'r str {
    column.and_then(|c| record.get(c)).map_or("", AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        records(text, |r| out.push(r.iter().map(ToString::to_string).collect()));
        out
    }

    #[test]
    fn quotes_commas_and_line_ends_inside_fields_are_kept() {
        assert_eq!(
            all("a,\"b,\"\"c\"\"\nd\",e\r\nf,,g\n"),
            [vec!["a", "b,\"c\"\nd", "e"], vec!["f", "", "g"]]
        );
    }

    #[test]
    fn a_table_cut_off_in_the_middle_ends() {
        assert_eq!(all("a,b\nc,\"d"), [vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(all("a\n\n\"b\"\rc"), [vec!["a"], vec!["b"], vec!["c"]]);
    }
}
