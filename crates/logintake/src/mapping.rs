//! Which entity a line belongs to: rules over the labels of its source that set `service`, `host` and others.
//!
//! A rule has patterns for labels and values to set. In a value, `${label}` stands for a label of the source and `${1}`
//! for what the first star of the path's pattern matched; both are put in once and never looked at again, so what a
//! sender writes stays data. Of several rules that set a label, the first counts.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;
use serde::{Deserialize, Serialize};
use wellkept_model::{Labels, LogLine, LogSink};

/// Most rules.
pub const RULES_MAX: usize = 1000;
/// Most bytes of a pattern or value.
const TEXT_BYTES_MAX: usize = 1024;
/// Label sets whose mapping is remembered; more begin anew.
const REMEMBERED_MAX: usize = 10_000;

/// A rule as it is written in the keep file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRule {
    /// Pattern of the label `filename`: `*` within a folder, `**` across folders, `?` one character.
    pub path: Option<String>,
    /// Patterns of other labels.
    pub labels: BTreeMap<String, String>,
    /// What `service` becomes.
    pub service: Option<String>,
    /// What `host` becomes.
    pub host: Option<String>,
    /// What other labels become; an empty value takes the label away.
    pub set: BTreeMap<String, String>,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Too many of them.
    #[error("{count} rules; at most {RULES_MAX} are accepted")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A pattern or value is too long.
    #[error("rule {rule}: a text is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong {
        /// Counted from 1.
        rule: usize,
    },
    /// Nothing to set.
    #[error("rule {rule} sets nothing; give it `service`, `host` or `set`")]
    Empty {
        /// Counted from 1.
        rule: usize,
    },
    /// A pattern that the matcher refuses.
    #[error("rule {rule}: `{pattern}` is no pattern")]
    Pattern {
        /// Counted from 1.
        rule: usize,
        /// The pattern.
        pattern: String,
    },
}

/// Rules, ready for use.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// Label and pattern; that of the path first, if there is one.
    patterns: Vec<(String, Regex)>,
    set: Vec<(String, String)>,
}

impl Mapping {
    /// Checks rules.
    ///
    /// # Errors
    /// [`MappingError`] names the first rule that cannot be used.
    pub fn new(rules: &[SourceRule]) -> Result<Self, MappingError> {
        if rules.len() > RULES_MAX {
            return Err(MappingError::TooMany { count: rules.len() });
        }
        let rules = (1..).zip(rules).map(|(number, rule)| compile(number, rule)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// The labels of a source with what the rules set.
    #[must_use]
    pub fn apply(&self, labels: &Labels) -> Labels {
        let mut set: BTreeMap<&str, String> = BTreeMap::new();
        for rule in &self.rules {
            let Some(captured) = rule.matches(labels) else { continue };
            for (name, value) in &rule.set {
                set.entry(name).or_insert_with(|| filled_in(value, labels, &captured));
            }
        }
        if set.is_empty() {
            return labels.clone();
        }
        let kept = labels.iter().filter(|(name, _)| !set.contains_key(name));
        Labels::new(kept.chain(set.iter().map(|(n, v)| (*n, v.as_str()))))
    }
}

impl Rule {
    /// What the stars of the first pattern matched, when all patterns fit.
    fn matches(&self, labels: &Labels) -> Option<Vec<String>> {
        let mut captured = Vec::new();
        for (i, (label, pattern)) in self.patterns.iter().enumerate() {
            let captures = pattern.captures(labels.get(label))?;
            if i == 0 {
                let groups = captures.iter().skip(1).flatten();
                captured = groups.map(|group| group.as_str().to_owned()).collect();
            }
        }
        Some(captured)
    }
}

fn compile(number: usize, rule: &SourceRule) -> Result<Rule, MappingError> {
    let path = rule.path.iter().map(|pattern| ("filename", pattern));
    let patterns = path.chain(rule.labels.iter().map(|(label, pattern)| (label.as_str(), pattern)));
    let patterns: Vec<(String, Regex)> = patterns
        .map(|(label, pattern)| {
            if pattern.len() > TEXT_BYTES_MAX {
                return Err(MappingError::TooLong { rule: number });
            }
            let regex = Regex::new(&regex_of(pattern));
            let wrong = |_| MappingError::Pattern { rule: number, pattern: pattern.clone() };
            Ok((label.to_owned(), regex.map_err(wrong)?))
        })
        .collect::<Result<_, _>>()?;
    let named = [("service", &rule.service), ("host", &rule.host)];
    let named = named.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v.clone()?)));
    let set: Vec<_> = named.chain(rule.set.iter().map(|(n, v)| (n.clone(), v.clone()))).collect();
    if set.is_empty() {
        return Err(MappingError::Empty { rule: number });
    }
    if set.iter().any(|(n, v)| n.len().max(v.len()) > TEXT_BYTES_MAX) {
        return Err(MappingError::TooLong { rule: number });
    }
    Ok(Rule { patterns, set })
}

