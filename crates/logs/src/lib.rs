//! What is done with lines of logs, once they are decoded: split into templates, stored, counted, and watched.
//!
//! [`Logs`] joins the log store with the one miner of this host. Whoever brings lines calls [`Logs::commit`], which
//! returns when they are on disk; bodies that come over HTTP go through [`Logs::push`]. What is learned (templates, what
//! is usual, what a person marked as harmless) is kept beside the store, so that ids and habits outlive a restart.
//!
//! No clock and no thread: the caller gives the time, and calls [`Logs::upkeep`] every few seconds.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod counts;
mod door;
mod house;
mod learned;
mod marks;
mod miner;
mod oddities;
mod sessions;
mod watches;

pub use door::{LogBody, LogFormat, LogReply};
pub use house::{Logs, LogsConfig, LogsError, LogsStatus};
pub use marks::{Mark, MarkError, kind_of_word, parameter_of, word_of};
pub use oddities::Told;
pub use watches::Seen;
