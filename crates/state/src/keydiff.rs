//! Names of settings that differ between two versions of a file. Never values: files hold secrets.
//!
//! It reads lines, not languages: `KEY=VALUE`, `key: value`, `"key": value`, `key = value` and `key value;`. What a
//! line means inside a section does not matter here; a name that stands twice is compared with all its values in
//! order. Lines that could be part of a secret (between BEGIN and END marks, inside open quotes, below a YAML block
//! mark, padding of base64) give no name.

use std::collections::BTreeMap;

/// Biggest file that is compared, bytes.
const COMPARED_BYTES_MAX: usize = 1024 * 1024;
/// Longest name, bytes; what is longer is no name.
const NAME_BYTES_MAX: usize = 100;
/// Most names in one list.
const NAMES_MAX: usize = 100;
/// From this length on, `letters and digits=` without a value may be base64 with its padding.
const BASE64_LEN_MIN: usize = 16;

/// Names that differ; sorted, without doubles, at most 100 each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDiff {
    /// Names that only the old version has.
    pub removed: Vec<String>,
    /// Names whose value differs.
    pub changed: Vec<String>,
    /// Names that only the new version has.
    pub added: Vec<String>,
}

/// Compares two versions of a settings file. Files that are no text, or are above 1 MiB, give nothing.
#[must_use]
pub fn diff_keys(old: &[u8], new: &[u8]) -> KeyDiff {
    let (Some(old), Some(new)) = (text(old), text(new)) else { return KeyDiff::default() };
    let (old, new) = (settings(old), settings(new));
    let mut diff = KeyDiff::default();
    for (name, values) in &old {
        match new.get(name) {
            None => push(&mut diff.removed, name),
            Some(now) if now != values => push(&mut diff.changed, name),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        push(&mut diff.added, name);
    }
    diff
}

fn push(names: &mut Vec<String>, name: &str) {
    if names.len() < NAMES_MAX {
        names.push(name.to_owned());
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > COMPARED_BYTES_MAX || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// Each name with its values, in order of the lines.
fn settings(text: &str) -> BTreeMap<&str, Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut lines = text.lines();
    let mut pending = lines.next();
    while let Some(line) = pending {
        pending = lines.next();
        if line.contains("-----BEGIN ") {
            while pending.is_some_and(|l| !l.contains("-----END ")) {
                pending = lines.next();
            }
            pending = lines.next();
            continue;
        }
        let Some((name, value)) = setting(line) else { continue };
        let mut whole = value.to_owned();
        let open_quote = open_quote(value);
        let block = matches!(value.chars().next(), Some('|' | '>')).then(|| indent(line));
        while let Some(next) = pending {
            let inside = match (open_quote, block) {
                (Some(_), _) => true,
                (None, Some(depth)) => next.trim().is_empty() || indent(next) > depth,
                (None, None) => false,
            };
            if !inside {
                break;
            }
            whole.push('\n');
            whole.push_str(next);
            pending = lines.next();
            if open_quote.is_some_and(|quote| next.contains(quote)) {
                break;
            }
        }
        found.entry(name).or_default().push(whole);
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The quote that a value opens and does not close on its line.
fn open_quote(value: &str) -> Option<char> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    (value.matches(quote).count() == 1).then_some(quote)
}

/// Name and value of one line.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';', '/', '-', '[', '{']) {
        return None;
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    if let Some(rest) = line.strip_prefix('"') {
        let (name, rest) = rest.split_once('"')?;
        let value = rest.trim_start().strip_prefix(':')?;
        return is_name(name).then(|| (name, value.trim().trim_end_matches(',')));
    }
    let end = line.find(|c: char| !is_name_char(c))?;
    let (name, rest) = line.split_at_checked(end)?;
    if !is_name(name) {
        return None;
    }
    let after = rest.trim_start();
    if let Some(value) = after.strip_prefix('=') {
        return (!maybe_base64(name, value)).then_some((name, value.trim()));
    }
    if let Some(value) = rest.strip_prefix(':') {
        return (value.is_empty() || value.starts_with(char::is_whitespace)).then_some((name, value.trim()));
    }
    let value = after.strip_suffix(';')?;
    rest.starts_with(char::is_whitespace).then_some((name, value.trim()))
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_name_char)
}

/// `c2VjcmV0c2VjcmV0MQ==` looks like a name without a value and is a secret.
fn maybe_base64(name: &str, value: &str) -> bool {
    let kinds = [char::is_uppercase as fn(char) -> bool, char::is_lowercase, char::is_numeric];
    let padding = value.trim_end().chars().all(|c| c == '=');
    let mixed = kinds.iter().filter(|kind| name.contains(**kind)).count() >= 2;
    value.starts_with('=') && padding
        || padding && mixed && name.len() >= BASE64_LEN_MIN && !name.contains('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, removed: &[&str], changed: &[&str], added: &[&str]) {
        let diff = diff_keys(old.as_bytes(), new.as_bytes());
        assert_eq!((diff.removed, diff.changed, diff.added), (own(removed), own(changed), own(added)));
    }

    fn own(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn names_of_every_way_of_writing_are_found() {
        check("DB_HOST=a\nPORT=1\n", "PORT=2\nNEW=x\n", &["DB_HOST"], &["PORT"], &["NEW"]);
        check("export A=1", "export A=2", &[], &["A"], &[]);
        check("host: a\nport: 1", "port: 1\nextra:", &["host"], &[], &["extra"]);
        check("max_connections = 10", "max_connections = 11", &[], &["max_connections"], &[]);
        check("  listen 80;\n  root /a;", "  listen 81;", &["root"], &["listen"], &[]);
        check("{\n \"a.b\": 1,\n \"c\": 2\n}", "{\n \"a.b\": 3\n}", &["c"], &["a.b"], &[]);
    }

    #[test]
    fn order_of_names_comments_and_blanks_do_not_count() {
        check("A=1\nB=2\n", "# hello\n\nB=2\nA=1 \n; x=1\n", &[], &[], &[]);
    }

    #[test]
    fn a_name_that_stands_twice_is_compared_with_all_its_values() {
        check("a:\n  port: 1\nb:\n  port: 2", "a:\n  port: 1\nb:\n  port: 3", &[], &["port"], &[]);
    }

    #[test]
    fn an_emptied_setting_is_a_change() {
        check("PAY_URL=http://x", "PAY_URL=", &[], &["PAY_URL"], &[]);
    }

    #[test]
    fn no_part_of_a_secret_becomes_a_name() {
        let pem = |body: &str| format!("-----BEGIN KEY-----\n{body}=\nabc: x\n-----END KEY-----\nB=1\n");
        check(&pem("MIIEvQIBADANBgkq"), &pem("Zm9vYmFyZm9vYmFy"), &[], &[], &[]);
        check("c2VjcmV0c2VjcmV0MQ==", "b3RoZXJvdGhlcm90MQ==", &[], &[], &[]);
        check("c2VjcmV0c2VjcmV0c2VjcmV0MQE=", "", &[], &[], &[]);
        check("db.host:5432:shop:ann:hunter2", "", &[], &[], &[]);
        check("hunter2", "hunter3", &[], &[], &[]);
        check(
            "K=\"line one\nhunter2: x\nA=b\"\nB=1",
            "K=\"line one\nhunter3: x\nA=c\"\nB=1",
            &[],
            &["K"],
            &[],
        );
        check("k: |\n  hunter2: x\n  y=z\nb: 1", "k: |\n  hunter3: x\nb: 1", &[], &["k"], &[]);
    }

    #[test]
    fn what_is_no_text_or_too_big_gives_nothing() {
        assert_eq!(diff_keys(b"A=1\n\xff", b"B=1"), KeyDiff::default());
        assert_eq!(diff_keys(b"A=1\n\0", b"B=1"), KeyDiff::default());
        assert_eq!(diff_keys(&vec![b'a'; COMPARED_BYTES_MAX + 1], b"B=1"), KeyDiff::default());
    }

    #[test]
    fn lists_are_bounded() {
        let many: String = (0..500).map(|n| format!("K{n}=1\n")).collect();
        assert_eq!(diff_keys(many.as_bytes(), b"").removed.len(), NAMES_MAX);
    }
}
