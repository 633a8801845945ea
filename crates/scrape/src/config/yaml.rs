//! YAML as a tree whose every node knows its place and the keys that lead to it, and small readers over it.
//!
//! Decoding straight into structs would stop at the first mistake. The tree has no `Debug`: it holds passwords.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};
use wellkept_model::Text;

use super::problem::{Place, Problems, short};
use crate::duration;
use crate::secret::Secret;

/// Most bytes of a file.
pub const FILE_MAX: usize = 4 << 20;
/// Most levels of maps and lists within each other.
const DEPTH_MAX: usize = 16;
/// Most nodes of a file, with aliases expanded.
const NODES_MAX: usize = 400_000;
/// Most aliases (`*name`) of a file.
const ALIASES_MAX: usize = 1000;

/// One node.
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    Null,
    /// With the spelling of the file where that is known: `1e3` and `yes` are text until a reader asks.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Reads a file's text. `None` after a problem that leaves nothing to read; an empty file is an empty node.
pub(crate) fn read(text: &str, problems: &mut Problems<'_>) -> Option<Node> {
    if text.len() > FILE_MAX {
        let message = Text::new("scrape.file_too_long").with("bytes", text.len());
        problems.add(Place::default(), "", message, Text::new("scrape.accept.size").with("max", FILE_MAX));
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(raw) => Some(convert(raw, String::new(), text)),
        Err(Error::Eof { .. }) => {
            Some(Node { place: Place::default(), path: String::new(), value: Value::Null })
        }
        Err(error) => {
            let error = error.without_snippet();
            let place = error.location().map_or(Place::default(), |l| place(&l));
            let words = error.to_string();
            let line = words.lines().next().unwrap_or_default();
            let detail = line.rsplit_once(" at line ").map_or(line, |(before, _)| before);
            let message = Text::new("scrape.yaml").with("detail", short(detail));
            let accepted = Text::new("scrape.accept.yaml").with("depth", DEPTH_MAX).with("nodes", NODES_MAX);
            problems.add(place, "", message, accepted);
            None
        }
    }
}

fn options() -> serde_saphyr::Options {
    let aliases = {
        let mut limits = AliasLimits::default();
        limits.max_total_replayed_events = NODES_MAX;
        limits.max_replay_stack_depth = 8;
        limits.max_alias_expansions_per_anchor = ALIASES_MAX;
        limits
    };
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: NODES_MAX * 2,
            max_nodes: NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: 1,
            max_total_scalar_bytes: FILE_MAX,
            max_recorded_anchor_events: NODES_MAX,
            max_recorded_anchor_bytes: FILE_MAX,
            max_merge_keys: ALIASES_MAX,
        },
        alias_limits: aliases,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        strict_booleans: true,
    }
}

/// What serde sees before the spelling of plain scalars is taken from the text.
enum Raw {
    Null,
    Typed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

macro_rules! typed {
    ($($name:ident: $type:ty),*) => { $(
        fn $name<E>(self, value: $type) -> Result<Raw, E> {
            Ok(Raw::Typed(value.to_string()))
        }
    )* };
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    typed!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64);

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Depth is bounded by [`DEPTH_MAX`] and nodes by [`NODES_MAX`], so the recursion is too.
fn convert(raw: Spanned<Raw>, path: String, source: &str) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Typed(shown) => Value::Scalar(slice(source, &raw.defined).map_or(shown, str::to_owned)),
        Raw::Text(text) => Value::Scalar(text),
        Raw::List(items) => {
            let items = items.into_iter().enumerate();
            Value::List(items.map(|(i, item)| convert(item, format!("{path}[{i}]"), source)).collect())
        }
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let dot = if path.is_empty() { "" } else { "." };
                    let below = short(&format!("{path}{dot}{}", key.value));
                    let at = place(&key.referenced);
                    (Key { place: at, text: key.value }, convert(value, below, source))
                })
                .collect(),
        ),
    };
    Node { place: place(&raw.referenced), path, value }
}

fn place(location: &Location) -> Place {
    Place { line: location.line() as u32, column: location.column() as u32 }
}

fn slice<'s>(source: &'s str, location: &Location) -> Option<&'s str> {
    let from = usize::try_from(location.span().byte_offset()?).ok()?;
    let len = usize::try_from(location.span().byte_len()?).ok()?;
    source.get(from..from.checked_add(len)?).filter(|s| !s.is_empty())
}

impl Node {
    /// Says that this node is wrong.
    pub(crate) fn refuse(&self, problems: &mut Problems<'_>, message: Text, accepted: Text) {
        problems.add(self.place, &self.path, message, accepted);
    }

