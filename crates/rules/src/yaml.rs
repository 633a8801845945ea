//! How rule files and unit-test files are read: their bounds, their words, and readers of what only they have.
//!
//! Scalars keep the spelling of the file, because rule files write numbers where texts are meant (`severity: 1`).

use std::time::Duration;

use wellkept_model::Text;
use wellkept_yamltree::{Cause, Dialect, Lenient, Limits, Merging, Mistakes, Unreadable};

pub(crate) use wellkept_yamltree::{Fields, Key, Node, Value, read};

use crate::problem::{FileErrors, Problems, short};
use crate::time::parse_duration;

/// Most bytes of a file.
pub const FILE_MAX: usize = 4 << 20;

/// The words of rule files.
pub(crate) struct Words;

impl Dialect for Words {
    type Errors = FileErrors;
    const LIMITS: Limits = Limits {
        text: FILE_MAX,
        depth: 16,
        nodes: 200_000,
        aliases: 1000,
        path_chars: 200,
        merging: Merging::Merged,
    };

    fn shown(value: &str) -> String {
        short(value)
    }

    fn unreadable(why: &Unreadable) -> (Text, Text) {
        if let Cause::TooLong(bytes) = why.cause {
            let message = Text::new("rules.file_too_long").with("bytes", bytes);
            return (message, Text::new("rules.accept.size").with("max", FILE_MAX));
        }
        let accepted = Text::new("rules.accept.yaml")
            .with("depth", Self::LIMITS.depth)
            .with("nodes", Self::LIMITS.nodes);
        (Text::new("rules.yaml").with("detail", short(&why.detail)), accepted)
    }

    fn is(value: &Value) -> Text {
        match value {
            Value::Null => Text::new("rules.is_nothing"),
            Value::List(_) => Text::new("rules.is_list"),
            Value::Map(_) => Text::new("rules.is_map"),
            Value::Scalar { text, .. } => Self::is_value(text),
        }
    }

    fn accept_map(keys: &str) -> Text {
        Text::new("rules.accept.keys").with("keys", keys)
    }

    fn errors(mistakes: Mistakes) -> FileErrors {
        mistakes.into()
    }
}

impl Lenient for Words {
    const ACCEPT_LIST: &'static str = "rules.accept.list";
    const ACCEPT_TEXT: &'static str = "rules.accept.text";

    fn is_value(text: &str) -> Text {
        Text::new("rules.is_value").with("value", short(text))
    }
}

/// Readers of a node that only rule files have.
pub(crate) trait ReadNode {
    /// A map that may have these keys only. Nothing at all counts as an empty map.
    fn fields(&self, keys: &[&str], problems: &mut Problems<'_>) -> Option<Fields<'_>>;
    /// A duration such as `1h30m`.
    fn duration(&self, problems: &mut Problems<'_>) -> Option<Duration>;
    /// A map of texts in the order of the file.
    fn texts(&self, problems: &mut Problems<'_>) -> Vec<(&Key, &Node, String)>;
}

impl ReadNode for Node {
    fn fields(&self, keys: &[&str], problems: &mut Problems<'_>) -> Option<Fields<'_>> {
        self.open(keys, problems, |key| {
            (Text::new("rules.unknown_key").with("key", short(key)), Words::accept_map(&keys.join(", ")))
        })
    }

    fn duration(&self, problems: &mut Problems<'_>) -> Option<Duration> {
        let text = self.text(problems)?;
        let duration = parse_duration(text);
        if duration.is_none() {
            let message = Text::new("rules.no_duration").with("value", short(text));
            self.refuse(problems, message, Text::new("rules.accept.duration"));
        }
        duration
    }

    fn texts(&self, problems: &mut Problems<'_>) -> Vec<(&Key, &Node, String)> {
        let entries = self.entries(problems, || Text::new("rules.accept.text_map")).unwrap_or_default();
        entries.iter().filter_map(|(key, node)| Some((key, node, node.text(problems)?.to_owned()))).collect()
    }
}

/// Readers of a key that only rule files have.
pub(crate) trait ReadFields<'n> {
    /// A text, empty when the key is not there.
    fn text(&self, name: &str, problems: &mut Problems<'_>) -> String;
    /// A duration; `None` when the key is not there or holds none.
    fn duration(&self, name: &str, problems: &mut Problems<'_>) -> Option<Duration>;
    /// The pairs of a map of texts, none when the key is not there.
    fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<(&'n Key, &'n Node, String)>;
}

impl<'n> ReadFields<'n> for Fields<'n> {
    fn text(&self, name: &str, problems: &mut Problems<'_>) -> String {
        self.get(name).and_then(|n| n.text(problems)).unwrap_or_default().to_owned()
    }

    fn duration(&self, name: &str, problems: &mut Problems<'_>) -> Option<Duration> {
        self.get(name).and_then(|n| n.duration(problems))
    }

    fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<(&'n Key, &'n Node, String)> {
        self.get(name).map_or_else(Vec::new, |n| n.texts(problems))
    }
}
