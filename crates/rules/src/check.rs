//! `check rules`: what a rule file holds, and what looks wrong in it though it can be used.

use std::collections::BTreeMap;

use wellkept_model::Text;

use crate::file::{Rule, RuleFile};
use crate::problem::{FileErrors, Problem};

/// A rule file that can be used.
#[derive(Debug)]
pub struct Checked {
    /// The file.
    pub file: RuleFile,
    /// How many alerting rules it has.
    pub alerting: usize,
    /// How many recording rules it has.
    pub recording: usize,
    /// What looks wrong; in the order of the file.
    pub warnings: Vec<Problem>,
}

impl Checked {
    /// One sentence: how many rules there are.
    #[must_use]
    pub fn summary(&self) -> Text {
        Text::new("rules.check.ok")
            .with("count", self.alerting + self.recording)
            .with("groups", self.file.groups.len())
            .with("alerting", self.alerting)
            .with("recording", self.recording)
    }
}

/// Checks a rule file's text; `name` is what messages call the file.
///
/// # Errors
/// [`FileErrors`] with every mistake, as [`RuleFile::read`].
pub fn check(name: &str, text: &str) -> Result<Checked, FileErrors> {
    let file = RuleFile::read(name, text)?;
    let all = || file.groups.iter().flat_map(|g| &g.rules);
    let alerting = all().filter(|r| r.alert().is_some()).count();
    let recording = all().count() - alerting;
    let warnings = duplicates(name, all());
    Ok(Checked { alerting, recording, warnings, file })
}

/// Rules with the same name and labels; each is named once, where its second rule stands.
fn duplicates<'r>(file: &str, rules: impl Iterator<Item = &'r Rule>) -> Vec<Problem> {
    let mut groups: BTreeMap<_, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        groups.entry((&rule.name, &rule.labels)).or_default().push(rule);
    }
    let mut warnings: Vec<Problem> = groups
        .values()
        .filter_map(|same| {
            let second = same.get(1)?;
            Some(Problem {
                file: file.to_owned(),
                place: second.place,
                path: String::new(),
                message: Text::new("rules.series_twice").with("name", &second.name).with("count", same.len()),
                accepted: Text::new("rules.accept.series_once"),
            })
        })
        .collect();
    warnings.sort_by_key(|p| p.place);
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_counted_and_duplicates_named() {
        let text = "
groups:
- name: a
  rules:
  - {record: r, expr: up}
  - {record: r, expr: up, labels: {a: b}}
  - {alert: A, expr: up}
- name: b
  rules:
  - {record: r, expr: down}
";
        let checked = check("r.yml", text).unwrap();
        assert_eq!((checked.alerting, checked.recording), (1, 3));
        let lines: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("r.yml:10:5: r with the same labels"), "{lines:?}");
        let summary = wellkept_catalogue::render(wellkept_catalogue::Language::En, &checked.summary());
        assert_eq!(summary, "4 rules in 2 groups: 1 alerting, 3 recording");
    }
}
