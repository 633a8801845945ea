//! What is declared about certificates, jobs, knobs of services and the time.

use std::path::PathBuf;
use std::time::Duration;

use super::Command;
use crate::{ActionKind, EntityId, EntityKind};

/// A certificate that a service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its name.
    pub name: String,
    /// The service that serves it; its `reload` has it read the file again.
    pub service: String,
    /// Where it is served: `host:port`.
    pub connect: String,
    /// The name that a client asks for, and that the certificate must be for.
    pub server_name: String,
    /// The file that the service loads, PEM.
    pub file: Option<PathBuf>,
    /// Certificates of the authority that must have signed it, PEM; the host's own roots when absent.
    pub ca: Option<PathBuf>,
    /// It counts as unfit this long before its end.
    pub warn_before: Duration,
    /// Time between two looks.
    pub every: Duration,
}

/// What may be turned at a service when it has too little or says too much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knobs {
    /// Gives it a wider processor quota.
    pub more_cpu: Option<Command>,
    /// Takes that back.
    pub less_cpu: Option<Command>,
    /// The log that it writes.
    pub log: Option<PathBuf>,
    /// From this growth on the log is flooded, bytes a second.
    pub log_rate: Option<u64>,
    /// Has it write less to its log.
    pub log_less: Option<Command>,
    /// Takes that back.
    pub log_more: Option<Command>,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

impl Knobs {
    /// The words, each with what it does.
    pub const WORDS: [&str; 4] = ["more_cpu", "less_cpu", "log_less", "log_more"];

    /// The command behind a word.
    #[must_use]
    pub fn command(&self, word: &str) -> Option<&Command> {
        match word {
            "more_cpu" => self.more_cpu.as_ref(),
            "less_cpu" => self.less_cpu.as_ref(),
            "log_less" => self.log_less.as_ref(),
            "log_more" => self.log_more.as_ref(),
            _ => None,
        }
    }

    /// The word that takes another one back.
    #[must_use]
    pub fn opposite(word: &str) -> Option<&'static str> {
        match word {
            "more_cpu" => Some("less_cpu"),
            "less_cpu" => Some("more_cpu"),
            "log_less" => Some("log_more"),
            "log_more" => Some("log_less"),
            _ => None,
        }
    }
}

/// The clock of this host must follow a time source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeSync {
    /// The service that keeps the time; its own `may` says whether it may be restarted.
    pub service: Option<String>,
}

/// A job that something else runs at its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where it is scheduled.
    pub place: Option<JobPlace>,
    /// A file that every run writes.
    pub trace: Option<PathBuf>,
    /// A run is missed when the trace is older than this.
    pub due: Option<Duration>,
    /// A word that the command line of its processes holds.
    pub process: Option<String>,
    /// Runs it once, now.
    pub run: Option<Command>,
    /// The service that runs jobs.
    pub service: Option<String>,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// Where a job is scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPlace {
    /// A line of a crontab.
    Crontab {
        /// The file.
        file: PathBuf,
        /// The line, with single blanks.
        line: String,
    },
    /// A timer of systemd.
    Timer(String),
}

impl JobPlace {
    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Crontab { file, .. } => file.to_string_lossy().into_owned(),
            Self::Timer(unit) => unit.clone(),
        }
    }
}

impl Job {
    /// True when steps about this job may have this target: the service that runs it, else the host.
    #[must_use]
    pub fn is_of(&self, target: &EntityId) -> bool {
        match &self.service {
            Some(service) => *target == EntityId::service(service),
            None => target.kind == EntityKind::Host,
        }
    }
}

/// A line of a crontab with single blanks, as lines are compared.
#[must_use]
pub fn plain_line(line: &str) -> String {
    line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// From this growth on a declared log is flooded, unless another rate is declared: bytes a second.
pub const LOG_RATE_DEFAULT: u64 = 1 << 20;

/// A sign that a service makes progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// A file that it writes again and again.
    pub file: PathBuf,
    /// It hangs when the file is older than this.
    pub within: Duration,
}
