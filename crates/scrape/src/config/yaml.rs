//! How a `prometheus.yml` and files of targets are read: their bounds, their words, and readers of what only they have.
//!
//! No message about a wrong kind of value shows the value: it could be a password.

use std::time::Duration;

use wellkept_model::Text;
use wellkept_yamltree::{Cause, Dialect, Lenient, Limits, Merging, Mistakes, Unreadable};

pub(crate) use wellkept_yamltree::{Fields, Key, Node, Value, read};

use super::problem::{ConfigErrors, Problems, short};
use crate::duration;
use crate::secret::Secret;

/// Most bytes of a file.
pub const FILE_MAX: usize = 4 << 20;

/// The words of configurations.
pub(crate) struct Words;

impl Dialect for Words {
    type Errors = ConfigErrors;
    const LIMITS: Limits = Limits {
        text: FILE_MAX,
        depth: 16,
        nodes: 400_000,
        aliases: 1000,
        path_chars: 160,
        merging: Merging::Merged,
    };

    fn shown(value: &str) -> String {
        short(value)
    }

    fn unreadable(why: &Unreadable) -> (Text, Text) {
        if let Cause::TooLong(bytes) = why.cause {
            let message = Text::new("scrape.file_too_long").with("bytes", bytes);
            return (message, Text::new("scrape.accept.size").with("max", FILE_MAX));
        }
        let accepted = Text::new("scrape.accept.yaml")
            .with("depth", Self::LIMITS.depth)
            .with("nodes", Self::LIMITS.nodes);
        (Text::new("scrape.yaml").with("detail", short(&why.detail)), accepted)
    }

    fn is(value: &Value) -> Text {
        match value {
            Value::Null => Text::new("scrape.is_nothing"),
            Value::List(_) => Text::new("scrape.is_list"),
            Value::Map(_) => Text::new("scrape.is_map"),
            Value::Scalar { .. } => Text::new("scrape.is_text"),
        }
    }

    fn accept_map(keys: &str) -> Text {
        Text::new("scrape.accept.keys").with("keys", keys)
    }

    fn errors(mistakes: Mistakes) -> ConfigErrors {
        mistakes.into()
    }
}

impl Lenient for Words {
    const ACCEPT_LIST: &'static str = "scrape.accept.list";
    const ACCEPT_TEXT: &'static str = "scrape.accept.text";

    fn is_value(text: &str) -> Text {
        Text::new("scrape.is_value").with("value", short(text))
    }
}

/// Readers of a node that only configurations have.
pub(crate) trait ReadNode {
    /// A map that may have these keys only. Nothing at all counts as an empty map. `known`: keys that Prometheus
    /// accepts here and we do not; they are refused by name.
    fn fields(&self, keys: &[&str], known: &[&str], problems: &mut Problems<'_>) -> Option<Fields<'_>>;
}

impl ReadNode for Node {
    fn fields(&self, keys: &[&str], known: &[&str], problems: &mut Problems<'_>) -> Option<Fields<'_>> {
        self.open(keys, problems, |key| {
            let message = if known.contains(&key) { "scrape.unsupported_key" } else { "scrape.unknown_key" };
            (Text::new(message).with("key", short(key)), Words::accept_map(&keys.join(", ")))
        })
    }
}

/// Readers of a key that only configurations have.
pub(crate) trait ReadFields<'n> {
    /// A text; `None` when the key is not there or holds nothing.
    fn text(&self, name: &str, problems: &mut Problems<'_>) -> Option<String>;
    /// A secret: its value is in no message.
    fn secret(&self, name: &str, problems: &mut Problems<'_>) -> Option<Secret>;
    /// A duration above zero; `None` when the key is not there or holds none.
    fn duration(&self, name: &str, problems: &mut Problems<'_>) -> Option<Duration>;
    /// `true` or `false`.
    fn truth(&self, name: &str, or: bool, problems: &mut Problems<'_>) -> bool;
    /// A whole number.
    fn whole(&self, name: &str, problems: &mut Problems<'_>) -> Option<u64>;
    /// A list of texts.
    fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<String>;
    /// The pairs of a map with keys of the operator's choice.
    fn pairs(&self, name: &str, problems: &mut Problems<'_>) -> &'n [(Key, Node)];
    /// Says that a key is needed that is not there.
    fn missing(&self, name: &str, problems: &mut Problems<'_>);
}

impl<'n> ReadFields<'n> for Fields<'n> {
    fn text(&self, name: &str, problems: &mut Problems<'_>) -> Option<String> {
        let text = self.get(name)?.text(problems)?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn secret(&self, name: &str, problems: &mut Problems<'_>) -> Option<Secret> {
        self.text(name, problems).map(Secret::new)
    }

    fn duration(&self, name: &str, problems: &mut Problems<'_>) -> Option<Duration> {
        self.get(name)?
            .parsed("scrape.accept.duration", problems, |t| duration::parse(t).filter(|d| !d.is_zero()))
    }

    fn truth(&self, name: &str, or: bool, problems: &mut Problems<'_>) -> bool {
        let Some(node) = self.get(name) else { return or };
        node.parsed("scrape.accept.truth", problems, |t| t.parse().ok()).unwrap_or(or)
    }

    fn whole(&self, name: &str, problems: &mut Problems<'_>) -> Option<u64> {
        self.get(name)?.parsed("scrape.accept.whole", problems, |t| t.parse().ok())
    }

    fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<String> {
        self.items(name, problems).iter().filter_map(|n| Some(n.text(problems)?.to_owned())).collect()
    }

    fn pairs(&self, name: &str, problems: &mut Problems<'_>) -> &'n [(Key, Node)] {
        let entries = |n: &'n Node| n.entries(problems, || Text::new("scrape.accept.map"));
        self.get(name).and_then(entries).unwrap_or_default()
    }

    fn missing(&self, name: &str, problems: &mut Problems<'_>) {
        let message = Text::new("scrape.missing_key").with("key", name);
        self.node.refuse(problems, message, Text::new("scrape.accept.needed").with("key", name));
    }
}
