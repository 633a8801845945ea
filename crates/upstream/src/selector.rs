//! Matchers as PromQL. They are written from typed values, never pasted from text.

use std::fmt::Write as _;

use wellkept_model::{MatchOp, Matcher};

/// `{job="a",mode!~"idle|iowait"}`. Servers refuse a selector that an empty label set would match; such a one gets a
/// condition that every series fulfils.
pub(crate) fn write(matchers: &[Matcher]) -> String {
    let mut out = String::from("{");
    for matcher in matchers {
        let op = match matcher.op() {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        name(matcher.name(), &mut out);
        out.push_str(op);
        quoted(matcher.value(), &mut out);
        out.push(',');
    }
    if matchers.iter().all(|m| m.matches("")) {
        out.push_str("__name__!=\"\"");
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push('}');
    out
}

/// Label names beyond ASCII letters are quoted, which servers know since Prometheus 3.
fn name(name: &str, out: &mut String) {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if plain { out.push_str(name) } else { quoted(name, out) }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
        Matcher::new(name, op, value).unwrap()
    }

    #[test]
    fn matchers_are_written_with_their_values_quoted() {
        let m = [matcher("__name__", MatchOp::Equal, "up"), matcher("job", MatchOp::NotRegex, r"a\.b|c")];
        assert_eq!(write(&m), r#"{__name__="up",job!~"a\\.b|c"}"#);
    }

    #[test]
    fn a_value_cannot_end_its_quotes() {
        let m = [matcher("job", MatchOp::Equal, "x\"} or vector(1) #\n\u{1}")];
        assert_eq!(write(&m), "{job=\"x\\\"} or vector(1) #\\n\\u0001\"}");
    }

    #[test]
    fn a_selector_that_matches_nothing_in_particular_gets_a_condition() {
        assert_eq!(write(&[]), r#"{__name__!=""}"#);
        assert_eq!(write(&[matcher("a", MatchOp::NotEqual, "b")]), r#"{a!="b",__name__!=""}"#);
    }

    #[test]
    fn an_odd_label_name_is_quoted() {
        assert_eq!(write(&[matcher("a.b", MatchOp::Equal, "c")]), r#"{"a.b"="c"}"#);
    }
}
