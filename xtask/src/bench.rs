//! `cargo xtask bench`: the figures of `docs/benchmarks.md`, always beside the peers in the same run.
//!
//! Each bench prints a Markdown table and writes `target/bench/<name>.json` with the machine and the versions. A peer
//! that is not installed is named and counted as skipped; its column then says so.

mod build;
mod fleet;
mod idle;
mod logs;
mod machine;
mod metrics;
mod procstat;
mod recovery;
mod store;
mod table;
mod venv;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::workspace::{Workspace, cargo};
use crate::{install, process};
use machine::Machine;

type Bench = fn(&Bed) -> Result<Report>;

/// All benches in the order in which they run.
const BENCHES: [(&str, Bench); 6] = [
    ("idle", idle::run),
    ("store", store::run),
    ("logs", logs::run),
    ("recovery", recovery::run),
    ("fleet", fleet::run),
    ("build", build::run),
];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    names: Vec<&'static str>,
    install: bool,
    /// Length of the window in `idle`.
    seconds: u64,
    /// How often `recovery` kills.
    repeat: usize,
}

impl Options {
    /// From the words after `bench`.
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self { names: Vec::new(), install: false, seconds: 60, repeat: 15 };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--install" => options.install = true,
                "--seconds" => options.seconds = number(arg, args.next())?,
                "--repeat" => options.repeat = usize::try_from(number(arg, args.next())?)?,
                "all" => options.names.extend(BENCHES.map(|(name, _)| name)),
                name => options.names.push(known(name)?),
            }
        }
        if options.names.is_empty() {
            options.names.extend(BENCHES.map(|(name, _)| name));
        }
        Ok(options)
    }
}

fn known(name: &str) -> Result<&'static str> {
    let names = BENCHES.map(|(name, _)| name);
    match names.into_iter().find(|n| *n == name) {
        Some(name) => Ok(name),
        None => bail!("unknown bench or option `{name}`; there are: {}, all", names.join(", ")),
    }
}

fn number(option: &str, value: Option<&&str>) -> Result<u64> {
    let value = value.with_context(|| format!("{option} needs a number"))?;
    let n = value.parse().with_context(|| format!("{option} needs a number, not `{value}`"))?;
    ensure!(n > 0, "{option} must be at least 1");
    Ok(n)
}

/// What a bench works with.
pub(crate) struct Bed {
    workspace: Workspace,
    options: Options,
    /// Emptied when the run ends.
    scratch: tempfile::TempDir,
}

/// What a bench found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How it was measured, in one sentence.
    how: String,
    /// Versions of everything that took part.
    versions: Vec<String>,
    table: table::Table,
    /// The same in numbers.
    figures: Value,
    /// What could not be measured, and why.
    skipped: Vec<String>,
}

/// Runs the named benches; true when all could be run (a skipped peer is no failure).
pub(crate) fn run(options: &Options) -> Result<bool> {
    let missing = install::missing(install::FOR_BENCHES);
    if options.install && !missing.is_empty() {
        install::install(&missing)?;
    }
    let bed = Bed {
        workspace: Workspace::read()?,
        options: options.clone(),
        scratch: tempfile::tempdir().context("no temporary directory")?,
    };
    let machine = Machine::read()?;
    println!("{machine}\n");
    let (mut done, mut failed, mut skipped) = (0, 0, 0);
    for (name, bench) in BENCHES.iter().filter(|(name, _)| options.names.contains(name)) {
        eprintln!("\n==> bench {name}");
        match bench(&bed).and_then(|report| publish(&bed, name, &machine, &report).map(|()| report)) {
            Ok(report) => {
                skipped += report.skipped.len();
                done += 1;
            }
            Err(error) => {
                eprintln!("FAILED: {name}: {error:#}");
                failed += 1;
            }
        }
    }
    println!("{done} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

fn publish(bed: &Bed, name: &str, machine: &Machine, report: &Report) -> Result<()> {
    println!("## {name}\n\n{}\n\n{}", report.how, report.table);
    println!("Versions: {}.\n", report.versions.join("; "));
    for reason in &report.skipped {
        println!("SKIPPED: {name}: {reason}");
    }
    let document = json!({
        "bench": name, "how": report.how, "machine": machine.to_json(), "versions": report.versions,
        "figures": report.figures, "skipped": report.skipped,
    });
    let folder = bed.workspace.target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, format!("{document:#}\n"))
        .with_context(|| format!("failed to write {}", path.display()))
}

impl Bed {
    /// The release build of the product.
    fn product(&self) -> Result<PathBuf> {
        ensure!(self.workspace.has("wellkept"), "there is no crate `wellkept` in this workspace yet");
        let mut command = cargo(&self.workspace.root);
        command.args(["build", "--release", "--locked", "-p", "wellkept"]);
        ensure!(process::stream(&mut command)?.status.success(), "`wellkept` does not build");
        Ok(self.workspace.target.join("release/wellkept"))
    }

    /// A new empty directory for one part of a bench.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Ok(path)
    }
}

/// What to say when a peer is not there.
fn not_installed(program: &str) -> String {
    let package = install::FOR_BENCHES.iter().find(|p| p.program == program).map_or(program, |p| p.name);
    format!("{program} is not installed; `cargo xtask bench --install` or `apt-get install {package}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_all_benches_run() {
        let names = Options::parse(&[]).unwrap().names;
        assert_eq!(names, ["idle", "store", "logs", "recovery", "fleet", "build"]);
    }

    #[test]
    fn options_may_stand_anywhere() {
        let options = Options::parse(&["--seconds", "5", "idle", "--install", "--repeat", "3"]).unwrap();
        assert_eq!(options, Options { names: vec!["idle"], install: true, seconds: 5, repeat: 3 });
    }

    #[test]
    fn wrong_words_are_refused_with_what_is_accepted() {
        for (args, part) in [
            (vec!["idel"], "idle, store"),
            (vec!["--seconds"], "--seconds needs"),
            (vec!["--repeat", "x"], "`x`"),
            (vec!["--repeat", "0"], "at least 1"),
        ] {
            let error = Options::parse(&args).unwrap_err();
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
