//! The list of modules; each has a file.

mod command;
mod copy;
mod copy_place;
mod copy_remote;
mod file;
mod file_times;
mod stat;

use crate::spec::ModuleSpec;

/// All modules.
pub(crate) const KNOWN: &[ModuleSpec] =
    &[command::COMMAND, command::SHELL, copy::SPEC, file::SPEC, stat::SPEC];