/// A pattern with stars as an expression over the whole text; each star is a group.
fn regex_of(pattern: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str("(.*)"),
            '*' => out.push_str("([^/]*)"),
            '?' => out.push_str("[^/]"),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    out
}

/// A value with its places filled in.
fn filled_in(value: &str, labels: &Labels, captured: &[String]) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        match name.parse::<usize>() {
            Ok(number) => out.push_str(number.checked_sub(1).and_then(|i| captured.get(i)).map_or("", |c| c)),
            Err(_) => out.push_str(labels.get(name)),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A sink that maps the labels of each line before it hands it on, for doors whose senders name the labels.
pub struct Mapped<'a> {
    mapping: &'a Mapping,
    sink: &'a mut dyn LogSink,
    known: HashMap<Labels, Labels>,
}

impl std::fmt::Debug for Mapped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapped").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl<'a> Mapped<'a> {
    /// Maps what goes to `sink`.
    pub fn new(mapping: &'a Mapping, sink: &'a mut dyn LogSink) -> Self {
        Self { mapping, sink, known: HashMap::new() }
    }
}

impl LogSink for Mapped<'_> {
    fn line(&mut self, line: &LogLine<'_>) {
        if self.known.len() > REMEMBERED_MAX {
            self.known.clear();
        }
        if !self.known.contains_key(line.labels) {
            self.known.insert(line.labels.clone(), self.mapping.apply(line.labels));
        }
        let labels = self.known.get(line.labels).unwrap_or(line.labels);
        self.sink.line(&LogLine { labels, ..*line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Kept;

    fn rule(path: &str, service: &str) -> SourceRule {
        SourceRule { path: Some(path.into()), service: Some(service.into()), ..SourceRule::default() }
    }

    #[test]
    fn the_first_rule_that_sets_a_label_counts() {
        let mapping = Mapping::new(&[
            rule("/srv/*/logs/**.log", "${1}"),
            SourceRule { set: [("env".into(), "${zone}-x".into())].into(), ..rule("/srv/**", "other") },
        ])
        .unwrap();
        let map = |path: &str| mapping.apply(&Labels::new([("filename", path), ("zone", "eu")])).to_string();
        assert_eq!(
            map("/srv/shop/logs/a/b.log"),
            r#"{env="eu-x", filename="/srv/shop/logs/a/b.log", service="shop", zone="eu"}"#
        );
        assert!(map("/srv/a/b/logs/x.log").contains(r#"service="other""#), "one star does not cross folders");
        assert_eq!(map("/var/log/x.log"), r#"{filename="/var/log/x.log", zone="eu"}"#);
    }

    #[test]
    fn labels_select_and_an_empty_value_takes_away() {
        let mapping = Mapping::new(&[SourceRule {
            labels: [("unit".into(), "pg*.service".into())].into(),
            service: Some("db".into()),
            set: [("unit".into(), String::new())].into(),
            ..SourceRule::default()
        }])
        .unwrap();
        let labels = mapping.apply(&Labels::new([("unit", "pgbouncer.service")]));
        assert_eq!(labels.to_string(), r#"{service="db"}"#);
    }

    #[test]
    fn what_a_sender_writes_is_put_in_once() {
        let mapping = Mapping::new(&[rule("**", "${a}")]).unwrap();
        let labels = mapping.apply(&Labels::new([("a", "${b}"), ("b", "secret")]));
        assert_eq!(labels.get("service"), "${b}");
        assert_eq!(filled_in("${", &labels, &[]), "${");
        assert_eq!(filled_in("${0}${9}x", &labels, &[]), "x");
    }

    #[test]
    fn rules_that_cannot_be_used_are_named() {
        let long = "x".repeat(2000);
        assert_eq!(Mapping::new(&[rule("a", &long)]).unwrap_err(), MappingError::TooLong { rule: 1 });
        assert_eq!(Mapping::new(&[rule(&long, "a")]).unwrap_err(), MappingError::TooLong { rule: 1 });
        assert_eq!(Mapping::new(&[SourceRule::default()]).unwrap_err(), MappingError::Empty { rule: 1 });
        let many = vec![rule("a", "b"); RULES_MAX + 1];
        assert!(matches!(Mapping::new(&many), Err(MappingError::TooMany { .. })));
        assert!(serde_json::from_str::<SourceRule>(r#"{"pathh":"x"}"#).is_err());
    }

    #[test]
    fn a_mapped_sink_hands_on_the_same_line_under_other_labels() {
        let mut kept = Kept::default();
        let mapping = Mapping::new(&[rule("/a", "b")]).unwrap();
        let mut mapped = Mapped::new(&mapping, &mut kept);
        let labels = Labels::new([("filename", "/a")]);
        for _ in 0..2 {
            mapped.line(&LogLine { at_ns: 1, labels: &labels, level: None, text: b"x", fields: &[] });
        }
        assert_eq!(kept.lines.len(), 2);
        assert!(kept.lines.iter().all(|l| l.labels.get("service") == "b"));
    }
}
