//! The keep file after checking: what the operator wants kept, and what may be done without asking.
//!
//! Reading and checking the YAML is left to `wellkept-keep`, the only place that builds a [`Keep`] from a file.

mod agents;
mod commands;
mod deploy;
mod guarded;
mod security;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

pub use agents::{Agents, TrustedKey};
pub use commands::Declared;
pub use deploy::{
    App, AppCheck, Artefact, ArtefactFrom, BatchSize, Checksum, DesiredState, ErrorShare, HOST_PLACE,
    StateMode, VERSION_PLACE, Vantage, WorseBy,
};
pub use guarded::{Certificate, Job, JobPlace, Knobs, LOG_RATE_DEFAULT, Progress, TimeSync, plain_line};
pub use security::{AddressRange, Logins, Privileges, Scan, Security};
pub use watched::{
    Backup, Cache, ClockShown, Credential, DataTest, Database, DatabaseCare, Dependency, EndingKey, Engine,
    Network, NetworkWanted, Proxy, Queue, Resolves, Route, Signal, Versions, WatchedKeep,
};

use crate::{ActionKind, MatchOp};

/// A checked keep file. The default is what a host without a keep file gets: everything is watched, nothing is done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keep {
    /// Declared services by name.
    pub services: BTreeMap<String, Service>,
    /// Declared file systems by mount point.
    pub filesystems: BTreeMap<String, Filesystem>,
    /// What may be done, and how much of it.
    pub automation: Automation,
    /// Files with one JSON change record a line, appended by deploy tools.
    pub change_logs: Vec<PathBuf>,
    /// Series that are compared with their own past.
    pub unusual: Vec<UnusualRule>,
    /// Which listening sockets may be there, when that is declared.
    pub listeners: Option<Listeners>,
    /// What may be done to processes that belong to no service.
    pub strangers: Strangers,
    /// Files with maintenance windows.
    pub maintenance: Vec<PathBuf>,
    /// Where copies of altered files go, besides our own data directory.
    pub evidence: Option<PathBuf>,
    /// A server that the user already has, whose series are read beside our own.
    pub source: Option<Upstream>,
    /// Samples from elsewhere: scraped and pushed ones, rules over them, and how long they are kept.
    pub metrics: Metrics,
    /// Lines of logs: where they come from, whose they are, and how long they are kept.
    pub logs: Logs,
    /// Networks, databases, credentials, backups and outside services.
    pub watched: WatchedKeep,
    /// Logins, malware and rights.
    pub security: Security,
    /// Signs of progress, by service.
    pub progress: BTreeMap<String, Progress>,
    /// Who keeps the time.
    pub time_sync: Option<TimeSync>,
    /// What may be turned at services, by service.
    pub knobs: BTreeMap<String, Knobs>,
    /// Services that are daemons of the system: they should run always, whoever needs them.
    pub daemons: BTreeSet<String>,
    /// What is released where, by app.
    pub deploy: BTreeMap<String, App>,
    /// Playbooks that say how hosts should be.
    pub apply: BTreeMap<String, DesiredState>,
    /// Agents on other hosts.
    pub agents: Agents,
    /// Whose playbooks are believed.
    pub trust: Vec<TrustedKey>,
    /// How many of them have to sign what runs while nobody is there; one when it is not said.
    pub signatures: Option<u32>,
}

impl Keep {
    /// Daemons of the system: those that are declared so, and those that keep the time and run the jobs.
    #[must_use]
    pub fn all_daemons(&self) -> BTreeSet<String> {
        let time = self.time_sync.iter().filter_map(|t| t.service.clone());
        let jobs = self.watched.jobs.values().filter_map(|j| j.service.clone());
        self.daemons.iter().cloned().chain(time).chain(jobs).collect()
    }
}

