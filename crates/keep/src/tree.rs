//! The YAML text as a tree whose every node knows its place and its key path.
//!
//! Decoding straight into structs would stop at the first mistake. The tree lets the readers go on and report
//! all of them. Budgets against YAML bombs are set here; what the nodes mean is left to the readers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Spanned};
use wellkept_model::Text;

use crate::problem::{Problems, clean};

/// Most bytes a keep file may have.
pub const TEXT_MAX: usize = 1024 * 1024;
/// Most levels of maps and lists within each other.
pub const DEPTH_MAX: usize = 16;
/// Most nodes in a file, with aliases expanded.
pub const NODES_MAX: usize = 50_000;
/// Most aliases (`*name`) in a file.
pub const ALIASES_MAX: usize = 100;
/// Key paths are cut after this many characters.
const PATH_CHARS_MAX: usize = 160;

/// A place in the file, counted from 1 in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters to underline; 0 is shown as 1.
    pub(crate) width: u32,
}

/// A place and the keys that lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What a node holds. Scalars keep the spelling of the file: `1e3` and `yes` are text until a reader asks.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar {
        text: String,
        /// The text stands in the file exactly so (not quoted, not folded), so that places inside it are known.
        exact: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: At,
    pub(crate) text: String,
}

/// Reads the text. A file without any node is an empty map. `None` after a problem that leaves nothing to read.
pub(crate) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > TEXT_MAX {
        let size = text.len().to_string();
        problems.add(
            &At::default(),
            Text::new("keep.too_long").with("bytes", size),
            Text::new("keep.accept.size").with("max", TEXT_MAX),
        );
        return None;
    }
    let raw = match serde_saphyr::from_str_with_options::<Spanned<Raw>>(
        text,
        options(DuplicateKeyPolicy::LastWins),
    ) {
        Ok(raw) => raw,
        Err(Error::Eof { .. }) => return Some(Node { at: At::default(), value: Value::Null }),
        Err(error) => {
            add_yaml_problem(&error, problems);
            return None;
        }
    };
    report_number_like_duplicates(text, problems);
    Some(convert(raw, String::new(), text))
}

/// With `LastWins` the library hands over repeated keys, and the readers report them all; but keys that look like
/// whole numbers it merges first. Those are found by a second, strict pass.
fn report_number_like_duplicates(text: &str, problems: &mut Problems) {
    let strict =
        serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options(DuplicateKeyPolicy::Error));
    if let Err(Error::DuplicateMappingKey { key: Some(key), location }) = strict
        && key.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
    {
        let place = Place {
            line: location.line() as u32,
            column: location.column() as u32,
            width: key.chars().count() as u32,
        };
        let at = At { place, path: shorten(&key) };
        problems.add(
            &at,
            Text::new("keep.duplicate_key").with("key", clean(&key)),
            Text::new("keep.accept.once"),
        );
    }
}

fn options(duplicates: DuplicateKeyPolicy) -> serde_saphyr::Options {
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
            max_total_scalar_bytes: TEXT_MAX,
            max_recorded_anchor_events: NODES_MAX,
            max_recorded_anchor_bytes: TEXT_MAX,
            max_merge_keys: ALIASES_MAX,
        },
        alias_limits: aliases,
        duplicate_keys: duplicates,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        strict_booleans: true,
    }
}

fn add_yaml_problem(error: &Error, problems: &mut Problems) {
    let error = error.without_snippet();
    let place = error.location().map_or(Place::default(), |l| Place {
        line: l.line() as u32,
        column: l.column() as u32,
        width: 1,
    });
    let at = At { place, path: String::new() };
    let limits = Text::new("keep.accept.budget")
        .with("depth", DEPTH_MAX)
        .with("nodes", NODES_MAX)
        .with("aliases", ALIASES_MAX);
    let (message, help) = match behind_aliases(error) {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            (Text::new("keep.documents"), Text::new("keep.accept.yaml"))
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => (Text::new("keep.too_deep"), limits),
        Error::Budget { breach: BudgetBreach::Events { .. } | BudgetBreach::Nodes { .. }, .. } => {
            (Text::new("keep.too_many_values"), limits)
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (Text::new("keep.too_many_aliases"), limits),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (Text::new("keep.alias_to_itself"), Text::new("keep.accept.yaml"))
        }
        // The tree takes every kind of value; only keys must be texts.
        Error::NullIntoString { .. } | Error::Unexpected { .. } => {
            (Text::new("keep.key_not_text"), Text::new("keep.accept.key_text"))
        }
        // The scanner stops before the budget does when brackets are nested too deeply.
        other if detail(other) == "recursion limit exceeded" => (Text::new("keep.too_deep"), limits),
        other => (Text::new("keep.yaml").with("detail", detail(other)), Text::new("keep.accept.yaml")),
    };
    problems.add(&at, message, help);
}

/// What went wrong where an alias was put in; the library wraps it, once for each level of aliases.
fn behind_aliases(error: &Error) -> &Error {
    let mut inner = error;
    while let Error::AliasError { error, .. } = inner {
        inner = error;
    }
    inner
}

/// The words of the library without the place, which is shown anyway.
fn detail(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    clean(line.rsplit_once(" at line ").map_or(line, |(words, _)| words))
}

/// What serde sees before the spelling of plain scalars is taken from the text.
enum Raw {
    Null,
    /// A number or truth word; `shown` is used where the spelling cannot be taken from the text.
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
    let written = slice(source, &raw.defined).unwrap_or_default();
    let (value, width) = match raw.value {
        Raw::Null => (Value::Null, 1),
        Raw::Typed(shown) => {
            let text = if written.is_empty() { shown } else { written.to_owned() };
            let width = text.chars().count();
            (Value::Scalar { text, exact: !written.is_empty() }, width)
        }
        Raw::Text(text) => {
            let width = written.lines().next().unwrap_or_default().trim_end().chars().count();
            let exact = written == text;
            (Value::Scalar { text, exact }, width)
        }
        Raw::List(items) => {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(i, item)| convert(item, shorten(&format!("{path}[{i}]")), source))
                .collect();
            (Value::List(items), 1)
        }
        Raw::Map(entries) => (Value::Map(entries.into_iter().map(|e| entry(e, &path, source)).collect()), 1),
    };
    Node { at: At { place: place(&raw.referenced, width), path }, value }
}

fn entry((key, value): (Spanned<String>, Spanned<Raw>), path: &str, source: &str) -> (Key, Node) {
    let below = shorten(&if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) });
    let width = slice(source, &key.defined).map_or(1, |s| s.trim_end().chars().count());
    let at = At { place: place(&key.referenced, width), path: below.clone() };
    (Key { at, text: key.value }, convert(value, below, source))
}

fn place(location: &serde_saphyr::Location, width: usize) -> Place {
    Place { line: location.line() as u32, column: location.column() as u32, width: width as u32 }
}

fn slice<'s>(source: &'s str, location: &serde_saphyr::Location) -> Option<&'s str> {
    let from = usize::try_from(location.span().byte_offset()?).ok()?;
    let len = usize::try_from(location.span().byte_len()?).ok()?;
    source.get(from..from.checked_add(len)?)
}

fn shorten(path: &str) -> String {
    if path.chars().count() <= PATH_CHARS_MAX {
        return path.to_owned();
    }
    path.chars().take(PATH_CHARS_MAX).chain(['…']).collect()
}
