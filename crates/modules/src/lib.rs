//! Ansible's modules, natively: what one task does on the host that this process runs on.
//!
//! Arguments, results, idempotence, check mode and diff are those of ansible-core 2.19, so that playbooks written for it
//! see no difference. Programs are started by argument vector (only `shell` takes a line), everything that is read has
//! a bound, and files are replaced as a whole. Choosing the task, rendering its templates, taking rights and reaching
//! the host are left to others: [`run`] gets a [`Call`] in which nothing is left to decide.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod base;
mod call;
mod context;
mod modules;
mod run;
mod spec;

pub use call::{Call, NoFiles, Source, SourceEntry, SourceKind};
pub use context::Context;
pub use modules::slurp::fetched;
pub use run::{find, known, run};
pub use spec::{Arg, FILE_ARGS, Kind, ModuleSpec, Preset, Rule};
