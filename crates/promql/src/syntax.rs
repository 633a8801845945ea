//! PromQL's text: from characters to a checked tree, and back.
//!
//! The parser is our own (recursive descent), because a query is a stranger's text: depth, operators, patterns and
//! length are bounded while it is read, types are checked while the tree grows, and positions are kept for warnings.

pub(crate) mod check;
pub(crate) mod duration;
pub(crate) mod functions;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod parse;
mod parse_call;
mod parse_selector;
mod parse_suffix;
pub(crate) mod pretty;
pub(crate) mod print;
pub(crate) mod quote;
pub(crate) mod token;
pub(crate) mod tree;
