//! What is released where, and which playbooks say how hosts should be.

use std::path::PathBuf;
use std::time::Duration;

use super::{Command, Probe};

/// Stands for the version in paths, URLs, references and commands of an app.
pub const VERSION_PLACE: &str = "{version}";
/// Stands for a host's address in health checks that are asked from the controller.
pub const HOST_PLACE: &str = "{host}";

/// An app that is released on hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Its name: the key in the keep file.
    pub name: String,
    /// Pattern of hosts.
    pub hosts: String,
    /// Inventories; empty: as for the other commands for many hosts.
    pub inventory: Vec<String>,
    /// Folder on the hosts that holds `releases`, `current` and `shared`.
    pub to: PathBuf,
    /// What is released.
    pub artefact: Artefact,
    /// Has the new release run.
    pub restart: Option<Command>,
    /// All must pass after each batch.
    pub health: Vec<AppCheck>,
    /// Sizes of the batches; the last one again and again.
    pub batches: Vec<BatchSize>,
    /// How long a batch must pass its checks before the next one begins.
    pub hold: Duration,
    /// How long a batch may take until its checks pass for the first time.
    pub starts_within: Duration,
    /// Share of errors that must not become worse.
    pub errors: Option<ErrorShare>,
    /// Releases that are kept on a host, the current one included.
    pub keep: u32,
    /// Names in a release that are links into `shared`; a folder ends with `/`.
    pub shared: Vec<String>,
    /// Run in the folder of the new release before the switch.
    pub before: Option<Command>,
    /// Run in the folder of the new release after the restart.
    pub after: Option<Command>,
}

/// Where a release comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Which kind, and where; `{version}` is filled in.
    pub from: ArtefactFrom,
    /// What its bytes must have as SHA-256.
    pub sha256: Option<Checksum>,
    /// So many leading folders of the names in an archive are left out.
    pub strip: u32,
    /// Links in it may lead out of the release.
    pub links_out: bool,
}

/// Kind and place of an artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtefactFrom {
    /// A tar or zip archive, or a folder, on the controller.
    File(String),
    /// An archive that is fetched once, by the controller.
    Url(String),
    /// A commit of a repository, packed on the controller.
    Git {
        /// Address or path.
        repository: String,
        /// Branch, tag or commit.
        reference: String,
    },
}

/// A SHA-256, or where it stands; `{version}` is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// 64 hexadecimal digits.
    Hex(String),
    /// The first word of a file on the controller.
    File(String),
    /// The first word behind an address.
    Url(String),
}

/// How many hosts a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// So many.
    Hosts(u32),
    /// A share of all hosts, in percent, 1 to 100.
    Percent(u8),
}

/// One health check of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCheck {
    /// What is asked.
    pub probe: Probe,
    /// No answer within this time is a failure.
    pub within: Duration,
    /// How many failures in a row count.
    pub failures: u32,
    /// Asked from there.
    pub vantage: Vantage,
}

/// From where a health check is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vantage {
    /// The machine that deploys.
    Controller,
    /// The host itself.
    Target,
}

/// The share of errors, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorShare {
    /// PromQL with one value.
    pub query: String,
    /// How much worse it may become.
    pub worse_by: WorseBy,
}

/// A bound on how much worse a value may become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WorseBy {
    /// It may grow by this much.
    Added(f64),
    /// It may grow to so many times what it was.
    Times(f64),
}

/// A playbook that says how hosts should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredState {
    /// Its name: the key in the keep file.
    pub name: String,
    /// The playbook.
    pub playbook: PathBuf,
    /// Inventories; empty: as for the other commands for many hosts.
    pub inventory: Vec<String>,
    /// Patterns that hosts must fit besides.
    pub limit: Vec<String>,
    /// Time between two looks.
    pub every: Duration,
    /// A look follows when the files of the playbook change.
    pub on_change: bool,
    /// What is done about hosts that differ.
    pub mode: StateMode,
    /// The longest time of one run.
    pub within: Duration,
}

/// What is done about hosts that are not as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateMode {
    /// It is told.
    Check,
    /// The playbook is run.
    Enforce,
}

impl StateMode {
    /// The word of the keep file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Enforce => "enforce",
        }
    }
}
