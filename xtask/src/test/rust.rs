//! The steps that cargo does.

use anyhow::Result;

use super::{Outcome, Reporter, Suite};
use crate::process;

pub(super) fn fmt(suite: &Suite) -> Result<Outcome> {
    suite.program(suite.cargo().args(["fmt", "--all", "--check"]), Reporter::Check)
}

pub(super) fn clippy(suite: &Suite) -> Result<Outcome> {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    suite.program(suite.cargo().args(args), Reporter::Check)
}

/// With nextest where it is installed; building it takes longer than it saves, so else with `cargo test`.
pub(super) fn tests(suite: &Suite) -> Result<Outcome> {
    let mut command = suite.cargo();
    if has_subcommand(suite, "nextest") {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        return suite.program(&mut command, Reporter::Nextest);
    }
    eprintln!("note: cargo-nextest is not installed; the same tests run under `cargo test`");
    command.args(["test", "--workspace", "--tests", "--locked", "--no-fail-fast"]);
    suite.program(&mut command, Reporter::Cargo)
}

/// Nextest does not run these.
pub(super) fn doc_tests(suite: &Suite) -> Result<Outcome> {
    let args = ["test", "--workspace", "--doc", "--locked", "--no-fail-fast"];
    suite.program(suite.cargo().args(args), Reporter::MayBeEmpty)
}

/// Licences, bans and sources need no network once cargo-deny is there.
pub(super) fn deny(suite: &Suite) -> Result<Outcome> {
    if let Some(reason) = install_deny(suite)? {
        return Ok(Outcome::Skipped(reason));
    }
    let args = ["deny", "--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    suite.program(suite.cargo().args(args), Reporter::Check)
}

/// Advisories live in a git repository on GitHub that not every machine can reach.
pub(super) fn advisories(suite: &Suite) -> Result<Outcome> {
    if !has_subcommand(suite, "deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed".into()));
    }
    let fetched = process::stream(suite.cargo().args(["deny", "fetch", "db"]))?;
    if !fetched.status.success() {
        return Ok(Outcome::Skipped("the advisory database cannot be fetched from here".into()));
    }
    let args = ["deny", "--locked", "check", "--disable-fetch", "advisories"];
    suite.program(suite.cargo().args(args), Reporter::Check)
}

/// The reason why there is no cargo-deny, if there is none in the end.
fn install_deny(suite: &Suite) -> Result<Option<String>> {
    if has_subcommand(suite, "deny") {
        return Ok(None);
    }
    eprintln!("note: cargo-deny is not installed; building it, which takes some minutes once");
    // Without optimisation: it runs for a second, but building it optimised takes three times as long.
    let built = process::stream(suite.cargo().args(["install", "cargo-deny", "--locked", "--debug"]))?;
    Ok((!built.status.success()).then(|| "cargo-deny is not installed and could not be built".to_owned()))
}

fn has_subcommand(suite: &Suite, name: &str) -> bool {
    suite.cargo().args([name, "--version"]).output().is_ok_and(|out| out.status.success())
}
