//! Lists of relabel rules in a configuration.

use wellkept_model::Text;

use super::problem::{Problems, short};
use super::yaml::{Fields, Node, ReadFields, ReadNode};
use crate::relabel::{Action, Rule, RuleError, RuleText};

const KEYS: [&str; 7] =
    ["source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"];

/// The rules under a key, none when it is not there.
pub(super) fn rules(fields: &Fields<'_>, name: &str, problems: &mut Problems<'_>) -> Vec<Rule> {
    fields.items(name, problems).iter().filter_map(|n| rule(n, problems)).collect()
}

fn rule(node: &Node, problems: &mut Problems<'_>) -> Option<Rule> {
    let fields = node.fields(&KEYS, &[], problems)?;
    let action = match fields.get("action") {
        Some(node) => node.parsed("scrape.accept.action", problems, Action::from_word)?,
        None => Action::default(),
    };
    let given = |name: &str, problems: &mut Problems<'_>| {
        fields.get(name).and_then(|n| n.text(problems)).map(str::to_owned)
    };
    let text = RuleText {
        source_labels: fields.texts("source_labels", problems),
        separator: given("separator", problems),
        regex: given("regex", problems),
        modulus: fields.whole("modulus", problems).unwrap_or(0),
        target_label: given("target_label", problems).unwrap_or_default(),
        replacement: given("replacement", problems),
        action,
    };
    match Rule::new(text) {
        Ok(rule) => Some(rule),
        Err(error) => {
            refuse(&fields, &error, problems);
            None
        }
    }
}

fn refuse(fields: &Fields<'_>, error: &RuleError, problems: &mut Problems<'_>) {
    let (key, message, accepted) = match error {
        RuleError::Regex(why) => {
            let message = Text::new("scrape.bad_regex").with("detail", short(why));
            ("regex", message, Text::new("scrape.accept.regex"))
        }
        RuleError::Needs(key) => {
            let message = Text::new("scrape.missing_key").with("key", key);
            ("", message, Text::new("scrape.accept.needed").with("key", key))
        }
        RuleError::TakesNo(key) => {
            (*key, Text::new("scrape.takes_no").with("key", key), Text::new("scrape.accept.takes_no"))
        }
        RuleError::Name(name) => {
            let message = Text::new("scrape.no_label_name").with("value", short(name));
            ("replacement", message, Text::new("scrape.accept.label_name"))
        }
    };
    fields.get(key).unwrap_or(fields.node).refuse(problems, message, accepted);
}
