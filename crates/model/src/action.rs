//! What is done to the world, and the plan that says so beforehand.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CauseKind, EntityId, FindingKey, IncidentId, Text, TimestampMs};

/// The recovery words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Stop and start a service, or start one that has ended.
    Restart,
    /// Start a service that others need.
    StartDependency,
    /// Let a stopped process go on.
    Resume,
    /// End processes that belong to no declared service.
    Kill,
    /// Bring back a file from a known-good copy.
    Restore,
    /// Go back to the last good version of a setting, configuration or release.
    Rollback,
    /// Remove what a declared rule allows.
    FreeSpace,
    /// Change a priority, setting, link or secret as declared, or have a service open its files again.
    Reconfigure,
    /// Make a backup now and prove it.
    RunBackup,
    /// End sessions inside a database.
    TerminateSession,
    /// Block a port, or move something aside, and keep it.
    Isolate,
    /// Hand over to a person with the evidence.
    Escalate,
}

impl ActionKind {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Restart,
        Self::StartDependency,
        Self::Resume,
        Self::Kill,
        Self::Restore,
        Self::Rollback,
        Self::FreeSpace,
        Self::Reconfigure,
        Self::RunBackup,
        Self::TerminateSession,
        Self::Isolate,
        Self::Escalate,
    ];

    /// The word of the API, of the keep file and of message keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::StartDependency => "start_dependency",
            Self::Resume => "resume",
            Self::Kill => "kill",
            Self::Restore => "restore",
            Self::Rollback => "rollback",
            Self::FreeSpace => "free_space",
            Self::Reconfigure => "reconfigure",
            Self::RunBackup => "run_backup",
            Self::TerminateSession => "terminate_session",
            Self::Isolate => "isolate",
            Self::Escalate => "escalate",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }
}

/// `<incident>-<number>`: unique for the life of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId {
    /// Incident it belongs to.
    pub incident: IncidentId,
    /// Counts from 1 within the incident.
    pub number: u32,
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incident, self.number)
    }
}

/// How a step is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It cannot be taken back; said on purpose.
    Irreversible,
    /// Put back the version of the file that the action replaced (SHA-256 of the kept copy).
    PutBack {
        /// The file.
        path: String,
        /// The version that was there before; `None`: the file did not exist.
        sha256: Option<String>,
    },
    /// Send the process into the stopped state again.
    Stop,
    /// Use another declared means, as its subject names it.
    Means {
        /// See [`crate::Means`].
        subject: String,
    },
    /// Make this release the current one again.
    Release {
        /// As the link held it.
        to: String,
    },
    /// Open the port again.
    Unblock {
        /// `tcp` or `udp`.
        protocol: String,
        /// The port.
        port: u16,
    },
    /// Give these processes their old priority back.
    Renice {
        /// Each process (as [`crate::ProcessSet`] writes it) with its old nice value.
        before: Vec<(String, i32)>,
    },
}

/// One thing to be done, with every choice made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAction {
    /// What.
    pub kind: ActionKind,
    /// To whom. Never empty: the planner refuses a cause without an entity.
    pub target: EntityId,
    /// The file for `restore`/`rollback`, else empty.
    pub subject: String,
    /// The version to put there (SHA-256 of a kept copy), for `restore`/`rollback`.
    pub to_version: Option<String>,
    /// Longest time the step may take before its result is `unknown`.
    pub deadline_ms: u64,
    /// Findings that must be quiet for the verification.
    pub verify: Vec<FindingKey>,
    /// How it is taken back.
    pub undo: Undo,
    /// Why this step, for people.
    pub reason: Text,
}

/// A value with no choices left. The executor decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Incident that it is for.
    pub incident: IncidentId,
    /// Rises with each plan of an incident; an older one has no effect.
    pub generation: u32,
    /// When it was made.
    pub made_at: TimestampMs,
    /// After this instant it has no effect.
    pub expires_at: TimestampMs,
    /// Cause that it answers.
    pub cause: CauseKind,
    /// True when policy lets it run without a person.
    pub automatic: bool,
    /// Why it may not run by itself, when it may not.
    pub withheld: Option<Text>,
    /// In order; never empty.
    pub steps: Vec<PlannedAction>,
    /// How long all must stay quiet after the last step.
    pub verify_hold_ms: u64,
}

impl Plan {
    /// How long the verification holds.
    #[must_use]
    pub fn verify_hold(&self) -> Duration {
        Duration::from_millis(self.verify_hold_ms)
    }
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStatus {
    /// Proposed or waiting for its turn.
    Planned,
    /// Journalled and being done.
    Running,
    /// Done, and its own check passed.
    Succeeded,
    /// Done without success.
    Failed,
    /// Taken back.
    RolledBack,
    /// Not done, on purpose.
    Skipped,
    /// Whether it was done cannot be proven; waits for a person.
    Unknown,
}

impl ActionStatus {
    /// All words, in the order of declaration.
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::RolledBack,
        Self::Skipped,
        Self::Unknown,
    ];

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        }
    }
}

/// One action of an incident, planned or past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Identity.
    pub id: ActionId,
    /// What and to whom.
    pub planned: PlannedAction,
    /// The cause that it answers, when it is known.
    #[serde(default)]
    pub cause: Option<CauseKind>,
    /// Where it stands.
    pub status: ActionStatus,
    /// False when a person approved or asked for it.
    pub automatic: bool,
    /// When it began.
    pub started_at: Option<TimestampMs>,
    /// When it ended.
    pub finished_at: Option<TimestampMs>,
    /// What came out, for people: exit status, last lines, what was freed.
    pub outcome: Option<Text>,
}

impl Action {
    /// True when a person may have it taken back: it was done and has a way back; or it failed after it had done
    /// something, as its executor said; or nobody knows how far it came, and the way back looks before it leaps (what is
    /// there must be what this step would have put there).
    #[must_use]
    pub fn can_be_taken_back(&self) -> bool {
        let undo = &self.planned.undo;
        match self.status {
            ActionStatus::Succeeded => *undo != Undo::Irreversible,
            ActionStatus::Failed => {
                matches!(undo, Undo::PutBack { .. } | Undo::Release { .. } | Undo::Renice { .. })
            }
            ActionStatus::Unknown => matches!(undo, Undo::PutBack { .. } | Undo::Release { .. }),
            ActionStatus::Planned
            | ActionStatus::Running
            | ActionStatus::RolledBack
            | ActionStatus::Skipped => false,
        }
    }
}
