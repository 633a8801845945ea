//! Small readers that the sections share: maps with known keys, lists, texts, times, paths, words.
//!
//! Each takes a node, reports what is wrong with it and gives `None` then, so that reading can go on.

use std::time::Duration;

use wellkept_model::{ActionKind, Text};
use wellkept_yamltree::{Dialect, nearest};

pub(crate) use wellkept_yamltree::Fields;

use crate::problem::{Problems, clean};
use crate::tree::{At, Key, Node, Value, Words};

/// Characters a text may have where nothing else is said.
pub(crate) const TEXT_CHARS_MAX: usize = 4096;

/// Checks that the node is a map with these keys only, each once. Nothing at all counts as an empty map.
pub(crate) fn open<'n>(node: &'n Node, accepted: &[&str], problems: &mut Problems) -> Option<Fields<'n>> {
    map(node, &accepted.join(", "), problems)?;
    node.open(accepted, problems, |key| unknown_key(key, accepted))
}

fn unknown_key(key: &str, accepted: &[&str]) -> (Text, Text) {
    let words = accepted.join(", ");
    if key == "<<" {
        return (Text::new("keep.merge_key"), Text::new("keep.accept.merge_key"));
    }
    let help = match nearest(key, accepted.iter().copied()) {
        Some(near) => Text::new("keep.accept.nearest_key").with("nearest", near).with("keys", words),
        None => Text::new("keep.accept.keys").with("keys", words),
    };
    (Text::new("keep.unknown_key").with("key", clean(key)), help)
}

/// The entries of a map with keys of the operator's choice, each once.
pub(crate) fn map<'n>(node: &'n Node, keys: &str, problems: &mut Problems) -> Option<&'n [(Key, Node)]> {
    let entries = node.entries(problems, || Words::accept_map(keys))?;
    let mut seen = std::collections::BTreeMap::new();
    for (key, _) in entries {
        if let Some(first) = seen.insert(&key.text, key.at.place.line) {
            let message = Text::new("keep.duplicate_key").with("key", clean(&key.text));
            problems.add(&key.at, message, Text::new("keep.accept.once_line").with("line", first));
        }
    }
    Some(entries)
}

/// The items of a list; a single item need not be in brackets.
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

/// Says what the node is and what would be accepted.
pub(crate) fn wrong_type(node: &Node, help: Text, problems: &mut Problems) {
    node.wrong_kind(problems, help);
}

/// A text that is not empty, not too long and holds no control characters (line breaks where `lines` is true).
pub(crate) fn text<'n>(node: &'n Node, lines: bool, help: &Text, problems: &mut Problems) -> Option<&'n str> {
    let Value::Scalar { text, .. } = &node.value else {
        wrong_type(node, help.clone(), problems);
        return None;
    };
    let refused = |c: char| c.is_control() && !(lines && (c == '\n' || c == '\t'));
    let key = if text.trim().is_empty() {
        "keep.is_empty"
    } else if text.chars().any(refused) {
        "keep.control_character"
    } else if text.len() > TEXT_CHARS_MAX {
        "keep.value_too_long"
    } else {
        return Some(text);
    };
    let message = Text::new(key).with("value", clean(text)).with("max", TEXT_CHARS_MAX);
    problems.add(&node.at, message, help.clone());
    None
}

/// Reads a text and turns it into something, or says that it cannot be read as that.
pub(crate) fn parsed<T>(
    node: &Node,
    help: Text,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = text(node, false, &help, problems)?;
    let value = parse(found);
    if value.is_none() {
        wrong_type(node, help, problems);
    }
    value
}

/// A time such as `500ms`, `2s`, `5m`, `1h`, `7d`, between two bounds.
pub(crate) fn duration(
    node: &Node,
    from: Duration,
    to: Duration,
    problems: &mut Problems,
) -> Option<Duration> {
    let help =
        Text::new("keep.accept.duration").with("from", show_duration(from)).with("to", show_duration(to));
    parsed(node, help, problems, |t| parse_duration(t).filter(|d| (from..=to).contains(d)))
}

/// `None` when the text is not a number directly followed by a unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        "y" => 365 * 86_400_000,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 3 || whole.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let thousandths: u64 = format!("{part:0<3}").parse().ok()?;
    Some(Duration::from_millis(whole * unit_ms + thousandths * unit_ms / 1000))
}

/// The shortest writing that [`parse_duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if ms > 0 && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A whole number between two bounds.
pub(crate) fn whole(node: &Node, from: u32, to: u32, problems: &mut Problems) -> Option<u32> {
    let help = Text::new("keep.accept.whole").with("from", from).with("to", to);
    parsed(node, help, problems, |t| t.parse::<u32>().ok().filter(|n| (from..=to).contains(n)))
}

/// An absolute path in its plain form: no `.` or `..`, no doubled or trailing slash.
pub(crate) fn path(node: &Node, problems: &mut Problems) -> Option<String> {
    parsed(node, Text::new("keep.accept.path"), problems, |t| is_plain_path(t).then(|| t.to_owned()))
}

/// See [`path`].
pub(crate) fn is_plain_path(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))
}

/// True when `path` is `folder` or lies below it; both are plain paths.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    folder == "/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A list of action words.
pub(crate) fn actions(node: &Node, problems: &mut Problems) -> Vec<ActionKind> {
    let known: Vec<&str> = ActionKind::ALL.iter().map(|k| k.word()).collect();
    let words = known.join(", ");
    let mut kinds = Vec::new();
    for item in items(node) {
        let help = Text::new("keep.accept.actions").with("words", &words);
        let Some(word) = text(item, false, &help, problems) else { continue };
        match ActionKind::from_word(word) {
            Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
            Some(_) => {}
            None => {
                let help = nearest_word(word, &known, help);
                problems.add(&item.at, Text::new("keep.unknown_action").with("word", clean(word)), help);
            }
        }
    }
    kinds
}

/// The help that names the nearest word, or `otherwise` when none is near.
pub(crate) fn nearest_word(word: &str, known: &[&str], otherwise: Text) -> Text {
    match nearest(word, known.iter().copied()) {
        Some(near) => {
            Text::new("keep.accept.nearest_word").with("nearest", near).with("words", known.join(", "))
        }
        None => otherwise,
    }
}

/// Says that a key is needed that is not there.
pub(crate) fn missing(at: &At, key: &str, help: Text, problems: &mut Problems) {
    problems.add(at, Text::new("keep.missing_key").with("key", key), help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        for (text, ms) in [
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("1.5s", Some(1500)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("2", None),
            ("s", None),
            (".5s", None),
            ("1.s", None),
            ("1.2345s", None),
            ("1..2s", None),
            ("-1s", None),
            ("2 s", None),
            ("2sec", None),
            ("99999999999999999999s", None),
            ("1s ", None),
            ("", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_millis() as u64), ms, "{text}");
        }
    }

    #[test]
    fn a_shown_time_reads_back() {
        for ms in [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
    }

    #[test]
    fn plain_paths() {
        for good in ["/", "/a", "/a b/c.d", "/a/...", "/数据"] {
            assert!(is_plain_path(good), "{good}");
        }
        for bad in ["", "a", "/a/", "//", "/a//b", "/a/./b", "/..", "/a/..", "~/a"] {
            assert!(!is_plain_path(bad), "{bad}");
        }
        assert!(is_below("/data/a", "/data") && is_below("/data", "/data") && is_below("/x", "/"));
        assert!(!is_below("/database", "/data") && !is_below("/", "/data"));
    }
}
