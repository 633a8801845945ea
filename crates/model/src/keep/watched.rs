//! What is declared about networks, databases, credentials, backups and outside services.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{AddressRange, Certificate, Command, Job};
use crate::ActionKind;

/// All of it by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchedKeep {
    /// Backups.
    pub backups: BTreeMap<String, Backup>,
    /// Certificates that services serve.
    pub certificates: BTreeMap<String, Certificate>,
    /// Redis servers, by the name of their service.
    pub caches: BTreeMap<String, Cache>,
    /// Credentials that somebody else may change.
    pub credentials: BTreeMap<String, Credential>,
    /// PostgreSQL servers, by the name of their service.
    pub databases: BTreeMap<String, Database>,
    /// Tests of data, by name.
    pub data: BTreeMap<String, DataTest>,
    /// Keys and tokens with an end.
    pub keys: BTreeMap<String, EndingKey>,
    /// Proxies, by the name of their service.
    pub proxies: BTreeMap<String, Proxy>,
    /// By service: what its series say about its load and its ease.
    pub signals: BTreeMap<String, BTreeMap<Signal, String>>,
    /// Components whose versions must fit.
    pub versions: BTreeMap<String, Versions>,
    /// Services of others that ours need.
    pub dependencies: BTreeMap<String, Dependency>,
    /// Jobs that run at their times.
    pub jobs: BTreeMap<String, Job>,
    /// Networks of this host.
    pub networks: BTreeMap<String, Network>,
}

/// Names that a resolver must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolves {
    /// The resolver's address; asked over UDP.
    pub at: SocketAddr,
    /// Names with one address that the answer must hold.
    pub names: BTreeMap<String, IpAddr>,
    /// Time between two looks.
    pub every: Duration,
}

/// The clock that a service shows in the `Date` of its HTTP answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockShown {
    /// Where it is asked, `http://…`.
    pub http: String,
    /// From this difference to the host's clock on it is wrong.
    pub off_by: Duration,
    /// Time between two looks.
    pub every: Duration,
}

/// A set of dumps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// Absolute pattern of the files, wildcards in the last segment only.
    pub glob: String,
    /// A smaller file is no backup, bytes.
    pub min_size: u64,
    /// The newest one must be younger.
    pub max_age: Option<Duration>,
    /// The log of its job.
    pub log: Option<PathBuf>,
    /// Makes one now.
    pub run: Option<Command>,
    /// Restores a file (`{file}`) elsewhere; status 0 means that it is whole.
    pub test: Option<Command>,
    /// Keeps old ones from being removed.
    pub keep_old: Option<Command>,
    /// The credential that its job uses.
    pub credential: Option<String>,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// A credential: one place that knows the truth, and those who hold a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// File with the value that holds.
    pub store: PathBuf,
    /// Files with the copies of those who use it.
    pub copies: Vec<PathBuf>,
    /// Services that use it.
    pub used_by: Vec<String>,
    /// Name of the account.
    pub user: String,
    /// Log of the other side, where refusals are told.
    pub log: Option<PathBuf>,
    /// Status 0: the other side accepts the value of the store.
    pub test: Option<Command>,
    /// Hands the value of the store to those who use it.
    pub sync: Option<Command>,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// A PostgreSQL server.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// The service.
    pub service: String,
    /// `psql` or a program that behaves as `psql -AtqX` does: takes SQL at its standard input, prints rows with `|`.
    pub sql: Command,
    /// Share of used connection slots from which they count as exhausted (0 to 1).
    pub full_at: f64,
    /// Applications whose sessions may be ended when idle in a transaction for longer than this.
    pub end_sessions: BTreeMap<String, Duration>,
    /// Indexes that must be there.
    pub indexes: Vec<String>,
    /// Takes a migration back; `{id}` is the recorded change.
    pub undo_migration: Option<Command>,
    /// True for a standby: it must replay.
    pub standby: bool,
    /// What else must hold in it.
    pub care: DatabaseCare,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// What a series says about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Share of its threads that are busy, 0 to 1.
    Busy,
    /// Share of its requests that fail, 0 to 1.
    Errors,
    /// Share of its time that it stands still for collections, 0 to 1.
    Gc,
    /// How long its requests take, in any unit.
    Latency,
    /// Requests that come in, in any unit.
    Load,
    /// Share of its requests that are repeated attempts, 0 to 1.
    Retries,
}

impl Signal {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 6] = [Self::Busy, Self::Errors, Self::Gc, Self::Latency, Self::Load, Self::Retries];

    /// The word in the keep file and in findings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Errors => "errors",
            Self::Gc => "gc",
            Self::Latency => "latency",
            Self::Load => "load",
            Self::Retries => "retries",
        }
    }

    /// The name under which its values come to the detectors.
    #[must_use]
    pub fn rule(self) -> String {
        format!("signal {}", self.word())
    }
}

/// A test of data that a service keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataTest {
    /// Its name.
    pub name: String,
    /// The service.
    pub service: String,
    /// Status 0: whole.
    pub test: Command,
    /// Time between two looks.
    pub every: Duration,
}

