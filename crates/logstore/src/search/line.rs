//! One line against the stages of a query.

use std::borrow::Cow;

use wellkept_model::{Labels, Level, TemplateId};

use super::needle::holds;
use crate::query::{LineQuery, Stage};

/// Most labels that one line gives.
const EXTRACTED_MAX: usize = 256;

/// A line as stages see it.
pub(crate) struct LineView<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) labels: &'a Labels,
    pub(crate) level: Option<Level>,
    pub(crate) template: TemplateId,
    pub(crate) fields: &'a [(String, String)],
}

/// Labels that `json` and `logfmt` found.
pub(crate) type Extracted = Vec<(String, String)>;

/// A template's id as queries and labels write it.
#[must_use]
pub fn template_word(template: TemplateId) -> String {
    format!("{:016x}", template.0)
}

/// The value of something that is asked for like a label, when neither the text nor fields give it.
pub(crate) fn stream_label<'a>(
    labels: &'a Labels,
    level: Option<Level>,
    template: TemplateId,
    name: &str,
) -> Cow<'a, str> {
    let found = labels.get(name);
    match name {
        _ if !found.is_empty() => Cow::Borrowed(found),
        "level" => Cow::Borrowed(level.map_or("", Level::word)),
        "template" => Cow::Owned(template_word(template)),
        _ => Cow::Borrowed(""),
    }
}

impl<'a> LineView<'a> {
    /// The value of a label: found in the text, then fields, then the stream's.
    pub(crate) fn label<'s>(&'s self, extracted: &'s Extracted, name: &str) -> Cow<'s, str> {
        if let Some((_, value)) = extracted.iter().rev().find(|(n, _)| n == name) {
            return Cow::Borrowed(value);
        }
        if let Some((_, value)) = self.fields.iter().find(|(n, _)| n == name) {
            return Cow::Borrowed(value);
        }
        stream_label(self.labels, self.level, self.template, name)
    }

    /// Whether the line fits all stages; `extracted` takes the labels found in the text.
    pub(crate) fn fits(&self, query: &LineQuery, extracted: &mut Extracted) -> bool {
        extracted.clear();
        query.stages.iter().all(|stage| match stage {
            Stage::Contains { texts, negated } => texts.iter().any(|t| holds(self.text, t)) != *negated,
            Stage::Pattern { regex, negated, .. } => regex.is_match(self.text) != *negated,
            Stage::Json => {
                json(self.text, extracted);
                true
            }
            Stage::Logfmt => {
                logfmt(self.text, extracted);
                true
            }
            Stage::Labels(condition) => {
                condition.holds(&mut |name| Cow::Owned(self.label(extracted, name).into_owned()))
            }
        })
    }
}

/// Fields of the first object in the text; nested ones are joined by `_`. Arrays are left out.
fn json(text: &[u8], out: &mut Extracted) {
    let start = memchr::memchr(b'{', text).unwrap_or(0);
    let object = text.get(start..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_slice(object).into_iter::<serde_json::Value>();
    match values.next() {
        Some(Ok(value @ serde_json::Value::Object(_))) => flatten("", &value, out),
        _ => out.push(("__error__".to_owned(), "JSONParserErr".to_owned())),
    }
}

fn flatten(prefix: &str, value: &serde_json::Value, out: &mut Extracted) {
    use serde_json::Value;
    if out.len() >= EXTRACTED_MAX {
        return;
    }
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = label_name(name);
                let name = if prefix.is_empty() { name } else { format!("{prefix}_{name}") };
                flatten(&name, value, out);
            }
            return;
        }
        Value::Array(_) | Value::Null => return,
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
    };
    out.push((prefix.to_owned(), text));
}

/// A name with only what label names may have.
fn label_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Pairs `name=value` and `name="quoted value"`; a name alone has no value and is left out.
fn logfmt(text: &[u8], out: &mut Extracted) {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.as_ref();
    while out.len() < EXTRACTED_MAX {
        rest = rest.trim_start();
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let Some(value) = after.strip_prefix('=') else {
            if after.is_empty() {
                return;
            }
            rest = after;
            continue;
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = value.find(char::is_whitespace).unwrap_or(value.len());
                let (value, after) = value.split_at_checked(end).unwrap_or((value, ""));
                (value.to_owned(), after)
            }
        };
        if !name.is_empty() {
            out.push((label_name(name), value));
        }
        rest = after;
        if rest.is_empty() {
            return;
        }
        // Whatever follows a quote directly belongs to no pair.
        let skipped = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest.get(skipped..).unwrap_or_default();
    }
}

/// A text up to its closing quote, and what follows.
fn unquote(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, text.get(at + 1..).unwrap_or_default()),
            '\\' => match chars.next().map(|e| e.1) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse_lines;

    fn fits(query: &str, text: &str) -> bool {
        let labels = Labels::new([("service", "app")]);
        let fields = [("trace_id".to_owned(), "abc".to_owned())];
        let view = LineView {
            text: text.as_bytes(),
            labels: &labels,
            level: Some(Level::Error),
            template: TemplateId(0xab),
            fields: &fields,
        };
        view.fits(&parse_lines(query).unwrap(), &mut Vec::new())
    }

    #[test]
    fn each_stage_does_what_loki_does() {
        let text = r#"GET /x {"status": 503, "took": "1.5s", "user": {"name": "eve"}, "n": [1]}"#;
        assert!(fits(r#"|= "GET" != "POST" |~ "/x+ " !~ "^$""#, text));
        assert!(fits(r#"|= "POST" or "GET""#, text));
        assert!(!fits(r#"|= "get""#, text));
        assert!(fits(r#"|~ "(?i)get""#, text));
        assert!(fits(r#"| json | status >= 500 and took > 1s | user_name="eve""#, text));
        assert!(!fits(r#"| json | status < 500"#, text));
        assert!(fits(r#"| level="error", trace_id=~"a.c" | service="app""#, text));
        assert!(fits(r#"| template="00000000000000ab""#, text));
        assert!(fits(r#"| json | __error__!="""#, "no object"));
        assert!(!fits(r#"| missing > 5"#, text));
    }

    #[test]
    fn pairs_of_logfmt_are_found_whatever_stands_between() {
        let mut out = Vec::new();
        logfmt(br#"at=info msg="it \"works\"" alone took=15ms size=4KiB  x= y="open"#, &mut out);
        let pairs: Vec<(&str, &str)> = out.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("at", "info"),
            ("msg", "it \"works\""),
            ("took", "15ms"),
            ("size", "4KiB"),
            ("x", ""),
            ("y", "open"),
        ];
        assert_eq!(pairs, expected);
        assert!(fits(r#"| logfmt | took > 10ms and size >= 4KiB"#, "took=15ms size=4KiB"));
    }
}
