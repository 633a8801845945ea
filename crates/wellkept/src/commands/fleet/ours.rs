//! Playbooks of our own, run as anybody's are: for work that is best said as tasks, such as installing agents.

use std::path::Path;

use clap::{Args as _, FromArgMatches as _};

use super::args::Reaching;
use super::play::{self, PlayArgs};
use super::scene::Stage;
use super::{adhoc::limits, bad};
use crate::commands::Context;

/// The hosts that a pattern means, of the inventory and the limits that were given.
pub(in crate::commands) fn names(
    context: Context,
    reaching: &Reaching,
    pattern: &str,
) -> anyhow::Result<Vec<String>> {
    let stage = Stage::new(context, reaching)?;
    let scene = stage.scene(context, reaching, None)?;
    Ok(scene.names(pattern, &limits(&reaching.limit)?).map_err(bad)?.hosts)
}

/// Runs a playbook on hosts that are reached as asked; gives ansible-playbook's exit code.
pub(in crate::commands) async fn run(
    context: Context,
    reaching: Reaching,
    playbook: &Path,
    words: &[&str],
) -> anyhow::Result<u8> {
    let command = PlayArgs::augment_args(clap::Command::new("play"));
    let path = playbook.as_os_str();
    let words = std::iter::once("play".as_ref()).chain(words.iter().map(AsRef::as_ref)).chain([path]);
    let matches = command.try_get_matches_from(words).map_err(bad)?;
    let args = PlayArgs::from_arg_matches(&matches).map_err(bad)?;
    play::run(context, args.reached(reaching)).await
}
