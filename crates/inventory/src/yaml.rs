//! YAML (and JSON, which is read the same way) as a tree whose every node knows its place.
//!
//! Plain words take the types of YAML 1.1, which is what Ansible reads: `yes` is true, `010` is eight. The event
//! parser is used directly, because tags (`!vault`, `!unsafe`) and quoting decide types. Aliases are put in as
//! copies and count against [`NODES_MAX`].

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::bounds::{DEPTH_MAX, NODES_MAX};
use crate::problem::{Place, Problem, Result, short};
use crate::scalar::plain;
use crate::value::{MapBuilder, Value};

/// One node and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// What stands there.
    pub kind: Kind,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A single value.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map; keys may repeat.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value without places; repeated keys: the last one counts.
    pub fn into_value(self) -> Value {
        match self.kind {
            Kind::Scalar(value) => value,
            Kind::List(items) => Value::List(items.into_iter().map(Node::into_value).collect()),
            Kind::Map(entries) => {
                let mut map = MapBuilder::default();
                for (key, value) in entries {
                    map.put(key.into_value(), value.into_value());
                }
                map.finish()
            }
        }
    }

    /// The text of a scalar that is a text.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(value) => value.as_text(),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Scalar(Value::Null))
    }

    /// The kind in words, for errors.
    pub fn words(&self) -> String {
        match &self.kind {
            Kind::Scalar(value) => match value.key_text() {
                text if matches!(value, Value::Null | Value::Vault(_)) || text.is_empty() => {
                    value.kind().to_owned()
                }
                text => format!("{} ({})", value.kind(), short(&text)),
            },
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// The place of the node in its file.
    pub fn place(&self, file: &Place) -> Place {
        file.at(self.line, self.column)
    }
}

/// Reads one document. `None` when the text holds no node.
pub fn read(text: &str, file: &Place) -> Result<Option<Node>> {
    let json = matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'['))
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let mut reader = Reader { file, json, nodes: 0, anchors: HashMap::new(), open: Vec::new(), root: None };
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| {
            let place = file.at(error.marker().line() as u32, error.marker().col() as u32 + 1);
            place.problem(Problem::Yaml { detail: short(&error.info()) })
        })?;
        reader.event(event, &span)?;
    }
    Ok(reader.root)
}

struct Open {
    line: u32,
    column: u32,
    anchor: usize,
    map: bool,
    /// Items of a list, or keys and values of a map in turn.
    items: Vec<Node>,
}

struct Reader<'f> {
    file: &'f Place,
    json: bool,
    nodes: usize,
    /// Finished nodes under an anchor.
    anchors: HashMap<usize, (Node, Size)>,
    open: Vec<Open>,
    root: Option<Node>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<()> {
        let (line, column) = (span.start.line() as u32, span.start.col() as u32 + 1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref());
                self.push(Node { line, column, kind: Kind::Scalar(value) }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.start(line, column, anchor, false),
            Event::MappingStart(_, anchor, _) => self.start(line, column, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((_, size)) if self.open.len() + size.depth > DEPTH_MAX => {
                    Err(self.file.at(line, column).problem(Problem::TooDeep { max: DEPTH_MAX }))
                }
                Some((node, size)) => self.push(node, 0, size.nodes),
                None => {
                    let detail = "an alias may not stand inside the value it names".to_owned();
                    Err(self.file.at(line, column).problem(Problem::Yaml { detail }))
                }
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                let detail = "a second document; accepted: one document".to_owned();
                Err(self.file.at(line, column).problem(Problem::Yaml { detail }))
            }
            _ => Ok(()),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
        let own = || text.to_owned();
        if let Some(tag) = tag {
            match (tag.core_suffix(), tag.original().as_str()) {
                (_, "!vault" | "!vault-encrypted") => return Value::Vault(own()),
                (_, "!unsafe") => return Value::Unsafe(own()),
                (Some("str"), _) => return Value::Text(own()),
                (Some("float"), _) => {
                    return match plain(text) {
                        Value::Int(number) => Value::Float(number as f64),
                        other => other,
                    };
                }
                (Some("int" | "bool" | "null"), _) => return plain(text),
                (_, "!") => return Value::Text(own()),
                _ => {}
            }
        }
        match style {
            ScalarStyle::Plain if self.json => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::Text(own()))
            }
            ScalarStyle::Plain => plain(text),
            _ => Value::Text(own()),
        }
    }

    fn start(&mut self, line: u32, column: u32, anchor: usize, map: bool) -> Result<()> {
        if self.open.len() >= DEPTH_MAX {
            return Err(self.file.at(line, column).problem(Problem::TooDeep { max: DEPTH_MAX }));
        }
        self.open.push(Open { line, column, anchor, map, items: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = if open.map { Kind::Map(self.pairs(open.items)?) } else { Kind::List(open.items) };
        self.push(Node { line: open.line, column: open.column, kind }, open.anchor, 1)
    }

    /// `size`: how many new nodes this brings in.
    fn push(&mut self, node: Node, anchor: usize, size: usize) -> Result<()> {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            let problem = Problem::TooMany { what: "values", max: NODES_MAX };
            return Err(node.place(self.file).problem(problem));
        }
        if anchor != 0 {
            let size = measure(&node);
            // The copy that is kept counts too, so anchors within anchors cannot grow beyond the bound.
            self.nodes += size.nodes;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(open) => {
                open.items.push(node);
                Ok(())
            }
            None => {
                self.root.get_or_insert(node);
                Ok(())
            }
        }
    }

    /// Keys with their values; what `<<` brings in stands first, so that own keys win.
    fn pairs(&mut self, items: Vec<Node>) -> Result<Vec<(Node, Node)>> {
        let mut own = Vec::with_capacity(items.len() / 2);
        let mut merged = Vec::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if !matches!(key.kind, Kind::Scalar(_)) {
                let detail =
                    "a list or map is no key; accepted: a text, and templates in quotes: \"{{ … }}\"";
                return Err(key.place(self.file).problem(Problem::Yaml { detail: detail.to_owned() }));
            }
            if !matches!(&key.kind, Kind::Scalar(Value::Text(text)) if text == "<<") {
                own.push((key, value));
                continue;
            }
            match value.kind {
                Kind::Map(entries) => merged.extend(entries),
                Kind::List(maps) => {
                    // Of several maps the first one wins, so it stands last.
                    for map in maps.into_iter().rev() {
                        let Kind::Map(entries) = map.kind else { return Err(self.bad_merge(&key)) };
                        merged.extend(entries);
                    }
                }
                Kind::Scalar(_) => return Err(self.bad_merge(&key)),
            }
        }
        if merged.is_empty() {
            return Ok(own);
        }
        merged.extend(own);
        Ok(merged)
    }

    fn bad_merge(&self, key: &Node) -> crate::problem::InventoryError {
        let found = "something else".to_owned();
        key.place(self.file)
            .problem(Problem::Unexpected { expected: "a map or a list of maps after <<", found })
    }
}

