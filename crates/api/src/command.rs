//! What people ask the engine to do, and how it says no.

use tokio::sync::oneshot;
use wellkept_model::{ActionId, ActionKind, CauseKind, Change, IncidentId, Text};

/// Where the engine puts its answer.
pub type Reply = oneshot::Sender<Result<(), Refusal>>;

/// One act. `who` names the person or token and the address that it came from.
#[derive(Debug)]
pub enum Command {
    /// Let the plan of this generation run.
    Approve {
        /// The incident.
        incident: IncidentId,
        /// The plan that the person saw; another one is a conflict.
        generation: u32,
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Take an action back.
    Undo {
        /// The action.
        action: ActionId,
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Hand the incident to a person.
    Escalate {
        /// The incident.
        incident: IncidentId,
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Stop all new steps.
    Freeze {
        /// Why, for others to read.
        reason: String,
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Allow steps again.
    Unfreeze {
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Forget what was learned: everything, all about one kind of cause, or one action against it.
    Forget {
        /// The kind of cause.
        cause: Option<CauseKind>,
        /// The action.
        action: Option<ActionKind>,
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Read the keep file again.
    Reload {
        /// Who.
        who: String,
        /// Answer.
        reply: Reply,
    },
    /// Remember a change that a person or tool made.
    RecordChange {
        /// The change.
        change: Change,
        /// Who sent it; the person who made the change is in it.
        who: String,
        /// Answer.
        reply: Reply,
    },
}

/// Why the engine does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What sort of no.
    pub kind: RefusalKind,
    /// For people.
    pub text: Text,
}

/// Sorts of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no such incident, plan or action.
    NotFound,
    /// The state has moved on: an older plan, an action already taken back.
    Conflict,
    /// Policy forbids it.
    Forbidden,
    /// It cannot be done now.
    Unavailable,
    /// What was sent does not make sense: a keep file with errors.
    BadData,
}
