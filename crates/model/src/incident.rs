//! Findings that belong together, with a life.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Action, Cause, EntityId, Finding, FindingKey, Plan, Prevention, Severity, Text, TimestampMs};

/// Counts from 1 for the life of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// Findings came together; nothing is known yet.
    Open,
    /// Causes are being looked for, or are known and a plan waits for approval.
    Diagnosing,
    /// A plan is being executed.
    Recovering,
    /// The plan is done; the signals must stay quiet.
    Verifying,
    /// Quiet for the hold time.
    Resolved,
    /// A person is needed.
    Escalated,
}

impl IncidentStatus {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Diagnosing, Self::Recovering, Self::Verifying, Self::Resolved, Self::Escalated];

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Diagnosing => "diagnosing",
            Self::Recovering => "recovering",
            Self::Verifying => "verifying",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
        }
    }
}

/// What sort of entry in the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentKind {
    /// A finding began or ended.
    Seen,
    /// A cause was named.
    Thought,
    /// A plan was made, approved or withheld.
    Planned,
    /// A step was done.
    Done,
    /// A verification step passed or failed.
    Verified,
    /// The incident's status changed.
    Status,
}

impl MomentKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Seen, Self::Thought, Self::Planned, Self::Done, Self::Verified, Self::Status];

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Thought => "thought",
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Verified => "verified",
            Self::Status => "status",
        }
    }
}

/// One entry of an incident's time line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: TimestampMs,
    /// What sort.
    pub kind: MomentKind,
    /// What.
    pub text: Text,
}

/// An incident with everything that a person wants to see of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Identity.
    pub id: IncidentId,
    /// One line.
    pub title: Text,
    /// Where it stands.
    pub status: IncidentStatus,
    /// The worst of its findings so far.
    pub severity: Severity,
    /// Onset of the first finding, as far as can be told.
    pub began_at: TimestampMs,
    /// When it was opened.
    pub opened_at: TimestampMs,
    /// When anything about it changed.
    pub updated_at: TimestampMs,
    /// When it was resolved.
    pub resolved_at: Option<TimestampMs>,
    /// The entity that it is about: the root cause's, or the first finding's.
    pub entity: EntityId,
    /// All findings that belong to it, in order of onset; those in `holding` still hold.
    pub findings: Vec<Finding>,
    /// How many of the findings hold now.
    pub active: usize,
    /// Which of the findings hold now.
    #[serde(default)]
    pub holding: Vec<FindingKey>,
    /// Most likely first.
    pub causes: Vec<Cause>,
    /// The plan in force, when there is one.
    pub plan: Option<Plan>,
    /// In order.
    pub actions: Vec<Action>,
    /// In order.
    pub timeline: Vec<Moment>,
    /// How many incidents had this root within a week, itself included; 0 while no root is known.
    #[serde(default)]
    pub times: u32,
    /// What could keep it from coming again; proposed once it is resolved.
    #[serde(default)]
    pub prevention: Option<Prevention>,
}
