//! `cargo xtask torture`: the promises about data, kept by the real binary while it is killed, cut off, starved and lied to.
//!
//! Clients push numbered samples and remember what was acknowledged. Then something bad happens to the server or its
//! disk, it is started again, and all is read back: what was acknowledged must be there, once, with its value, and
//! nothing that nobody sent. The small figures run in `cargo xtask test`, the large ones at night (`--night`).

mod calls;
mod disks;
mod full;
mod kills;
mod load;
mod power;
mod read_back;
mod server;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::workspace::{Workspace, cargo};

/// One way to be bad.
struct Torment {
    /// Its name on the command line.
    name: &'static str,
    /// How often in the tests, and at night.
    times: (usize, usize),
    run: fn(&Rack, usize) -> Result<Verdict>,
}

const TORMENTS: [Torment; 5] = [
    Torment { name: "kills", times: (30, 2000), run: kills::run },
    Torment { name: "calls", times: (150, 5000), run: calls::killed },
    Torment { name: "errors", times: (200, 5000), run: calls::failed },
    Torment { name: "power", times: (10, 300), run: power::run },
    Torment { name: "full", times: (9, 200), run: full::run },
];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    names: Vec<&'static str>,
    night: bool,
    times: Option<usize>,
    seed: u64,
}

impl Options {
    /// The small figures, for the tests.
    pub(crate) fn small() -> Self {
        Self { names: TORMENTS.map(|t| t.name).to_vec(), night: false, times: None, seed: 1 }
    }

    /// From the words after `torture`.
    pub(crate) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self { names: Vec::new(), ..Self::small() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--night" => options.night = true,
                "--times" => options.times = Some(number(arg, args.next())?),
                "--seed" => options.seed = number(arg, args.next())? as u64,
                name => match TORMENTS.iter().find(|t| t.name == name) {
                    Some(torment) => options.names.push(torment.name),
                    None => bail!(
                        "unknown torment or option `{name}`; there are: {}",
                        TORMENTS.map(|t| t.name).join(", ")
                    ),
                },
            }
        }
        if options.names.is_empty() {
            options.names.extend(TORMENTS.map(|t| t.name));
        }
        Ok(options)
    }
}

fn number(option: &str, value: Option<&&str>) -> Result<usize> {
    let n: usize = value.and_then(|v| v.parse().ok()).with_context(|| format!("{option} needs a number"))?;
    ensure!(n > 0, "{option} must be at least 1");
    Ok(n)
}

/// What the torments work with.
struct Rack {
    product: PathBuf,
    scratch: tempfile::TempDir,
    seed: u64,
}

impl Rack {
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Ok(path)
    }
}

/// What a torment found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How often the bad thing was done.
    times: usize,
    /// Samples that were acknowledged.
    acknowledged: u64,
    /// Promises that were broken, in words.
    broken: Vec<String>,
    /// Why it could not be done here.
    skipped: Option<String>,
}

impl Verdict {
    fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::default() }
    }

    /// Adds what one try has shown.
    fn add(&mut self, acknowledged: u64, broken: Vec<String>) {
        self.times += 1;
        self.acknowledged += acknowledged;
        self.broken.extend(broken);
    }
}

/// Runs the torments; the number of them that held, failed, and could not be run.
pub(crate) fn run(options: &Options) -> Result<(u64, u64, u64)> {
    let workspace = Workspace::read()?;
    let mut command = cargo(&workspace.root);
    // The product that the tests have built already; its speed is not the point here.
    command.args(["build", "--locked", "-p", "wellkept"]);
    ensure!(process::stream(&mut command)?.status.success(), "`wellkept` does not build");
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let rack = Rack { product: workspace.target.join("debug/wellkept"), scratch, seed: options.seed };
    let (mut held, mut failed, mut skipped) = (0_u64, 0, 0);
    for torment in TORMENTS.iter().filter(|t| options.names.contains(&t.name)) {
        let (small, large) = torment.times;
        let times = options.times.unwrap_or(if options.night { large } else { small });
        let start = crate::clock::now();
        let verdict = (torment.run)(&rack, times)?;
        let took = start.elapsed().as_secs_f64();
        if let Some(reason) = verdict.skipped {
            println!("SKIPPED: torture {}: {reason}", torment.name);
            skipped += 1;
            continue;
        }
        println!(
            "torture {}: {} times, {} samples acknowledged, {} promises broken, {took:.0} s, seed {}",
            torment.name,
            verdict.times,
            verdict.acknowledged,
            verdict.broken.len(),
            options.seed,
        );
        verdict.broken.iter().take(20).for_each(|b| println!("  {b}"));
        let good = verdict.broken.is_empty() && verdict.acknowledged > 0 && verdict.times > 0;
        if good { held += 1 } else { failed += 1 }
    }
    println!("{held} passed, {failed} failed, {skipped} skipped");
    Ok((held, failed, skipped))
}

/// Xorshift: moments that differ, and are the same in every run with the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// From `from` up to and without `to`.
    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % to.saturating_sub(from).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_all_torments_run() {
        assert_eq!(Options::parse(&[]).unwrap(), Options::small());
        let options = Options::parse(&["power", "--night", "--seed", "7"]).unwrap();
        assert_eq!((options.names, options.night, options.seed), (vec!["power"], true, 7));
        assert!(Options::parse(&["pwoer"]).unwrap_err().to_string().contains("power"));
        assert!(Options::parse(&["--times", "0"]).is_err());
    }

    #[test]
    fn moments_stay_in_their_range_and_differ() {
        let mut random = Random::new(1);
        let moments: Vec<u64> = (0..100).map(|_| random.between(10, 20)).collect();
        assert!(moments.iter().all(|m| (10..20).contains(m)));
        assert!(moments.iter().collect::<std::collections::BTreeSet<_>>().len() > 5);
    }
}
