//! Peers that are Python packages: each bench has a virtual environment of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Bed;
use crate::process;

/// Written into an environment when all packages are in it.
const WHOLE: &str = "whole";

/// The environment of a bench with these packages; made by `--install`, kept for the next time, else `None`.
///
/// # Errors
/// When it cannot be made.
pub(super) fn of(bed: &Bed, bench: &str, packages: &[&str]) -> Result<Option<PathBuf>> {
    let venv = bed.workspace.target.join(format!("bench-{bench}-venv"));
    if venv.join(WHOLE).exists() {
        return Ok(Some(venv));
    }
    if !bed.options.install {
        return Ok(None);
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    process::output(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
    // The last word: an installation that was broken off has no proof.
    std::fs::write(venv.join(WHOLE), "")?;
    Ok(Some(venv))
}
