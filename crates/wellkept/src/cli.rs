//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::agent::AgentArgs;
use crate::commands::apply::ApplyArgs;
use crate::commands::deploy::{DeployArgs, RollbackArgs};
use crate::commands::drill::Wish;
use crate::commands::enroll::EnrollArgs;
use crate::commands::fleet::args::{CopyArgs, ExpectArgs, FactsArgs, FetchArgs, RunArgs, ScriptArgs};
use crate::commands::fleet::inventory::InventoryArgs;
use crate::commands::fleet::play::PlayArgs;
use crate::commands::fleet::shell::ShellArgs;
use crate::commands::fleet::vault::VaultCommand;
use crate::commands::runs::RunsArgs;
use crate::commands::sign::SignCommand;
use crate::commands::store::{Place, What};

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
    /// What was learned: which actions helped against which causes.
    Learned {
        /// Forget it: everything, one KIND of cause, or one KIND/ACTION.
        #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "KIND[/ACTION]")]
        reset: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make a stored decision again: a file of the data directory's folder `situations`. Exit code 1 when it differs.
    Replay {
        /// The record.
        file: PathBuf,
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
        #[arg(required_unless_present = "keep")]
        file: Option<PathBuf>,
        /// The same, as `up` is told it.
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        keep: Option<PathBuf>,
    },
    /// Prometheus rule files: check them, or run their unit tests.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// PromQL: run test scripts in the format of Prometheus' own.
    #[command(subcommand)]
    Promql(PromqlCommand),
    /// Who is likeliest to be the root of an alarm, when no rule knows.
    #[command(subcommand)]
    Diagnose(DiagnoseCommand),
    /// Log files: templates, and what is odd in them.
    #[command(subcommand)]
    Logs(LogsCommand),
    /// The store of samples: look into it, verify, repair, copy, export, import.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Run one command on many hosts over SSH.
    Run(Box<RunArgs>),
    /// Put a file on many hosts.
    Copy(Box<CopyArgs>),
    /// Get a file from many hosts.
    Fetch(Box<FetchArgs>),
    /// Run a program of this host on many others.
    Script(Box<ScriptArgs>),
    /// What is known of many hosts: their facts.
    Facts(Box<FactsArgs>),
    /// A terminal on one host, recorded in the data directory.
    Shell(Box<ShellArgs>),
    /// Answer prompts on many hosts by a declared script.
    Expect(Box<ExpectArgs>),
    /// Run playbooks: the options, output and exit codes of ansible-playbook.
    Play(Box<PlayArgs>),
    /// What was run on many hosts, when, by whom, and how it went.
    Runs(Box<RunsArgs>),
    /// Hosts, groups and variables, as ansible-inventory tells them.
    Inventory(Box<InventoryArgs>),
    /// Sealed files and texts, as ansible-vault handles them.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Signed bundles: a playbook with all its files, by whom, for whom, until when.
    #[command(subcommand)]
    Sign(SignCommand),
    /// Agents: this host as one (join, then run), or those of this server.
    Agent(Box<AgentArgs>),
    /// Make hosts agents of this server, over SSH: binary, user, unit, token. Idempotent.
    Enroll(Box<EnrollArgs>),
    /// Bring hosts into the state that a playbook describes; with --check only tell how they differ (exit code 1).
    Apply(Box<ApplyArgs>),
    /// Bring a version of an app to its hosts: one first, then batches; back by itself when it is not well.
    Deploy(Box<DeployArgs>),
    /// Bring the hosts of an app back: from a deployment that was interrupted, or to a release that they have.
    Rollback(Box<RollbackArgs>),
    #[command(hide = true)]
    Helper {
        #[arg(long)]
        job: Option<PathBuf>,
    },
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
    /// Hold a drill: a harmless fault on a declared service, and how fast and how rightly it is healed. What is done is
    /// always undone. Exit code 1 when it was not found, explained and healed.
    Drill(Wish),
    /// See it work in under a minute: a tiny service is broken twice and recovered, in a temporary folder.
    Try,
    /// Completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The manual page, in roff.
    Man,
    #[command(hide = true, name = "drill-lease")]
    DrillLease {
        #[arg(long)]
        fault: String,
        #[arg(long)]
        within: u64,
    },
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
pub(crate) enum DiagnoseCommand {
    /// Rank the entities of recorded cases: folders with metrics, a call graph, traces and logs.
    Rank {
        /// Case folders.
        #[arg(required = true)]
        cases: Vec<PathBuf>,
    },
}

/// Which lines, and of which time.
#[derive(Debug, Args)]
pub(crate) struct WhichLines {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// For example '{service="app"} |= "timeout" | level="error"'; all lines when left out.
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// How far back: 15m, 1h30m, 2d.
    #[arg(long, default_value = "1h", value_parser = back)]
    pub(crate) since: Duration,
    /// From this time on instead: RFC 3339 or seconds since 1970.
    #[arg(long, conflicts_with = "since")]
    pub(crate) from: Option<String>,
    /// Up to this time instead of now.
    #[arg(long)]
    pub(crate) to: Option<String>,
}

/// A time such as 15m, 1h30m or 2d.
pub(crate) fn back(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::Span>().ok();
    let duration = span.and_then(|s| s.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    let duration = duration.and_then(|d| Duration::try_from(d).ok()).filter(|d| !d.is_zero());
    duration.ok_or_else(|| "a time such as 15m, 1h30m or 2d is accepted".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// Search the lines that a running Wellkept keeps; the newest that fit, oldest first.
    Search {
        #[command(flatten)]
        which: WhichLines,
        /// Most lines.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Lines of the same stream before and after each.
        #[arg(short = 'C', long, default_value_t = 0)]
        context: usize,
        /// Only tell how many lines fit.
        #[arg(short = 'c', long, conflicts_with_all = ["limit", "context"])]
        count: bool,
    },
    /// Lines as they come, until interrupted.
    Tail {
        #[command(flatten)]
        remote: Remote,
        /// As for search.
        #[arg(default_value = "")]
        query: String,
    },
    /// Templates of lines: how many, since when, whether new.
    Patterns {
        #[command(flatten)]
        which: WhichLines,
        /// Most templates.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only those that are new.
        #[arg(long)]
        new: bool,
    },
    /// What was odd: new templates, rates, missing beats, values.
    Unusual {
        #[command(flatten)]
        remote: Remote,
    },
    /// What was marked as harmless, and marking.
    Harmless {
        #[command(flatten)]
        remote: Remote,
        /// Mark this template (its id, as patterns and unusual tell it).
        #[arg(long)]
        template: Option<String>,
        /// What about it: new_template, rate, missing_beat, value.
        #[arg(long, requires = "template", default_value = "new_template")]
        kind: String,
        /// Which parameter, counted from 0, for value.
        #[arg(long, requires = "template")]
        parameter: Option<u8>,
        /// Take the mark back.
        #[arg(long, requires = "template")]
        undo: bool,
    },
    /// Find the templates of a file; with --output json each line with its template and parameters.
    Mine {
        /// The file, also packed (.gz); - for standard input.
        file: PathBuf,
        /// Look at the message only: leave time, level and component before it out.
        #[arg(long)]
        without_header: bool,
        /// Tell the templates with their counts, not the lines.
        #[arg(long)]
        templates: bool,
    },
    /// Score each line of a file, or each session of a table (id,label,events), against a normal one.
    Anomalies {
        /// Normal lines or sessions.
        #[arg(long)]
        train: PathBuf,
        /// Those to judge.
        #[arg(long)]
        test: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Blocks with their times, sizes and resolutions.
    Inspect {
        #[command(flatten)]
        place: Place,
    },
    /// Read everything and compare every checksum; exit code 1 when something is damaged.
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Write damaged blocks anew from what is sound; damaged files are kept aside. Wellkept must not run.
    Repair {
        #[command(flatten)]
        place: Place,
    },
    /// Samples as OpenMetrics text or CSV, to standard output or a file.
    Export {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        what: What,
    },
    /// Take samples of any age from OpenMetrics or Prometheus text, or CSV. Wellkept must not run: a running one takes
    /// samples at /api/v1/import/prometheus.
    Import {
        #[command(flatten)]
        place: Place,
        /// The file; - for standard input.
        file: PathBuf,
        /// Default: by the file's name and end.
        #[arg(long, value_enum)]
        format: Option<ImportFormat>,
    },
    /// Have the running Wellkept copy its store (links where it can) below its data directory.
    Snapshot {
        #[command(flatten)]
        remote: Remote,
    },
    /// Put the samples of a snapshot back, also while Wellkept runs.
    Restore {
        /// Name or folder of the snapshot.
        snapshot: PathBuf,
        /// Make the store what the snapshot is; the old one is moved aside. Wellkept must not run.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Which metrics, labels and values have most series, and which metrics grew since yesterday.
    Series {
        #[command(flatten)]
        remote: Remote,
        /// Lines in each list.
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// OpenMetrics 1.0 text.
    Openmetrics,
    /// A table: time, name, value, and one column for each label.
    Csv,
}

/// How samples are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// OpenMetrics 1.0 text; times are seconds.
    Openmetrics,
    /// Prometheus' text format; times are milliseconds.
    Prometheus,
    /// A table as `export` writes it.
    Csv,
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
