//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Keeps Linux machines well: watches, explains, recovers within limits that you set, verifies.
#[derive(Debug, Parser)]
#[command(name = "wellkept", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 fine; 1 something is not well; 2 wrong usage or a bad keep file; \
3 the data directory cannot be used; 4 the address cannot be listened on; 5 no running Wellkept could be reached.")]
pub(crate) struct Cli {
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Language of texts: en or zh-CN. Default: from the locale.
    #[arg(long, global = true)]
    pub(crate) lang: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Where a running Wellkept is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Remote {
    /// Address of the running Wellkept.
    #[arg(long, default_value = "127.0.0.1:7676")]
    pub(crate) address: SocketAddr,
    /// Its data directory; acts read the token there.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch this host, explain, recover as far as the keep file allows, serve the console.
    Up {
        /// The keep file. Default: /etc/wellkept/wellkept.yml when it exists.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Where samples, incidents and kept files are stored.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// Where API and console listen.
        #[arg(long, default_value = "127.0.0.1:7676")]
        listen: SocketAddr,
        /// Do not look at this host: only store and serve what others send, and what is scraped.
        #[arg(long)]
        no_collect: bool,
    },
    /// Is everything well?
    Status {
        #[command(flatten)]
        remote: Remote,
    },
    /// What was wrong, and what was done.
    Incidents {
        #[command(flatten)]
        remote: Remote,
        /// Only those that are not resolved.
        #[arg(long)]
        open: bool,
    },
    /// Why: the story of one incident, with its evidence.
    Why {
        /// Number of the incident.
        incident: u64,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let the proposed plan of an incident run.
    Approve {
        /// Number of the incident.
        incident: u64,
        /// Generation of the plan that you saw. Default: the one in force.
        #[arg(long)]
        generation: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take one action back.
    Undo {
        /// The action, for example 12-1.
        action: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop all new steps, now. Works without a running Wellkept and on a full disk.
    Freeze {
        /// Why, for others to read.
        #[arg(default_value = "stopped by hand")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Allow steps again.
    Unfreeze {
        #[command(flatten)]
        remote: Remote,
    },
    /// Record that you changed something.
    Change {
        /// What: a path, a service, a name.
        what: String,
        /// release, config, setting, secret, migration, restart, package or other.
        #[arg(long, default_value = "other")]
        kind: String,
        /// Who did it. Default: the user's name.
        #[arg(long)]
        who: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Have the keep file read again.
    Reload {
        #[command(flatten)]
        remote: Remote,
    },
    /// Check a keep file: all mistakes, each with its place and what is accepted.
    Check {
        /// The keep file.
        file: PathBuf,
    },
    /// Prometheus rule files: check them, or run their unit tests.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// PromQL: run test scripts in the format of Prometheus' own.
    #[command(subcommand)]
    Promql(PromqlCommand),
    /// Write a first keep file from what runs on this host.
    Discover {
        /// Write to this file instead of standard output. An existing file is never overwritten.
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Can this host be kept well? Looks at what Wellkept needs.
    Doctor {
        /// The data directory to look at.
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// See it work in under a minute: a tiny service is broken twice and recovered, in a temporary folder.
    Try,
    /// Completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The manual page, in roff.
    Man,
    #[command(hide = true, name = "try-service")]
    TryService {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        settings: PathBuf,
        #[arg(long)]
        pidfile: PathBuf,
    },
    #[command(hide = true, name = "try-start")]
    TryStart {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        settings: PathBuf,
        #[arg(long)]
        pidfile: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Read rule files and name every mistake, as `promtool check rules` does.
    Check {
        /// Rule files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run unit tests of rules, as `promtool test rules` does.
    Test {
        /// Test files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PromqlCommand {
    /// Run scripts of `load` and `eval` lines; prints what passed and what failed.
    Test {
        /// Scripts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}
