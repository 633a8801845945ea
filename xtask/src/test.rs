//! `cargo xtask test`: everything that must hold before a change is merged, on a machine that may be fresh.
//!
//! Every step streams its output and is timed; the summary counts tests where a step runs tests, and one for a step
//! that is a check. What could not be run is listed with its reason and counted, never left out in silence.

mod console;
mod counts;
mod rust;
mod summary;

use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::workspace::{self, Workspace};
use crate::{arch, clock, install, process, torture};
use counts::{Counts, Reporter};
use summary::{Row, Summary};

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Only what a developer runs between two edits.
    pub(crate) fast: bool,
    /// Build settings of continuous integration: each file is built once, nobody debugs the result.
    pub(crate) ci: bool,
}

impl Options {
    /// From the words after `test`.
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            match *arg {
                "--fast" => options.fast = true,
                unknown => bail!("unknown option `{unknown}` of `test`; it knows --fast"),
            }
        }
        Ok(options)
    }
}

/// How a step that could be run has ended.
enum Outcome {
    Done(Counts),
    Skipped(String),
}

/// Runs all steps; true when none failed.
pub(crate) fn run(options: Options) -> Result<bool> {
    let workspace = Workspace::read()?;
    let mut suite = Suite { workspace, options, summary: Summary::default() };
    suite.step("fmt", rust::fmt);
    if !options.fast {
        suite.step("arch", |_| check(arch::run()?, "the architecture check found problems"));
        suite.step("packages", |_| packages());
    }
    let console_ready = !options.fast && suite.step("console: install", console::install);
    suite.step("clippy", rust::clippy);
    suite.step("tests", rust::tests);
    if !options.fast {
        suite.step("doc tests", rust::doc_tests);
        suite.step("torture", |_| torture());
        suite.step("deny", rust::deny);
        suite.step("deny: advisories", rust::advisories);
        for (name, step) in console::STEPS {
            if console_ready {
                suite.step(name, step);
            } else {
                suite.step(name, |_| Ok(Outcome::Skipped("the console's packages are not installed".into())));
            }
        }
    }
    print!("{}", suite.summary);
    Ok(suite.summary.ok())
}

struct Suite {
    workspace: Workspace,
    options: Options,
    summary: Summary,
}

impl Suite {
    /// Runs one step, whatever became of those before it; true when it was done and nothing in it failed.
    fn step(&mut self, name: &'static str, run: impl FnOnce(&Self) -> Result<Outcome>) -> bool {
        eprintln!("\n==> {name}");
        let start = clock::now();
        let (counts, note) = match run(self) {
            Ok(Outcome::Done(counts)) => (counts, None),
            Ok(Outcome::Skipped(reason)) => {
                println!("SKIPPED: {name}: {reason}");
                (Counts { skipped: 1, ..Counts::default() }, Some(reason))
            }
            Err(error) => {
                eprintln!("FAILED: {name}: {error:#}");
                (Counts { failed: 1, ..Counts::default() }, Some(format!("{error:#}")))
            }
        };
        let passed = counts.failed == 0 && counts.passed > 0;
        self.summary.rows.push(Row { name, counts, note, took: start.elapsed() });
        passed
    }

    /// Cargo in the workspace, with the settings of this run.
    fn cargo(&self) -> Command {
        let mut command = workspace::cargo(&self.workspace.root);
        // A snapshot that differs is a failure here, not a new file beside it.
        command.env("INSTA_UPDATE", "no");
        if self.options.ci {
            command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    /// Runs a program as a step of its own.
    fn program(&self, command: &mut Command, reporter: Reporter) -> Result<Outcome> {
        let done = process::stream(command)?;
        let mut counts = counts::count(reporter, &done.text);
        if !done.status.success() && counts.failed == 0 {
            counts.failed = 1;
            if reporter == Reporter::Check {
                counts.passed = 0;
            }
        }
        if reporter == Reporter::MayBeEmpty && counts.total() == 0 {
            counts.passed = 1;
        }
        ensure!(counts.total() > 0, "it ended well but reported no test");
        Ok(Outcome::Done(counts))
    }
}

fn check(ok: bool, complaint: &str) -> Result<Outcome> {
    ensure!(ok, "{complaint}");
    Ok(Outcome::Done(Counts { passed: 1, ..Counts::default() }))
}

/// The promises about data against the real binary, at their small figures.
fn torture() -> Result<Outcome> {
    let (passed, failed, skipped) = torture::run(&torture::Options::small())?;
    Ok(Outcome::Done(Counts { passed, failed, skipped }))
}

fn packages() -> Result<Outcome> {
    let missing = install::missing(install::FOR_TESTS);
    if missing.is_empty() {
        eprintln!("all Debian packages are there");
    } else {
        install::install(&missing)?;
    }
    check(true, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> Suite {
        Suite {
            workspace: Workspace::read().unwrap(),
            options: Options::default(),
            summary: Summary::default(),
        }
    }

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let error = Options::parse(&["--fast", "--quick"]).unwrap_err();
        assert!(error.to_string().contains("--quick"));
    }

    #[test]
    fn a_program_that_fails_without_a_count_is_one_failure() {
        let mut suite = suite();
        let passed = suite.step("x", |s| s.program(&mut Command::new("false"), Reporter::Check));
        assert!(!passed);
        assert!(!suite.summary.ok());
    }

    #[test]
    fn a_test_run_that_reports_no_test_is_a_failure() {
        let mut suite = suite();
        suite.step("x", |s| s.program(&mut Command::new("true"), Reporter::Nextest));
        assert!(!suite.summary.ok());
    }

    #[test]
    fn a_skipped_step_is_counted_and_is_no_failure() {
        let mut suite = suite();
        let passed = suite.step("x", |_| Ok(Outcome::Skipped("no browser".into())));
        assert!(!passed);
        assert!(suite.summary.ok());
        assert!(suite.summary.to_string().ends_with("\n0 passed, 0 failed, 1 skipped\n"));
    }
}