    fn wrong_kind(&self, problems: &mut Problems<'_>, accepted: Text) {
        let message = match &self.value {
            Value::Null => Text::new("scrape.is_nothing"),
            Value::List(_) => Text::new("scrape.is_list"),
            Value::Map(_) => Text::new("scrape.is_map"),
            Value::Scalar(_) => Text::new("scrape.is_text"),
        };
        self.refuse(problems, message, accepted);
    }

    /// A map that may have these keys only. Nothing at all counts as an empty map. `known`: keys that Prometheus
    /// accepts here and we do not; they are refused by name.
    pub(crate) fn fields(
        &self,
        keys: &[&str],
        known: &[&str],
        problems: &mut Problems<'_>,
    ) -> Option<Fields<'_>> {
        let accepted = || Text::new("scrape.accept.keys").with("keys", keys.join(", "));
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                self.wrong_kind(problems, accepted());
                return None;
            }
        };
        for (key, node) in entries {
            let word = key.text.as_str();
            if !keys.contains(&word) {
                let message =
                    if known.contains(&word) { "scrape.unsupported_key" } else { "scrape.unknown_key" };
                problems.add(key.place, &node.path, Text::new(message).with("key", short(word)), accepted());
            }
        }
        Some(Fields { node: self, entries })
    }

    /// The items of a list; nothing at all is an empty list.
    pub(crate) fn items(&self, problems: &mut Problems<'_>) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wrong_kind(problems, Text::new("scrape.accept.list"));
                &[]
            }
        }
    }

    /// A text; numbers and truth words count as the text that stands there.
    pub(crate) fn text(&self, problems: &mut Problems<'_>) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Null => Some(""),
            _ => {
                self.wrong_kind(problems, Text::new("scrape.accept.text"));
                None
            }
        }
    }

    /// What `parse` makes of the text, or a problem that says what is accepted.
    pub(crate) fn parsed<T>(
        &self,
        accepted: &str,
        problems: &mut Problems<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(problems)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let message = Text::new("scrape.is_value").with("value", short(text));
            self.refuse(problems, message, Text::new(accepted));
        }
        parsed
    }
}

/// A map whose keys have been checked.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    pub(crate) node: &'n Node,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// A text; `None` when the key is not there or holds nothing.
    pub(crate) fn text(&self, name: &str, problems: &mut Problems<'_>) -> Option<String> {
        let text = self.get(name)?.text(problems)?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A secret: its value is in no message.
    pub(crate) fn secret(&self, name: &str, problems: &mut Problems<'_>) -> Option<Secret> {
        self.text(name, problems).map(Secret::new)
    }

    /// A duration above zero; `None` when the key is not there or holds none.
    pub(crate) fn duration(&self, name: &str, problems: &mut Problems<'_>) -> Option<Duration> {
        self.get(name)?
            .parsed("scrape.accept.duration", problems, |t| duration::parse(t).filter(|d| !d.is_zero()))
    }

    /// `true` or `false`.
    pub(crate) fn truth(&self, name: &str, or: bool, problems: &mut Problems<'_>) -> bool {
        let Some(node) = self.get(name) else { return or };
        node.parsed("scrape.accept.truth", problems, |t| t.parse().ok()).unwrap_or(or)
    }

    /// A whole number.
    pub(crate) fn whole(&self, name: &str, problems: &mut Problems<'_>) -> Option<u64> {
        self.get(name)?.parsed("scrape.accept.whole", problems, |t| t.parse().ok())
    }

    /// The items of a list, none when the key is not there.
    pub(crate) fn items(&self, name: &str, problems: &mut Problems<'_>) -> &'n [Node] {
        self.get(name).map_or(&[], |n| n.items(problems))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<String> {
        self.items(name, problems).iter().filter_map(|n| Some(n.text(problems)?.to_owned())).collect()
    }

    /// The pairs of a map with keys of the operator's choice.
    pub(crate) fn pairs(&self, name: &str, problems: &mut Problems<'_>) -> &'n [(Key, Node)] {
        match self.get(name).map(|n| (n, &n.value)) {
            None | Some((_, Value::Null)) => &[],
            Some((_, Value::Map(entries))) => entries,
            Some((node, _)) => {
                node.wrong_kind(problems, Text::new("scrape.accept.map"));
                &[]
            }
        }
    }

    /// Says that a key is needed that is not there.
    pub(crate) fn missing(&self, name: &str, problems: &mut Problems<'_>) {
        let message = Text::new("scrape.missing_key").with("key", name);
        self.node.refuse(problems, message, Text::new("scrape.accept.needed").with("key", name));
    }
}