/// Lines of logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logs {
    /// Files that are followed; not said: those that hosts usually have.
    pub files: Option<Vec<LogFiles>>,
    /// Whether the journal is followed; not said: where there is one.
    pub journal: Option<bool>,
    /// Whether logs of containers are followed; not said: where there are some.
    pub containers: Option<bool>,
    /// Where syslog is heard.
    pub syslog: Syslog,
    /// Whose lines they are, for lines that do not say it; the first rule that fits counts.
    pub entities: Vec<LogEntity>,
    /// How long lines are kept.
    pub retention: Option<Duration>,
    /// Bytes on disk beyond which the oldest go.
    pub size: Option<u64>,
    /// Other times for some lines; the first rule whose matchers all fit counts.
    pub streams: Vec<StreamRetention>,
    /// Lines that one source may bring in a second.
    pub lines_per_second: Option<u32>,
    /// How long everything is new after the first line of a service.
    pub learning: Option<Duration>,
}

/// Files whose lines are followed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogFiles {
    /// Patterns of paths.
    pub paths: Vec<String>,
    /// Patterns of paths that are left out.
    pub exclude: Vec<String>,
    /// Whose they are.
    pub service: Option<String>,
    /// Labels of every line.
    pub labels: BTreeMap<String, String>,
    /// What begins a new line: `auto`, `off`, `stamp`, or an expression.
    pub multiline: Option<String>,
    /// Only what is added from now on.
    pub from_end: bool,
    /// Lines of one file in a second beyond which they are dropped and counted.
    pub lines_per_second: Option<u32>,
}

/// Where syslog is heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Syslog {
    /// Datagrams.
    pub udp: Option<std::net::SocketAddr>,
    /// Connections.
    pub tcp: Option<std::net::SocketAddr>,
    /// Encrypted connections.
    pub tls: Option<SyslogTls>,
}

/// Where encrypted syslog is heard, and with which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogTls {
    /// Address.
    pub listen: std::net::SocketAddr,
    /// File with the certificate and those that lead to a known one.
    pub certificate: PathBuf,
    /// File with its key.
    pub key: PathBuf,
    /// File with the certificates that clients must be signed by; nobody needs one when it is not said.
    pub clients_ca: Option<PathBuf>,
}

/// Whose lines they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntity {
    /// Pattern of the file.
    pub path: Option<String>,
    /// Patterns of labels.
    pub labels: BTreeMap<String, String>,
    /// The service; `${label}` and `${1}` are filled in.
    pub service: Option<String>,
    /// The host.
    pub host: Option<String>,
}

/// How long some lines are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRetention {
    /// Label, operator, value: all must match.
    pub matchers: Vec<(String, MatchOp, String)>,
    /// How long.
    pub keep: Duration,
}

/// A Prometheus-compatible server to read from. Secrets are named by file, never held here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its address, without a slash at the end.
    pub url: String,
    /// Name for HTTP basic authentication.
    pub user: Option<String>,
    /// File with the password that belongs to `user`.
    pub password_file: Option<PathBuf>,
    /// File with a bearer token.
    pub token_file: Option<PathBuf>,
    /// File with the certificates that it is checked against, instead of the host's.
    pub ca_file: Option<PathBuf>,
}

/// What the store takes besides this host's own samples, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// A Prometheus configuration: what is scraped, and where samples are sent on to.
    pub scrape: Option<PathBuf>,
    /// Prometheus rule files, as patterns of absolute paths.
    pub rules: Vec<String>,
    /// Where Graphite's plain text is taken, TCP and UDP.
    pub graphite: Option<std::net::SocketAddr>,
    /// Where StatsD is taken, UDP.
    pub statsd: Option<std::net::SocketAddr>,
    /// How much older than the newest batch of its target a batch may be; the store's own value when not said.
    pub out_of_order: Option<Duration>,
    /// How long samples are kept.
    pub retention: Retention,
    /// How much may come.
    pub limits: IntakeLimits,
}

/// How much may come from elsewhere. What is not said has the store's own bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Series in the whole store.
    pub series: Option<u32>,
    /// New series that one source may bring between two blocks (two hours).
    pub series_per_source: Option<u32>,
    /// Samples that one source may push in a second.
    pub samples_per_second: Option<u32>,
}

/// How long samples are kept, counted from the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// As they came.
    pub raw: Duration,
    /// As rows of five minutes; none are made when not said.
    pub five_minutes: Option<Duration>,
    /// As rows of an hour; none are made when not said.
    pub hours: Option<Duration>,
    /// Bytes of blocks beyond which the oldest go, whatever their age.
    pub size: Option<u64>,
    /// Other times for some series; of several the first that matches holds.
    pub series: Vec<SeriesRetention>,
}