/// How large a node is with everything below it.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// Levels of lists and maps.
    depth: usize,
}

fn measure(node: &Node) -> Size {
    let sum = |sizes: &mut dyn Iterator<Item = Size>| {
        let below = sizes.fold(Size::default(), |sum, size| Size {
            nodes: sum.nodes + size.nodes,
            depth: sum.depth.max(size.depth),
        });
        Size { nodes: below.nodes + 1, depth: below.depth + 1 }
    };
    match &node.kind {
        Kind::Scalar(_) => Size { nodes: 1, depth: 0 },
        Kind::List(items) => sum(&mut items.iter().map(measure)),
        Kind::Map(entries) => {
            sum(&mut entries.iter().flat_map(|(key, value)| [measure(key), measure(value)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        read(text, &Place::file("f.yml")).expect("good YAML").expect("a node").into_value()
    }

    #[test]
    fn plain_words_have_the_types_of_yaml_1_1() {
        for (text, wanted) in [
            ("yes", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("010", Value::Int(8)),
            ("0x1F", Value::Int(31)),
            ("1_000", Value::Int(1000)),
            ("1:30", Value::Int(90)),
            ("-3.5", Value::Float(-3.5)),
            ("~", Value::Null),
            ("1e3", Value::Text("1e3".to_owned())),
            ("09", Value::Text("09".to_owned())),
            ("1.2.3", Value::Text("1.2.3".to_owned())),
            ("'yes'", Value::Text("yes".to_owned())),
            ("!!str 12", Value::Text("12".to_owned())),
            ("!unsafe '{{ x }}'", Value::Unsafe("{{ x }}".to_owned())),
            (
                "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61\n",
                Value::Vault("$ANSIBLE_VAULT;1.1;AES256\n61\n".to_owned()),
            ),
        ] {
            assert_eq!(value(text), wanted, "{text}");
        }
    }

    #[test]
    fn json_has_the_types_of_json() {
        let value = value(r#"{"a": 1e3, "b": "yes", "c": null}"#);
        assert_eq!(value.get("a"), Some(&Value::Float(1000.0)));
        assert_eq!(value.get("c"), Some(&Value::Null));
    }

    #[test]
    fn merges_give_way_to_own_keys() {
        let value = value("base: &b {x: 1, y: 2}\nnew:\n  x: 9\n  <<: *b\n");
        let new = value.get("new").expect("new");
        assert_eq!((new.get("x"), new.get("y")), (Some(&Value::Int(9)), Some(&Value::Int(2))));
    }

    #[test]
    fn mistakes_name_their_place() {
        let error = read("a: 1\nb: [1, 2\n", &Place::file("f.yml")).expect_err("open bracket");
        assert!(error.to_string().starts_with("f.yml:"), "{error}");
        let error = read("a: &x [*x]\n", &Place::file("f.yml")).expect_err("alias in itself");
        assert_eq!((error.place.line, error.place.column), (1, 8));
        let error = read("a:\n  b: {{ x }}\n", &Place::file("f.yml")).expect_err("a bare template");
        assert_eq!((error.place.line, error.place.column), (2, 7));
        let error = read("a: 1\n---\nb: 1\n", &Place::file("f.yml")).expect_err("two documents");
        assert_eq!(error.place.line, 2);
    }

    #[test]
    fn bombs_are_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", [before.as_str(); 10].join(", "));
        }
        let error = read(&bomb, &Place::file("f.yml")).expect_err("a bomb");
        assert!(matches!(error.problem, Problem::TooMany { .. }), "{error}");
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for n in 1..100 {
            chain += &format!("a{n}: &a{n} [*a{}]\n", n - 1);
        }
        let error = read(&chain, &Place::file("f.yml")).expect_err("a chain of aliases");
        assert!(matches!(error.problem, Problem::TooDeep { .. }), "{error}");
        let error = read(&"[".repeat(5000), &Place::file("f.yml")).expect_err("too deep");
        assert!(matches!(error.problem, Problem::TooDeep { .. } | Problem::Yaml { .. }), "{error}");
    }
}
