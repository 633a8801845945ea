//! `wellkept run`, `copy`, `fetch`, `script`, `play`, …: work on many hosts over SSH.

mod adhoc;
pub(crate) mod args;
mod helper;
pub(super) mod ours;
pub(crate) mod inventory;
pub(crate) mod play;
pub(super) mod scene;
pub(crate) mod shell;
mod show;
pub(super) mod show_play;
mod terminal;
pub(crate) mod vault;

pub(super) use adhoc::{copy, expect, facts, fetch, limits, run, script, stop_on_interrupt};
pub(super) use helper::run as helper;
pub(super) use inventory::run as inventory;
pub(super) use play::run as play;
pub(super) use shell::run as shell;
pub(super) use vault::run as vault;

use wellkept_model::Text;

use super::Context;
use crate::exit::{Failure, USAGE};
use crate::say;

/// Wrong input, told as it is.
pub(super) fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(USAGE, wellkept_catalogue::harmless(&error.to_string()).into_owned())
}

fn word(context: Context, key: &str) -> String {
    say::word(context.language, key)
}

fn text(context: Context, message: &Text) -> String {
    say::text(context.language, message)
}
