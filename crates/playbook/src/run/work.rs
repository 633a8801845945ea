//! What the engine asks of its caller, and what it is told back.

use wellkept_inventory::Value;

use crate::book::Prompt;
use crate::template::ScopeRef;

/// Names one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkId(pub u64);

/// How rights are taken on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Become {
    /// `sudo`, `su`, `doas`, …
    pub method: String,
    /// The user.
    pub user: String,
    /// More flags for the method.
    pub flags: Option<String>,
    /// Another program for the method.
    pub exe: Option<String>,
}

/// One module to run on one host.
#[derive(Clone)]
pub struct Work {
    /// For the answer.
    pub id: WorkId,
    /// The host that the task is for.
    pub host: String,
    /// The host that it runs on: the same, or the one that it is delegated to.
    pub target: String,
    /// The module's short name.
    pub module: String,
    /// The module's name as the playbook has it.
    pub written: String,
    /// Arguments, rendered; omitted ones are left out.
    pub args: Vec<(String, Value)>,
    /// Only say what would change.
    pub check: bool,
    /// Say how texts would change.
    pub diff: bool,
    /// Nothing of it may be logged.
    pub no_log: bool,
    /// Seconds that it may run in the background; 0 is not at all.
    pub async_seconds: u64,
    /// Seconds between looks at background work; 0 does not look.
    pub poll: u64,
    /// Rights.
    pub becomes: Option<Become>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Seconds after which it has failed.
    pub timeout: Option<u64>,
    /// Overrides of how the target is reached.
    pub connection: Option<String>,
    /// Override of the login name.
    pub remote_user: Option<String>,
    /// Override of the port.
    pub port: Option<u16>,
    /// The variables of the task, for templates and connection settings.
    pub scope: ScopeRef,
    /// Folders in which the task's files are searched, nearest first.
    pub search_path: Vec<String>,
}

/// How a piece of work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The module's result, a map.
    Done(Value),
    /// The host could not be reached; the step did not run.
    Unreachable(String),
    /// The connection was lost in the step: nobody knows whether it ran.
    Unknown(String),
}

/// What happens next.
pub enum Next {
    /// Run these; they may run at the same time.
    Work(Vec<Work>),
    /// Ask a person and answer with [`super::Run::answer`].
    Ask(Prompt),
    /// Nothing until an answer comes.
    Wait,
    /// Nothing until this time (milliseconds since the epoch) or an answer.
    Until(i64),
    /// The run is over, with this exit code.
    Done(u8),
}
