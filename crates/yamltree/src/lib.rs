//! YAML as a tree whose every node knows its place and the keys that lead to it, and what is wrong in it.
//!
//! Decoding straight into structs would stop at the first mistake. The tree lets the readers of a format go on and
//! report all of them. Pure: text in, a tree or problems out. What the nodes of a format mean, and every word that a
//! person reads, is left to the crate of the format, which says it in its [`Dialect`].
#![forbid(unsafe_code)]

mod fields;
mod nearest;
mod problem;
mod raw;
mod read;
mod tree;

pub use fields::{Fields, Lenient};
pub use nearest::nearest;
pub use problem::{Dialect, Found, Mistakes, PROBLEMS_MAX, Problems, cut, one_line};
pub use read::{Cause, Limits, Merging, Unreadable, read};
pub use tree::{At, Key, Node, Place, Value};
