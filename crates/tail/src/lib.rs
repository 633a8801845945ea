//! Follows what this host writes and hears: files, the journal, syslog.
#![forbid(unsafe_code)]

mod batch;
mod ledger;
mod pipe;
pub mod container;
pub mod files;
#[cfg(test)]
mod testing;

pub use batch::{Batch, CommitError, Note, Outlet};
pub use ledger::Position;
pub use pipe::{Pipe, PipeConfig, PipeCounts};
