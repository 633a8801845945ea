//! Reads a text into the tree, within bounds, and says why nothing could be read.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Spanned};

use crate::problem::{Dialect, Problems, cut};
use crate::raw::{Converter, Raw, place};
use crate::tree::{At, Node, Place, Value};

/// Bounds of a file against texts that grow while they are read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a file.
    pub text: usize,
    /// Most levels of maps and lists within each other.
    pub depth: usize,
    /// Most nodes of a file, with aliases expanded.
    pub nodes: usize,
    /// Most aliases (`*name`) of a file.
    pub aliases: usize,
    /// Key paths are cut after this many characters.
    pub path_chars: usize,
    /// What becomes of `<<` and of keys that are given twice.
    pub merging: Merging,
}

/// What becomes of `<<` and of keys that are given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// `<<` merges maps; the first key that is given twice ends reading.
    Merged,
    /// Both are handed over as they stand, so that the readers can report each of them.
    AsWritten,
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The kind of mistake.
    pub cause: Cause,
    /// The words of the YAML library without the place, which is shown anyway.
    pub detail: String,
}

/// The kind of mistake that ends reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The text has this many bytes.
    TooLong(usize),
    /// A second document begins.
    Documents,
    /// Too many levels.
    TooDeep,
    /// Too many nodes.
    TooManyValues,
    /// Too many aliases, or too much behind them.
    TooManyAliases,
    /// An alias stands for something that holds it.
    AliasToItself,
    /// A key is no text.
    KeyNotText,
    /// This key, which looks like a whole number, is given twice; only under [`Merging::AsWritten`].
    KeyTwice(String),
    /// It is no YAML.
    Syntax,
}

/// Reads the text. A file without any node is an empty node. `None` after a problem that leaves nothing to read.
pub fn read<D: Dialect>(text: &str, problems: &mut Problems<'_, D>) -> Option<Node> {
    let limits = D::LIMITS;
    if text.len() > limits.text {
        say(problems, &At::default(), Cause::TooLong(text.len()), String::new());
        return None;
    }
    let first_pass = match limits.merging {
        Merging::Merged => DuplicateKeyPolicy::Error,
        Merging::AsWritten => DuplicateKeyPolicy::LastWins,
    };
    let raw = match parse(text, &limits, first_pass) {
        Ok(raw) => raw,
        Err(Error::Eof { .. }) => return Some(Node { at: At::default(), value: Value::Null }),
        Err(error) => {
            let error = error.without_snippet();
            let place = error.location().map_or(Place::default(), |l| place(&l, 1));
            let inner = behind_aliases(error);
            say(problems, &At { place, path: String::new() }, cause(inner), detail(inner));
            return None;
        }
    };
    if limits.merging == Merging::AsWritten {
        report_number_like_duplicates(text, &limits, problems);
    }
    Some(Converter { source: text, path_chars_max: limits.path_chars }.node(raw, String::new()))
}

fn say<D: Dialect>(problems: &mut Problems<'_, D>, at: &At, cause: Cause, detail: String) {
    let (message, accepted) = D::unreadable(&Unreadable { cause, detail });
    problems.add(at, message, accepted);
}

/// With `LastWins` the library hands over repeated keys, and the readers report them all; but keys that look like
/// whole numbers it merges first. Those are found by a second, strict pass.
fn report_number_like_duplicates<D: Dialect>(text: &str, limits: &Limits, problems: &mut Problems<'_, D>) {
    let strict = parse(text, limits, DuplicateKeyPolicy::Error);
    if let Err(Error::DuplicateMappingKey { key: Some(key), location }) = strict
        && key.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
    {
        let at = At { place: place(&location, key.chars().count()), path: cut(&key, limits.path_chars) };
        say(problems, &at, Cause::KeyTwice(key), String::new());
    }
}