/// Other times of keeping for some series. What is not said is as for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRetention {
    /// Label, operator, value: all must match.
    pub matchers: Vec<(String, MatchOp, String)>,
    /// As they came.
    pub raw: Option<Duration>,
    /// As rows of five minutes.
    pub five_minutes: Option<Duration>,
    /// As rows of an hour.
    pub hours: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        Self {
            raw: days(15),
            five_minutes: Some(days(90)),
            hours: Some(days(730)),
            size: None,
            series: Vec::new(),
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name: the key in the keep file.
    pub name: String,
    /// How its processes are found.
    pub identity: Identity,
    /// Starts it; returns when it has been started.
    pub start: Option<Command>,
    /// Stops it.
    pub stop: Option<Command>,
    /// Restarts it; without it `stop` and `start` are used.
    pub restart: Option<Command>,
    /// Has it read its configuration again.
    pub reload: Option<Command>,
    /// Has it open its log files again.
    pub reopen: Option<Command>,
    /// All must pass for the service to be well.
    pub health: Vec<HealthCheck>,
    /// User that its processes run as.
    pub user: Option<String>,
    /// Addresses that it listens on.
    pub listens: Vec<std::net::SocketAddr>,
    /// Services that it needs.
    pub depends_on: Vec<String>,
    /// Mount points that it needs.
    pub uses: Vec<String>,
    /// Where its releases lie.
    pub release: Option<Release>,
    /// Files whose last good version is kept.
    pub files: Vec<KeptFile>,
    /// What may be done to it without asking.
    pub may: Vec<ActionKind>,
    /// Interchangeable with all services of the same group: many ill members at once stop all automation there.
    pub group: Option<String>,
    /// Something else (a supervisor) starts it again within this time; we wait that long before we do.
    pub starts_itself_within: Option<Duration>,
    /// Ends with status 0 when its configuration can be parsed; changes nothing.
    pub config_test: Option<Command>,
    /// Names that it must resolve, when it is a resolver.
    pub resolves: Option<Resolves>,
    /// The clock that it shows.
    pub clock: Option<ClockShown>,
}

impl Service {
    /// A service of which nothing else is declared.
    #[must_use]
    pub fn named(name: &str, identity: Identity) -> Self {
        Self {
            name: name.to_owned(),
            identity,
            start: None,
            stop: None,
            restart: None,
            reload: None,
            reopen: None,
            health: Vec::new(),
            user: None,
            listens: Vec::new(),
            depends_on: Vec::new(),
            uses: Vec::new(),
            release: None,
            files: Vec::new(),
            may: Vec::new(),
            group: None,
            starts_itself_within: None,
            config_test: None,
            resolves: None,
            clock: None,
        }
    }
}

/// How the processes of a service are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The file holds the main process id.
    Pidfile(PathBuf),
    /// A systemd unit.
    Unit(String),
    /// All processes of a control group (path below the cgroup root).
    Cgroup(String),
    /// Every process with this executable and, when given, this user and these words in its arguments.
    Program {
        /// Absolute path of the executable.
        exe: PathBuf,
        /// Owner.
        user: Option<String>,
        /// Text that one argument must equal (for interpreters: the script).
        argument: Option<String>,
    },
}

/// An argument vector. No shell unless the user wrote one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Longest time it may take.
    pub within: Duration,
}

/// One health check.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// Unique within the service; made from the probe when the user gave none.
    pub name: String,
    /// What is asked.
    pub probe: Probe,
    /// No answer within this time is a failure.
    pub within: Duration,
    /// Time between two checks.
    pub every: Duration,
    /// How many failures in a row make a finding.
    pub failures: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// GET, compared with a status and, when given, a text in the first 64 KiB of the body.
    Http {
        /// Absolute URL.
        url: String,
        /// Expected status.
        status: u16,
        /// Expected text.
        contains: Option<String>,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// A program ends with status 0.
    Exec {
        /// The program.
        command: Command,
    },
}

