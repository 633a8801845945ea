//! Follows what this host writes and hears: files, the journal, syslog.
#![forbid(unsafe_code)]

mod batch;
mod ledger;
mod pipe;
mod source;
pub mod journal;
pub mod listen;
pub mod stdout;
pub mod container;
pub mod files;
#[cfg(test)]
mod testing;

pub use batch::{Batch, CommitError, Note, Outlet};
pub use ledger::Position;
pub use pipe::{Pipe, PipeConfig, PipeCounts};
pub use source::Clock;
