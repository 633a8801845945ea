//! `wellkept run`, `copy`, `fetch`, `script`, `play`, …: work on many hosts over SSH.

mod adhoc;
pub(crate) mod args;
mod scene;
mod show;
mod terminal;

pub(super) use adhoc::{copy, fetch, run, script};

use wellkept_model::Text;

use super::Context;
use crate::exit::{Failure, USAGE};
use crate::say;

/// Wrong input, told as it is.
fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(USAGE, wellkept_catalogue::harmless(&error.to_string()).into_owned())
}

fn word(context: Context, key: &str) -> String {
    say::word(context.language, key)
}

fn text(context: Context, message: &Text) -> String {
    say::text(context.language, message)
}