/// Where releases lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Symbolic link to the current release.
    pub current: PathBuf,
    /// Directory that holds the releases.
    pub from: PathBuf,
    /// Manifest inside each release: path, SHA-256, owner and mode of its files.
    pub manifest: Option<PathBuf>,
    /// The release as it was built, a `tar.gz`; `{release}` stands for the release's name.
    pub artefact: Option<String>,
    /// Makes another release current; `{release}` stands for its name. Without it the link is switched.
    pub rollback: Option<Command>,
}

/// Which listening sockets may be there besides those of services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners {
    /// Sockets that belong to no service and may be there.
    pub allow: Vec<AllowedListener>,
    /// Whether the port of any other may be blocked without asking.
    pub isolate: bool,
}

/// A socket that may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedListener {
    /// `None`: any address.
    pub ip: Option<std::net::IpAddr>,
    /// The port.
    pub port: u16,
}

/// What may be done to processes that belong to no service. Users are named; without a name nothing may be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Users whose processes may be ended when they harm a service.
    pub kill: Vec<String>,
    /// Users whose processes may be made nice when they take the processors from services.
    pub slow_down: Vec<String>,
}

/// A file whose versions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Absolute path.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
}

/// What a kept file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Settings of a service; a bad one can be rolled back.
    Setting,
    /// Configuration with a syntax of its own.
    Config,
    /// Content that belongs to a release.
    Content,
}

/// One file system.
#[derive(Debug, Clone, PartialEq)]
pub struct Filesystem {
    /// Mount point: the key in the keep file.
    pub mountpoint: String,
    /// Full from this share of used space on (0 to 1).
    pub full_at: f64,
    /// What may be removed when it is full; naming it here is the permission.
    pub free_space: Vec<FreeSpaceRule>,
    /// Paths below which nothing is ever touched.
    pub never_touch: Vec<PathBuf>,
    /// It must be mounted.
    pub mounted: Option<Mounted>,
    /// Mounts it; naming it is the permission to use it.
    pub mount: Option<Command>,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self {
            mountpoint: String::new(),
            full_at: FULL_AT_DEFAULT,
            free_space: Vec::new(),
            never_touch: Vec::new(),
            mounted: None,
            mount: None,
        }
    }
}

/// In which way a file system must be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounted {
    /// In any way.
    Anyhow,
    /// Writable.
    Writable,
}

/// Share of used space from which a file system counts as full when nothing else is declared.
pub const FULL_AT_DEFAULT: f64 = 0.95;

/// What may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSpaceRule {
    /// Absolute pattern with wildcards in the last path segment only.
    pub glob: String,
    /// Leave files that any process has open (always true today; a rule cannot switch it off).
    pub unless_open: bool,
    /// Leave files that were modified less than this time ago.
    pub older_than: Option<Duration>,
}

/// What the machine may do alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Automation {
    /// How far it may go.
    pub mode: Mode,
    /// How many actions may run at once.
    pub at_once: u32,
    /// How many attempts a target gets.
    pub attempts: Budget,
    /// Kinds that need a person although a service's `may` names them.
    pub confirm: Vec<ActionKind>,
    /// How long the signals must stay quiet before a recovery counts.
    pub verify_hold: Duration,
}

impl Default for Automation {
    /// The safe values.
    fn default() -> Self {
        Self {
            mode: Mode::Propose,
            at_once: 1,
            attempts: Budget { count: 3, per: Duration::from_secs(3600) },
            confirm: Vec::new(),
            verify_hold: Duration::from_secs(5),
        }
    }
}

/// How far the machine may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Only watch; no plans.
    Watch,
    /// Make plans and wait for approval.
    Propose,
    /// Do what `may` allows, propose the rest.
    Act,
}

impl Mode {
    /// The word of the keep file and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Propose => "propose",
            Self::Act => "act",
        }
    }
}

/// `3 per target per hour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

/// A series that is compared with its own past.
#[derive(Debug, Clone, PartialEq)]
pub struct UnusualRule {
    /// Name for people.
    pub name: String,
    /// PromQL that gives one value per entity.
    pub query: String,
    /// Robust z-score from which it is unusual.
    pub score: f64,
    /// How long it must stay so.
    pub hold: Duration,
}
