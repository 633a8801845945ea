//! The tree. It has no `Debug`: a file may hold passwords.

/// A place in a file, counted from 1 in characters; line 0 when the whole file is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when the whole file is meant.
    pub column: u32,
    /// Characters that are meant, for underlining; 0 is shown as 1.
    pub width: u32,
}

/// A place and the keys that lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct At {
    /// Where.
    pub place: Place,
    /// For example `groups[0].rules[3].for`; empty for the whole file.
    pub path: String,
}

/// One node.
#[derive(Clone)]
pub struct Node {
    /// Where it stands.
    pub at: At,
    /// What it holds.
    pub value: Value,
}

/// What a node holds. Scalars keep the spelling of the file: `1e3` and `yes` are text until a reader asks.
#[derive(Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// A single value.
    Scalar {
        /// As it is spelled in the file, without quotes.
        text: String,
        /// The text stands in the file exactly so (not quoted, not folded), so that places inside it are known.
        exact: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone)]
pub struct Key {
    /// Where it stands; the path ends with the key itself.
    pub at: At,
    /// The key.
    pub text: String,
}
