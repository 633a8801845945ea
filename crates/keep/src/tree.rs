//! The bounds of a keep file, and what is said when it is no YAML or breaks one of them.

use wellkept_model::Text;
use wellkept_yamltree::{Cause, Dialect, Limits, Merging, Mistakes, Unreadable};

pub(crate) use wellkept_yamltree::{At, Key, Node, Place, Value, read};

use crate::problem::clean;

/// Most bytes a keep file may have.
pub const TEXT_MAX: usize = 1024 * 1024;
/// Most levels of maps and lists within each other.
pub const DEPTH_MAX: usize = 16;
/// Most nodes in a file, with aliases expanded.
pub const NODES_MAX: usize = 50_000;
/// Most aliases (`*name`) in a file.
pub const ALIASES_MAX: usize = 100;

/// The words of keep files.
pub(crate) struct Words;

impl Dialect for Words {
    type Errors = Mistakes;
    const LIMITS: Limits = Limits {
        text: TEXT_MAX,
        depth: DEPTH_MAX,
        nodes: NODES_MAX,
        aliases: ALIASES_MAX,
        path_chars: 160,
        merging: Merging::AsWritten,
    };

    fn shown(value: &str) -> String {
        clean(value)
    }

    fn unreadable(why: &Unreadable) -> (Text, Text) {
        let yaml = Text::new("keep.accept.yaml");
        let limits = Text::new("keep.accept.budget")
            .with("depth", DEPTH_MAX)
            .with("nodes", NODES_MAX)
            .with("aliases", ALIASES_MAX);
        match &why.cause {
            Cause::TooLong(bytes) => {
                let size = Text::new("keep.accept.size").with("max", TEXT_MAX);
                (Text::new("keep.too_long").with("bytes", bytes), size)
            }
            Cause::Documents => (Text::new("keep.documents"), yaml),
            Cause::TooDeep => (Text::new("keep.too_deep"), limits),
            Cause::TooManyValues => (Text::new("keep.too_many_values"), limits),
            Cause::TooManyAliases => (Text::new("keep.too_many_aliases"), limits),
            Cause::AliasToItself => (Text::new("keep.alias_to_itself"), yaml),
            Cause::KeyNotText => (Text::new("keep.key_not_text"), Text::new("keep.accept.key_text")),
            Cause::KeyTwice(key) => {
                (Text::new("keep.duplicate_key").with("key", clean(key)), Text::new("keep.accept.once"))
            }
            Cause::Syntax => (Text::new("keep.yaml").with("detail", clean(&why.detail)), yaml),
        }
    }

    fn is(value: &Value) -> Text {
        match value {
            Value::Null => Text::new("keep.is_nothing"),
            Value::List(_) => Text::new("keep.is_list"),
            Value::Map(_) => Text::new("keep.is_map"),
            Value::Scalar { text, .. } => Text::new("keep.is_value").with("value", clean(text)),
        }
    }

    fn accept_map(keys: &str) -> Text {
        Text::new("keep.accept.map").with("keys", keys)
    }

    fn errors(mistakes: Mistakes) -> Mistakes {
        mistakes
    }
}