fn parse(text: &str, limits: &Limits, duplicates: DuplicateKeyPolicy) -> Result<Spanned<Raw>, Error> {
    let aliases = {
        let mut aliases = AliasLimits::default();
        aliases.max_total_replayed_events = limits.nodes;
        aliases.max_replay_stack_depth = 8;
        aliases.max_alias_expansions_per_anchor = limits.aliases;
        aliases
    };
    let merge_keys = match limits.merging {
        Merging::Merged => MergeKeyPolicy::Merge,
        Merging::AsWritten => MergeKeyPolicy::AsOrdinary,
    };
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: limits.nodes * 2,
            max_nodes: limits.nodes,
            max_aliases: limits.aliases,
            max_anchors: limits.aliases,
            max_depth: limits.depth,
            flow_nesting_limit: limits.depth,
            max_documents: 1,
            max_total_scalar_bytes: limits.text,
            max_recorded_anchor_events: limits.nodes,
            max_recorded_anchor_bytes: limits.text,
            max_merge_keys: limits.aliases,
        },
        alias_limits: aliases,
        duplicate_keys: duplicates,
        merge_keys: merge_keys,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn cause(error: &Error) -> Cause {
    match error {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            Cause::Documents
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => Cause::TooDeep,
        Error::Budget { breach: BudgetBreach::Events { .. } | BudgetBreach::Nodes { .. }, .. } => {
            Cause::TooManyValues
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Cause::TooManyAliases,
        Error::RecursiveReferencesRequireWeakTypes { .. } => Cause::AliasToItself,
        // The tree takes every kind of value; only keys must be texts.
        Error::NullIntoString { .. } | Error::Unexpected { .. } => Cause::KeyNotText,
        // The scanner stops before the budget does when brackets are nested too deeply.
        other if detail(other) == "recursion limit exceeded" => Cause::TooDeep,
        _ => Cause::Syntax,
    }
}

/// What went wrong where an alias was put in; the library wraps it, once for each level of aliases.
fn behind_aliases(error: &Error) -> &Error {
    let mut inner = error;
    while let Error::AliasError { error, .. } = inner {
        inner = error;
    }
    inner
}

fn detail(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once(" at line ").map_or(line, |(words, _)| words).to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use wellkept_model::Text;

    use super::*;
    use crate::fields::Lenient;
    use crate::problem::Mistakes;

    /// Says the cause as it is; keys are merged.
    pub(crate) struct Plain;
    /// The same; keys stand as written.
    struct Written;

    const SMALL: Limits =
        Limits { text: 4096, depth: 5, nodes: 200, aliases: 8, path_chars: 40, merging: Merging::Merged };

    macro_rules! dialect {
        ($name:ident, $limits:expr) => {
            impl Dialect for $name {
                type Errors = Mistakes;
                const LIMITS: Limits = $limits;
                fn shown(value: &str) -> String {
                    cut(value, 40)
                }
                fn unreadable(why: &Unreadable) -> (Text, Text) {
                    (Text::new(&format!("{:?}", why.cause)), Text::new("yaml"))
                }
                fn is(_: &Value) -> Text {
                    Text::new("is")
                }
                fn accept_map(_: &str) -> Text {
                    Text::new("accept.map")
                }
                fn errors(mistakes: Mistakes) -> Mistakes {
                    mistakes
                }
            }
        };
    }
    dialect!(Plain, SMALL);
    dialect!(Written, Limits { merging: Merging::AsWritten, ..SMALL });

    impl Lenient for Plain {
        const ACCEPT_LIST: &'static str = "accept.list";
        const ACCEPT_TEXT: &'static str = "accept.text";
        fn is_value(_: &str) -> Text {
            Text::new("is")
        }
    }

    fn causes<D: Dialect<Errors = Mistakes>>(text: &str) -> Vec<String> {
        let mut problems = Problems::<D>::new("f");
        read(text, &mut problems);
        let found = problems.finish(()).err().map(|m| m.found).unwrap_or_default();
        found.into_iter().map(|f| f.message.key).collect()
    }

    fn map(node: &Node) -> Vec<(&str, &Node)> {
        match &node.value {
            Value::Map(entries) => entries.iter().map(|(k, n)| (k.text.as_str(), n)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_node_knows_its_place_and_path() {
        let root = read("a:\n  - b: 1e3\n", &mut Problems::<Plain>::new("f")).expect("a tree");
        let Value::List(items) = &map(&root)[0].1.value else { panic!("a list") };
        let (_, value) = map(&items[0])[0];
        assert_eq!(value.at.path, "a[0].b");
        assert_eq!(value.at.place, Place { line: 2, column: 8, width: 3 });
        assert!(
            matches!(&value.value, Value::Scalar { text, exact: true } if text == "1e3"),
            "spelling is kept"
        );
    }

    #[test]
    fn what_ends_reading_is_named() {
        let bomb = "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n";
        for (text, cause) in [
            ("x".repeat(5000), "TooLong(5000)"),
            ("a: 1\n---\nb: 2\n".to_owned(), "Documents"),
            ("a: {b: {c: {d: {e: {f: 1}}}}}".to_owned(), "TooDeep"),
            ("[".repeat(1000), "TooDeep"),
            (format!("[{}]", "1,".repeat(300)), "TooManyValues"),
            (bomb.to_owned(), "TooManyAliases"),
            ("{[1]: 2}".to_owned(), "KeyNotText"),
            ("a: 1\na: 2\n".to_owned(), "Syntax"),
            ("a: \"".to_owned(), "Syntax"),
        ] {
            assert_eq!(causes::<Plain>(&text), [cause], "{text}");
        }
    }

    #[test]
    fn keys_are_merged_or_handed_over_as_written() {
        let text = "a: &a {x: 1}\nb: {<<: *a, y: 2}\n";
        let keys = |root: Node| map(map(&root)[1].1).iter().map(|(k, _)| (*k).to_owned()).collect::<Vec<_>>();
        let mut merged = keys(read(text, &mut Problems::<Plain>::new("f")).expect("a tree"));
        merged.sort();
        assert_eq!(merged, ["x", "y"]);
        assert_eq!(keys(read(text, &mut Problems::<Written>::new("f")).expect("a tree")), ["<<", "y"]);
        let twice = read("a: 1\na: 2\n", &mut Problems::<Written>::new("f")).expect("a tree");
        assert_eq!(map(&twice).len(), 2);
        assert_eq!(causes::<Written>("7: 1\n7: 2\n"), ["KeyTwice(\"7\")"]);
    }
}
