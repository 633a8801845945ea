//! The steps of the console: types, unit tests, and a real browser against a mock and against the real binary: what
//! holds on every installation, and the story of a real service that breaks.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Outcome, Reporter, Suite};
use crate::http;
use crate::process::{self, Beside};

/// How long the binary may take from its start until it has stored its first round.
const READY_MAX: Duration = Duration::from_secs(30);

type Step = fn(&Suite) -> Result<Outcome>;

/// In order, after [`install`].
pub(super) const STEPS: [(&str, Step); 5] = [
    ("console: check", check),
    ("console: unit tests", unit_tests),
    ("browser: mock", browser_against_mock),
    ("browser: real binary", browser_against_binary),
    ("browser: real story", browser_with_story),
];

/// The packages of the lock file. Browsers come from Debian, so none is downloaded.
pub(super) fn install(suite: &Suite) -> Result<Outcome> {
    if !folder(suite).join("package.json").is_file() {
        return Ok(Outcome::Skipped("there is no ui/package.json".into()));
    }
    suite.program(npm(suite).args(["ci", "--no-audit", "--no-fund"]), Reporter::Check)
}

fn check(suite: &Suite) -> Result<Outcome> {
    suite.program(npm(suite).args(["run", "check"]), Reporter::Check)
}

fn unit_tests(suite: &Suite) -> Result<Outcome> {
    suite.program(npm(suite).arg("test"), Reporter::Vitest)
}

fn browser_against_mock(suite: &Suite) -> Result<Outcome> {
    suite.program(npm(suite).args(["run", "e2e"]), Reporter::Node)
}

/// Starts the binary on a free port and an empty data directory, and points the browser at it.
fn browser_against_binary(suite: &Suite) -> Result<Outcome> {
    if !suite.workspace.has("wellkept") {
        return Ok(Outcome::Skipped("there is no crate `wellkept` yet".into()));
    }
    let binary = build(suite)?;
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let data = scratch.path().join("data");
    let port = http::free_port()?;
    let mut command = Command::new(binary);
    command.args(["up", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(&data);
    let mut product = Beside::start(command.current_dir(scratch.path()))?;
    product.wait_ready(READY_MAX, || http::answers(port, "/-/ready"))?;
    let token = std::fs::read_to_string(data.join("token")).context("no token in the data directory")?;
    let mut e2e = npm(suite);
    e2e.args(["run", "e2e"])
        .env("WELLKEPT_URL", format!("http://127.0.0.1:{port}"))
        .env("WELLKEPT_TOKEN", token.trim());
    suite.program(&mut e2e, Reporter::Node)
}

/// Breaks a real service under the binary, and acts on it in the browser. The tests start and end all of it themselves.
fn browser_with_story(suite: &Suite) -> Result<Outcome> {
    if !suite.workspace.has("wellkept") {
        return Ok(Outcome::Skipped("there is no crate `wellkept` yet".into()));
    }
    let binary = build(suite)?;
    suite.program(npm(suite).args(["run", "e2e:real"]).env("WELLKEPT_BIN", binary), Reporter::Node)
}

/// The binary of this working tree.
fn build(suite: &Suite) -> Result<PathBuf> {
    let built = process::stream(suite.cargo().args(["build", "--locked", "--package", "wellkept"]))?;
    ensure!(built.status.success(), "`wellkept` does not build");
    Ok(suite.workspace.target.join("debug/wellkept"))
}

fn npm(suite: &Suite) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder(suite)).env("CI", "1").env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

fn folder(suite: &Suite) -> PathBuf {
    suite.workspace.root.join("ui")
}
