//! Templates of log lines, mined in one pass, and what is odd about them.
//!
//! [`Miner`] takes lines in order and splits each into a shape and its parameters, which together are the line byte
//! for byte. No rule knows any program: values are masked by their looks, then words become parameters by their
//! neighbours, then templates become one by their texts. One setting serves all logs.
//!
//! An id stands for a template from its first line on. When templates turn out to be one, the older id stays and the
//! merge is told ([`Miner::take_merges`]); a line that was given the other id is renamed by [`Miner::resolve`]. So the
//! final text of an early line may be known only later: ask for texts after [`Miner::settle`].
//!
//! Left to others: reading files and sockets, storing lines, showing findings.

#![forbid(unsafe_code)]

pub mod anomaly;
mod form;
mod generalise;
mod hash;
pub mod header;
mod lex;
mod mask;
mod mine;
mod miner;
mod normal;
mod state;
mod text;

pub use mine::{Mined, MinedLine, Mining, params};
pub use miner::{Bounds, Counts, Merge, Miner, OVERFLOW, Template};
pub use normal::{VARIABLE, normal_form};
pub use state::StateError;
