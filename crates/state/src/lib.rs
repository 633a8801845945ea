//! What must outlive a restart: the data directory and `state.db` in it.
//!
//! SQLite holds what is small and must be exact: incidents, the action journal, changes, the stop switch, the audit
//! chain and what was learned. Every commit is on disk before the call returns (`WAL`, `synchronous=FULL`), because
//! an action may only begin after its journal record is safe. Copies of kept files lie beside it, one file per
//! content. Samples belong to `wellkept-tsdb`. This crate reads no clock: every record takes its time as argument.
#![forbid(unsafe_code)]

mod error;
mod disk;
mod datadir;
pub mod freeze_file;
mod db;
mod schema;
mod incidents;
mod journal;
mod audit;
mod freeze;
mod changes;
mod learn;
mod blobs;
mod files;
mod keydiff;

pub use audit::{AuditBreak, AuditHead, AuditRecord, AuditReport};
pub use blobs::FILE_BYTES_MAX;
pub use datadir::{DataDir, FORMAT, Token, read_token};
pub use db::StateDb;
pub use error::StateError;
pub use files::{FileMeta, FileVersion, FileVersions, VERSIONS_PER_PATH_MAX};
pub use freeze::Frozen;
pub use incidents::LoadedIncidents;
pub use journal::{BegunAction, JournalEntry, JournalOutcome};
pub use keydiff::{KeyDiff, diff_keys};
pub use schema::SCHEMA_VERSION;
