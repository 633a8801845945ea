//! `automation`, `changes` and `unusual`: how far the machine may go, where changes are told, what is compared.

use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{Automation, Budget, Mode, UnusualRule};

use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::Node;

const MODES: [Mode; 3] = [Mode::Watch, Mode::Propose, Mode::Act];
/// Most actions that may run at once.
const AT_ONCE_MAX: u32 = 10;
/// Most attempts a target may get in the given time.
const ATTEMPTS_MAX: u32 = 1000;
/// Most rules in `unusual`.
const UNUSUAL_MAX: usize = 100;

/// Reads the section `automation`; what is not said keeps its safe value.
pub(crate) fn automation(node: &Node, problems: &mut Problems) -> Automation {
    let mut out = Automation::default();
    let keys = ["mode", "at_once", "attempts", "confirm", "verify_hold"];
    let Some(fields) = read::open(node, &keys, problems) else { return out };
    if let Some(mode) = fields.get("mode").and_then(|n| mode(n, problems)) {
        out.mode = mode;
    }
    if let Some(n) = fields.get("at_once").and_then(|n| read::whole(n, 1, AT_ONCE_MAX, problems)) {
        out.at_once = n;
    }
    let budget =
        |n| read::parsed(n, Text::new("keep.accept.attempts").with("max", ATTEMPTS_MAX), problems, budget);
    if let Some(attempts) = fields.get("attempts").and_then(budget) {
        out.attempts = attempts;
    }
    if let Some(confirm) = fields.get("confirm") {
        out.confirm = read::actions(confirm, problems);
    }
    let hold = |n| read::duration(n, Duration::ZERO, Duration::from_secs(3600), problems);
    if let Some(hold) = fields.get("verify_hold").and_then(hold) {
        out.verify_hold = hold;
    }
    out
}

fn mode(node: &Node, problems: &mut Problems) -> Option<Mode> {
    let help = Text::new("keep.accept.mode");
    let word = read::text(node, false, &help, problems)?;
    let mode = MODES.into_iter().find(|m| m.word() == word);
    if mode.is_none() {
        let help = read::nearest_word(word, &MODES.map(Mode::word), help);
        problems.add(&node.at, Text::new("keep.is_value").with("value", clean(word)), help);
    }
    mode
}

/// `3 per target per hour`
fn budget(text: &str) -> Option<Budget> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [count, "per", "target", "per", unit] = words.as_slice() else { return None };
    let per = match *unit {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    let count = count.parse::<u32>().ok().filter(|n| (1..=ATTEMPTS_MAX).contains(n))?;
    Some(Budget { count, per: Duration::from_secs(per) })
}

/// Reads the section `changes`: files with one JSON record a line.
pub(crate) fn changes(node: &Node, problems: &mut Problems) -> Vec<PathBuf> {
    let Some(fields) = read::open(node, &["files"], problems) else { return Vec::new() };
    let items = fields.get("files").map(read::items).unwrap_or_default();
    let mut files: Vec<PathBuf> =
        items.iter().filter_map(|n| read::path(n, problems)).map(PathBuf::from).collect();
    files.dedup();
    files
}

/// Reads the section `unusual`.
pub(crate) fn unusual(node: &Node, problems: &mut Problems) -> Vec<UnusualRule> {
    let mut rules: Vec<UnusualRule> = Vec::new();
    let items = read::items(node);
    if let Some(extra) = items.get(UNUSUAL_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", UNUSUAL_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_rules").with("count", items.len()), help);
    }
    for item in items.iter().take(UNUSUAL_MAX) {
        let Some(rule) = unusual_rule(item, problems) else { continue };
        if rules.iter().any(|r| r.name == rule.name) {
            let message = Text::new("keep.rule_twice").with("name", clean(&rule.name));
            problems.add(&item.at, message, Text::new("keep.accept.name"));
            continue;
        }
        rules.push(rule);
    }
    rules
}

fn unusual_rule(node: &Node, problems: &mut Problems) -> Option<UnusualRule> {
    let fields = read::open(node, &["name", "query", "score", "hold"], problems)?;
    let mut needed = |name: &str, help: &str| match fields.get(name) {
        Some(node) => read::text(node, name == "query", &Text::new(help), problems).map(str::to_owned),
        None => {
            read::missing(&node.at, name, Text::new(help), problems);
            None
        }
    };
    let name = needed("name", "keep.accept.name");
    let query = needed("query", "keep.accept.query");
    let score = match fields.get("score") {
        Some(node) => read::parsed(node, Text::new("keep.accept.score"), problems, |t| {
            t.parse::<f64>().ok().filter(|s| (1.0..=1000.0).contains(s))
        }),
        None => Some(6.0),
    };
    let hold = match fields.get("hold") {
        Some(node) => read::duration(node, Duration::ZERO, Duration::from_secs(86_400), problems),
        None => Some(Duration::from_secs(30)),
    };
    Some(UnusualRule { name: name?, query: query?, score: score?, hold: hold? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_name_the_target_and_the_time() {
        let of = |count, secs| Some(Budget { count, per: Duration::from_secs(secs) });
        for (text, expected) in [
            ("3 per target per hour", of(3, 3600)),
            ("10  per target  per minute", of(10, 60)),
            ("1 per target per day", of(1, 86_400)),
            ("0 per target per hour", None),
            ("1001 per target per hour", None),
            ("3 per hour", None),
            ("3 per target per week", None),
            ("three per target per hour", None),
            ("3", None),
        ] {
            assert_eq!(budget(text), expected, "{text}");
        }
    }
}