/// A file with a key or token that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingKey {
    /// Its name.
    pub name: String,
    /// A JSON Web Token, or JSON with `exp` or `expires_at`.
    pub file: PathBuf,
    /// So long before its end it is told.
    pub before: Duration,
    /// Services that use it; never empty.
    pub used_by: Vec<String>,
    /// Makes a new one.
    pub renew: Option<Command>,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// A service that sends requests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The service.
    pub service: String,
    /// Its log of errors, as nginx writes it.
    pub error_log: Option<PathBuf>,
    /// Where it tells of its connections, as nginx's `stub_status` does.
    pub status: Option<String>,
    /// Its configuration is loaded when its workers begin; else when it is started itself.
    pub loaded_by_workers: bool,
}

/// Components whose versions must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Its name.
    pub name: String,
    /// By service: prints its version.
    pub of: BTreeMap<String, Command>,
    /// How many numbers must be the same: 1 for the major one.
    pub numbers: usize,
    /// Time between two looks.
    pub every: Duration,
}

/// A Redis server, or one that speaks its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The service.
    pub service: String,
    /// `HOST:PORT` or the path of a socket.
    pub redis: String,
    /// The account, when there are several.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// The limit of its memory that should hold, bytes.
    pub memory: Option<u64>,
    /// True for one that must follow another.
    pub standby: bool,
    /// Lists that are used as queues, by their key.
    pub queues: BTreeMap<String, Queue>,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// A list that is used as a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// From this length on it is full.
    pub limit: u64,
    /// Entries are taken from the left end; else from the right one.
    pub takes_left: bool,
    /// An entry that stays the next one for longer is stuck.
    pub stuck: Duration,
    /// The service that takes entries.
    pub consumer: Option<String>,
    /// List to which an entry that nobody can do may be moved.
    pub dead_letter: Option<String>,
}

/// What must hold in a database server besides connections, indexes and replay.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseCare {
    /// How it is asked.
    pub engine: Engine,
    /// Sessions that wait longer than this for a lock are a finding.
    pub lock_wait: Duration,
    /// Applications whose session may be ended when others wait for it and its transaction is older than this.
    pub end_blockers: BTreeMap<String, Duration>,
    /// Deadlocks in a minute that are a finding.
    pub deadlocks: u64,
    /// Share of dead rows from which a big table counts as bloated (0 to 1).
    pub bloated_at: f64,
    /// Tables that may be vacuumed.
    pub vacuum: Vec<String>,
    /// Share of the transaction numbers that may be used up (0 to 1).
    pub wraparound_at: f64,
    /// Tables with columns that must be there.
    pub schema: BTreeMap<String, Vec<String>>,
    /// Nodes with the same word are one cluster, which has one primary.
    pub cluster: Option<String>,
    /// True: the plan of a statement that was seen may be asked for. Planning runs functions that are declared immutable,
    /// with the rights of who asks.
    pub explain: bool,
}

impl Default for DatabaseCare {
    fn default() -> Self {
        Self {
            engine: Engine::Postgres,
            lock_wait: Duration::from_secs(10),
            end_blockers: BTreeMap::new(),
            deadlocks: 3,
            bloated_at: 0.5,
            vacuum: Vec::new(),
            wraparound_at: 0.5,
            schema: BTreeMap::new(),
            cluster: None,
            explain: false,
        }
    }
}

/// How a database server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL, by `psql -AtqX`.
    Postgres,
    /// MySQL or MariaDB, by `mariadb -BNqrn` or `mysql -BNqrn`.
    Mysql,
}

/// A service of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Asked to see how long an answer takes; any HTTP answer counts.
    pub http: String,
    /// From this time on it is slow.
    pub slow: Duration,
    /// Our services that need it.
    pub used_by: Vec<String>,
    /// Has our services do without it for a while.
    pub fallback_on: Option<Command>,
    /// Has them use it again.
    pub fallback_off: Option<Command>,
    /// Time between two looks.
    pub every: Duration,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
}

/// Links and packet filter of one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The named network namespace; the host's own when absent.
    pub namespace: Option<String>,
    /// Links that must be up, with the kind of their root queueing discipline when it is declared.
    pub links: BTreeMap<String, Option<String>>,
    /// File with the packet filter rules as `nft -f` reads them.
    pub rules: Option<PathBuf>,
    /// Services that are reached through it.
    pub carries: Vec<String>,
    /// What may be done without asking.
    pub may: Vec<ActionKind>,
    /// What else must hold there.
    pub wanted: NetworkWanted,
}

/// What must hold in a network besides links that are up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkWanted {
    /// Routes that must be there.
    pub routes: Vec<Route>,
    /// Largest packet of a link, bytes.
    pub mtu: BTreeMap<String, u32>,
    /// Least speed of a link, megabits a second.
    pub speed: BTreeMap<String, u32>,
}

/// A route as `ip route` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: AddressRange,
    /// Over which neighbour.
    pub via: Option<IpAddr>,
    /// Over which link.
    pub dev: Option<String>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.to.address, self.to.prefix)?;
        self.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        self.dev.iter().try_for_each(|dev| write!(f, " dev {dev}"))
    }
}
