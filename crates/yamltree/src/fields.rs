//! Small readers that formats share: maps with known keys, lists, texts.
//!
//! Each reports what is wrong with a node and gives `None` then, so that reading can go on.

use wellkept_model::Text;

use crate::problem::{Dialect, Problems};
use crate::tree::{Key, Node, Value};

/// Formats in which nothing at all is an empty text, and any single value is a text.
pub trait Lenient: Dialect {
    /// Catalogue key for: a list is accepted.
    const ACCEPT_LIST: &'static str;
    /// Catalogue key for: a text is accepted.
    const ACCEPT_TEXT: &'static str;

    /// Says which value cannot be used.
    fn is_value(text: &str) -> Text;
}

impl Node {
    /// Says that this node is wrong.
    pub fn refuse<D: Dialect>(&self, problems: &mut Problems<'_, D>, message: Text, accepted: Text) {
        problems.add(&self.at, message, accepted);
    }

    /// Says what the node is and what would be accepted.
    pub fn wrong_kind<D: Dialect>(&self, problems: &mut Problems<'_, D>, accepted: Text) {
        self.refuse(problems, D::is(&self.value), accepted);
    }

    /// The entries of a map. Nothing at all counts as an empty map.
    pub fn entries<D: Dialect>(
        &self,
        problems: &mut Problems<'_, D>,
        accepted: impl FnOnce() -> Text,
    ) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null => Some(&[]),
            _ => {
                self.wrong_kind(problems, accepted());
                None
            }
        }
    }

    /// A map that may have these keys only; `unknown` says what is wrong with another and what is accepted.
    pub fn open<D: Dialect>(
        &self,
        keys: &[&str],
        problems: &mut Problems<'_, D>,
        unknown: impl Fn(&str) -> (Text, Text),
    ) -> Option<Fields<'_>> {
        let entries = self.entries(problems, || D::accept_map(&keys.join(", ")))?;
        for (key, _) in entries {
            if !keys.contains(&key.text.as_str()) {
                let (message, accepted) = unknown(&key.text);
                problems.add(&key.at, message, accepted);
            }
        }
        Some(Fields { node: self, entries })
    }

    /// The items of a list; nothing at all is an empty list.
    pub fn items<D: Lenient>(&self, problems: &mut Problems<'_, D>) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wrong_kind(problems, Text::new(D::ACCEPT_LIST));
                &[]
            }
        }
    }

    /// A text; numbers and truth words count as the text that stands there.
    pub fn text<D: Lenient>(&self, problems: &mut Problems<'_, D>) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Null => Some(""),
            _ => {
                self.wrong_kind(problems, Text::new(D::ACCEPT_TEXT));
                None
            }
        }
    }

    /// What `parse` makes of the text, or a problem that says what is accepted.
    pub fn parsed<T, D: Lenient>(
        &self,
        accepted: &str,
        problems: &mut Problems<'_, D>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(problems)?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.refuse(problems, D::is_value(text), Text::new(accepted));
        }
        parsed
    }
}

/// A map whose keys have been checked.
#[derive(Clone, Copy)]
pub struct Fields<'n> {
    /// The map.
    pub node: &'n Node,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// The key itself, for its place.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'n Key> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key)
    }

    /// The items of a list, none when the key is not there.
    pub fn items<D: Lenient>(&self, name: &str, problems: &mut Problems<'_, D>) -> &'n [Node] {
        self.get(name).map_or(&[], |n| n.items(problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;
    use crate::read::tests::Plain;

    fn tree(text: &str) -> Node {
        read(text, &mut Problems::<Plain>::new("f")).expect("a tree")
    }

    fn found(problems: Problems<'_, Plain>) -> Vec<String> {
        let mistakes = problems.finish(()).err().map(|m| m.found).unwrap_or_default();
        mistakes.iter().map(|f| format!("{} {} {}", f.at.path, f.message.key, f.accepted.key)).collect()
    }

    #[test]
    fn a_map_tells_the_keys_that_it_may_not_have() {
        let root = tree("a: 1\nx: 2\n");
        let mut problems = Problems::new("f");
        let unknown = |_: &str| (Text::new("unknown"), Text::new("keys"));
        let fields = root.open(&["a", "b"], &mut problems, unknown).expect("a map");
        assert!(fields.get("a").is_some() && fields.get("b").is_none());
        assert_eq!(fields.key("a").map(|k| k.at.place.column), Some(1));
        assert_eq!(found(problems), ["x unknown keys"]);
    }

    #[test]
    fn nothing_is_an_empty_map_list_and_text() {
        let root = tree("");
        let mut problems = Problems::<Plain>::new("f");
        assert_eq!(root.entries(&mut problems, || Text::new("x")).map(<[_]>::len), Some(0));
        assert_eq!(root.items(&mut problems).len(), 0);
        assert_eq!(root.text(&mut problems), Some(""));
        assert!(found(problems).is_empty());
    }

    #[test]
    fn what_is_of_another_kind_is_told_with_what_is_accepted() {
        let root = tree("a: [1]\nb: 1\n");
        let mut problems = Problems::<Plain>::new("f");
        let fields =
            root.open(&["a", "b"], &mut problems, |_| (Text::new("u"), Text::new("k"))).expect("map");
        assert_eq!(fields.get("a").and_then(|n| n.text(&mut problems)), None);
        assert_eq!(fields.items("b", &mut problems).len(), 0);
        let number = |n: &Node, p: &mut _| n.parsed("number", p, |t| t.parse::<u8>().ok());
        assert_eq!(fields.get("b").and_then(|n| number(n, &mut problems)), Some(1));
        assert_eq!(number(&tree("a: x"), &mut problems), None);
        assert_eq!(found(problems), [" is accept.text", "a is accept.text", "b is accept.list"]);
    }
}
