//! `cargo xtask mutants`: would a test notice, if a guard were written wrongly?
//!
//! `cargo-mutants` changes one operator, value or call of the guard modules at a time and runs their tests. A change
//! that no test notices is a hole in the tests. Not part of `cargo xtask test`: it takes half an hour.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;
use crate::workspace::Workspace;

/// The package that holds the guards.
const PACKAGE: &str = "wellkept-recover";
/// What decides whether something is done: guards, plans with their generation and expiry, budgets, verification.
const FILES: [&str; 7] = [
    "crates/recover/src/guard.rs",
    "crates/recover/src/guard/means.rs",
    "crates/recover/src/ledger.rs",
    "crates/recover/src/verify.rs",
    "crates/recover/src/plan.rs",
    "crates/recover/src/plan/choice.rs",
    "crates/recover/src/book.rs",
];
/// Share of the changes that tests must notice, in percent.
const SCORE_MIN: u32 = 95;
/// Seconds after which a changed program that does not end counts as noticed.
const TIMEOUT_S: &str = "30";

/// How many changes ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Score {
    missed: u32,
    caught: u32,
    timeouts: u32,
}

impl Score {
    /// Reads the last line that `cargo mutants` prints: `332 mutants tested: 48 missed, 244 caught, 39 unviable, 1 timeouts`.
    /// What does not compile is no change that could be written.
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().rev().find(|line| line.contains(" mutants tested"))?;
        let (_, counts) = line.split_once(": ")?;
        let mut score = Self::default();
        for part in counts.split(", ") {
            let (number, what) = part.trim().split_once(' ')?;
            let number = number.parse().ok()?;
            match what.trim() {
                "missed" => score.missed = number,
                "caught" => score.caught = number,
                "timeout" | "timeouts" => score.timeouts = number,
                _ => {}
            }
        }
        (score.all() > 0).then_some(score)
    }

    fn killed(self) -> u32 {
        self.caught + self.timeouts
    }

    fn all(self) -> u32 {
        self.killed() + self.missed
    }

    fn is_enough(self) -> bool {
        self.killed() * 100 >= self.all() * SCORE_MIN
    }
}

/// Prints the score; true when it is high enough.
pub(crate) fn run() -> Result<bool> {
    let root = Workspace::read()?.root;
    let tools = root.join("target/tools");
    install(&tools)?;
    let out = root.join("target/mutants");
    std::fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
    let mut command = Command::new(tools.join("bin/cargo-mutants"));
    command.args(["mutants", "--package", PACKAGE, "--timeout", TIMEOUT_S, "--jobs", "1"]);
    command.args(["--colors", "never", "--no-times", "--output"]).arg(&out);
    command.args(FILES.iter().flat_map(|file| ["--file", file]));
    command.current_dir(&root).env("CARGO_TARGET_DIR", out.join("build"));
    let finished = process::stream(&mut command)?;
    let Some(score) = Score::read(&finished.text) else {
        bail!("cargo-mutants ended with {} and told no result", finished.status)
    };
    let (killed, all) = (score.killed(), score.all());
    println!(
        "mutants: {killed} of {all} noticed ({:.1} %), at least {SCORE_MIN} % wanted",
        percent(killed, all)
    );
    Ok(score.is_enough())
}

fn percent(part: u32, all: u32) -> f64 {
    f64::from(part) * 100.0 / f64::from(all.max(1))
}

/// From crates.io, into the target folder.
fn install(tools: &Path) -> Result<()> {
    if tools.join("bin/cargo-mutants").exists() {
        return Ok(());
    }
    let mut command = Command::new("cargo");
    command.args(["install", "cargo-mutants", "--locked", "--root"]).arg(tools);
    ensure!(process::stream(&mut command)?.status.success(), "cargo-mutants could not be installed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_read_from_the_last_line_and_leaves_out_what_does_not_compile() {
        let text = "Found 332 mutants to test\nMISSED   x\n\
                    332 mutants tested: 48 missed, 244 caught, 39 unviable, 1 timeouts\n";
        let score = Score::read(text).unwrap();
        assert_eq!(score, Score { missed: 48, caught: 244, timeouts: 1 });
        assert_eq!((score.killed(), score.all(), score.is_enough()), (245, 293, false));
        let good = Score::read("20 mutants tested in 5m: 1 missed, 19 caught").unwrap();
        assert_eq!((good.all(), good.is_enough()), (20, true));
        assert_eq!(Score::read("error: no such package"), None);
        assert_eq!(Score::read("0 mutants tested: 0 missed"), None);
    }

    #[test]
    fn nineteen_of_twenty_are_enough_and_less_is_not() {
        let of = |missed, caught| Score { missed, caught, timeouts: 0 }.is_enough();
        assert!(of(1, 19) && !of(1, 18) && of(0, 1));
    }

    #[test]
    fn every_file_is_there() {
        let root = Workspace::read().unwrap().root;
        for file in FILES {
            assert!(root.join(file).exists(), "{file}");
        }
    }
}
