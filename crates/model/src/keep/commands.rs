//! Which declared command does a step by means, and who allows it: one table for guards and hands.

use super::{Command, Keep};
use crate::{ActionKind, EntityId, EntityKind, Means};

/// Where naming a command is the permission to use it.
const NAMED: &[ActionKind] = &[ActionKind::Reconfigure];

/// A command with what the keep file says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared<'a> {
    /// The command.
    pub command: &'a Command,
    /// The word that it is done under.
    pub kind: ActionKind,
    /// What may be done without asking where it is declared.
    pub may: &'a [ActionKind],
}

impl Declared<'_> {
    /// True when a step of this kind may use it without asking.
    #[must_use]
    pub fn allows(&self, kind: ActionKind) -> bool {
        self.kind == kind && self.may.contains(&kind)
    }
}

impl Keep {
    /// The command behind a means of this entity. `None`: nothing is declared, or it is done without a command.
    #[must_use]
    pub fn command_for(&self, target: &EntityId, means: &Means) -> Option<Declared<'_>> {
        let reconfigure = |command, may| Declared { command, kind: ActionKind::Reconfigure, may };
        match (target.kind, means) {
            (EntityKind::Service, Means::Reload(certificate)) => {
                let declared = self.watched.certificates.get(certificate)?;
                let service = self.services.get(&declared.service).filter(|s| s.name == target.name)?;
                Some(reconfigure(service.reload.as_ref()?, service.may.as_slice()))
            }
            (EntityKind::Service, Means::Knob(word)) => {
                let knobs = self.knobs.get(&target.name)?;
                Some(reconfigure(knobs.command(word)?, knobs.may.as_slice()))
            }
            (_, Means::RunJob(job)) => {
                let job = self.watched.jobs.get(job).filter(|j| j.is_of(target))?;
                Some(reconfigure(job.run.as_ref()?, job.may.as_slice()))
            }
            (EntityKind::Filesystem, Means::Mount) => {
                Some(reconfigure(self.filesystems.get(&target.name)?.mount.as_ref()?, NAMED))
            }
            _ => None,
        }
    }
}
