//! How long the release build takes from nothing, and how big the binary is.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::table::{Table, cell};
use super::{Bed, Report};
use crate::workspace::cargo;
use crate::{clock, process};

pub(super) fn run(bed: &Bed) -> Result<Report> {
    ensure!(bed.workspace.has("wellkept"), "there is no crate `wellkept` in this workspace yet");
    // Fetched before the clock starts: the figure is about the code, not about the line to the registry.
    let mut fetch = cargo(&bed.workspace.root);
    fetch.args(["fetch", "--locked"]);
    ensure!(process::stream(&mut fetch)?.status.success(), "the dependencies cannot be fetched");
    let target = bed.folder("build")?;
    let mut command = cargo(&bed.workspace.root);
    command
        .args(["build", "--release", "--locked", "--package", "wellkept"])
        .env("CARGO_TARGET_DIR", &target);
    let start = clock::now();
    ensure!(process::stream(&mut command)?.status.success(), "`wellkept` does not build");
    let seconds = start.elapsed().as_secs_f64();
    let binary = target.join("release/wellkept");
    let bytes = binary.metadata().with_context(|| format!("no binary at {}", binary.display()))?.len();
    let mut table = Table::new(&["", "wellkept"]);
    table.row(["release build from nothing".to_owned(), cell(Some(seconds), 0, "s")]);
    table.row(["binary".to_owned(), cell(Some(bytes as f64 / 1e6), 1, "MB")]);
    Ok(Report {
        how: "`cargo build --release --locked -p wellkept` in an empty target directory, dependencies fetched before."
            .into(),
        versions: process::version("cargo", "--version").into_iter().collect(),
        table,
        figures: json!({"build_seconds": seconds, "binary_bytes": bytes}),
        skipped: Vec::new(),
    })
}
