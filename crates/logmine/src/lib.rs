//! Templates of log lines, mined in one pass, and what is odd about them.

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
