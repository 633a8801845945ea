//! Options of `deploy` and `rollback`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Remote;
use crate::commands::fleet::args::Reaching;

/// What both take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The keep file that declares the app. Default: /etc/wellkept/wellkept.yml.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct DeployArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeployCommand>,
    /// The app, as the keep file names it.
    #[arg(required = true)]
    pub(crate) app: Option<String>,
    /// The version: letters, digits, `.`, `_`, `+`, `-`.
    #[arg(required_unless_present_any = ["resume", "settle"], allow_hyphen_values = true)]
    pub(crate) version: Option<String>,
    /// Only look and say what would be done.
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    /// Go on with the deployment that was stopped or killed.
    #[arg(long, conflicts_with_all = ["version", "check"])]
    pub(crate) resume: bool,
    /// With --resume: you have looked, and what was begun without a known end is done.
    #[arg(long, requires = "resume")]
    pub(crate) assume_done: bool,
    /// You have looked after the deployment that was left open: nothing is done about it any more.
    #[arg(long, conflicts_with_all = ["version", "check", "resume"])]
    pub(crate) settle: bool,
    /// SHA-256 of the artefact, instead of the keep file's.
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// What was deployed: when, by whom, where, and how it ended.
    History {
        /// The app.
        app: String,
        #[command(flatten)]
        common: Box<Common>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The app, as the keep file names it.
    pub(crate) app: String,
    /// A release that the hosts have. Default: the one that the present one replaced.
    #[arg(allow_hyphen_values = true)]
    pub(crate) version: Option<String>,
    /// Only look and say what would be done.
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}
