//! What diagnosis is given: frozen, complete, and stored beside the incident.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wellkept_model::observe::{Observation, ProcessEnd, ServiceSeen, SpaceUse};
use wellkept_model::{
    Action, Change, EntityId, FileVersionChange, Finding, FindingKind, TimestampMs, Topology,
};

/// How long failing checks are put down to the end of the process before them.
const AFTERMATH: Duration = Duration::from_secs(30);
/// Checks may fail this long before the end of the process is seen.
const NOTICED_BEFORE: Duration = Duration::from_secs(3);

/// Version of the stored form of [`Situation`].
pub const SITUATION_FORMAT: u32 = 1;

/// Everything that diagnosis may look at. It asks for nothing more and reads no clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    /// [`SITUATION_FORMAT`] of the writer.
    pub format: u32,
    /// When it was frozen.
    pub now: TimestampMs,
    /// Name of the host.
    pub host: String,
    /// Findings of the incident that hold now.
    pub findings: Vec<Finding>,
    /// What was seen.
    pub seen: Observation,
    /// Who leans on whom.
    pub topology: Topology,
    /// Recorded changes of the last hours, oldest first.
    pub changes: Vec<Change>,
    /// Kept files that differ from their last good version.
    pub file_changes: Vec<FileVersionChange>,
    /// What was done about this incident so far.
    #[serde(default)]
    pub tried: Vec<Action>,
    /// What fills the file systems that are full.
    pub space: Vec<SpaceUse>,
    /// Whose series moved most since it began, likeliest first: only looked for when no rule knows the cause.
    #[serde(default)]
    pub suspects: Vec<Suspect>,
}

/// An entity whose series moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Who.
    pub entity: EntityId,
    /// 0 to 1.
    pub score: f64,
    /// What its strongest sign says: `slow`, `failing`, `full` or `changed`.
    pub sign: String,
    /// The series of that sign.
    pub series: String,
    /// Its typical value before.
    pub before: f64,
    /// Its worst value since.
    pub after: f64,
    /// When it began to move, when that can be told.
    pub onset: Option<TimestampMs>,
}

impl Situation {
    /// Findings of one kind.
    pub(crate) fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |f| f.key.kind == kind)
    }

    /// Findings about one entity.
    pub(crate) fn about<'a>(&'a self, entity: &'a EntityId) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |f| f.key.entity == *entity)
    }

    /// True when the entity has a finding of this kind.
    pub(crate) fn has(&self, entity: &EntityId, kind: FindingKind) -> bool {
        self.about(entity).any(|f| f.key.kind == kind)
    }

    /// What was seen of a service.
    pub(crate) fn service(&self, entity: &EntityId) -> Option<&ServiceSeen> {
        self.seen.services.get(&entity.name)
    }

    /// True when the service's last process ended just now, and not long after this finding began: what follows in
    /// these seconds (failing checks while it comes back) belongs to that end.
    pub(crate) fn follows_an_end(&self, finding: &Finding) -> bool {
        self.last_end(&finding.key.entity).is_some_and(|end| {
            self.now.since(end.at) <= AFTERMATH && finding.since + NOTICED_BEFORE >= end.at
        })
    }

    /// How the service's last main process ended.
    pub(crate) fn last_end(&self, entity: &EntityId) -> Option<&ProcessEnd> {
        self.service(entity).and_then(|s| s.last_end.as_ref())
    }
}
