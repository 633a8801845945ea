//! Follows what this host writes and hears: files and container logs, the journal, output of programs, syslog.
//!
//! Lines go out in [`Batch`]es through an [`Outlet`], each with notes of how far its source was read; notes that were
//! committed before come back in at the start. How lines are decoded is `wellkept-logintake`'s affair, where they are
//! kept the store's.
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
