//! All checks together: feeds each round to every check and keeps what silence must not end.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::keep::Keep;
use wellkept_model::observe::Observation;
use wellkept_model::{
    EntityId, EntityKind, FileVersionChange, Finding, FindingKey, FindingKind, TimestampMs,
};

use crate::checks::{
    backup_unusable, certificate_unfit, clock_off, config_invalid, connections_full, credential_refused,
    dependency_slow, index_missing, jobs, link_down, names_wrong, network_altered, replay_paused,
};
use crate::checks::{
    cache_evicting::Evicting, declared, persistence_failing, proxies, queues, signals::Signals,
};
use crate::checks::{
    checkpoints_forced, deadlocks_often, locks_held, replication_broken, schema_differs, table_bloated,
    two_primaries, waiting_in_circle, wraparound_near,
};
use crate::checks::{
    deleted_open, file_changed, filesystem_filling::Filling, filesystem_full::Full, health,
    health_unsteady::Unsteady, listeners::Ports, process_gone::Gone, process_stopped,
    process_table::Processes, refused::Refusing, restarting::Restarting, rising::Rising, silent,
    unusual::Unusual,
};
use crate::checks::{mounts::Mounts, roads, security, squeezed::Squeezed, strain::Strained, traces};
use crate::maintenance::Announced;

/// One value of a chosen series, for the comparison with its past.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesValue {
    /// Name of the rule in the keep file.
    pub rule: String,
    /// The series as people read it, unique within the rule.
    pub series: String,
    /// Service that the series is about, when its labels say so.
    pub service: Option<String>,
    /// The value.
    pub value: f64,
}

/// Everything that one round brings.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// When.
    pub now: TimestampMs,
    /// Name of this host.
    pub host: &'a str,
    /// What was seen.
    pub seen: &'a Observation,
    /// Kept files that differ from their last good version now.
    pub file_changes: &'a [FileVersionChange],
    /// Values of the chosen series; empty in rounds without them.
    pub series: &'a [SeriesValue],
}

/// The detectors of one host with what they remember.
#[derive(Debug)]
pub struct Detectors {
    gone: Gone,
    restarting: Restarting,
    full: Full,
    filling: Filling,
    unsteady: Unsteady,
    processes: Processes,
    ports: Ports,
    rising: Rising,
    unusual: Unusual,
    mounts: Mounts,
    squeezed: Squeezed,
    strained: Strained,
    evicting: Evicting,
    signals: Signals,
    refusing: Refusing,
    announced: Announced,
    active: BTreeMap<FindingKey, Finding>,
    troubled: BTreeSet<EntityId>,
}

impl Detectors {
    /// Detectors without a past.
    #[must_use]
    pub fn new() -> Self {
        Self {
            gone: Gone::default(),
            restarting: Restarting::default(),
            full: Full::default(),
            filling: Filling::default(),
            unsteady: Unsteady::default(),
            processes: Processes::default(),
            ports: Ports::default(),
            rising: Rising::default(),
            unusual: Unusual::default(),
            mounts: Mounts::default(),
            squeezed: Squeezed::default(),
            strained: Strained::default(),
            evicting: Evicting::default(),
            signals: Signals::default(),
            refusing: Refusing::default(),
            announced: Announced::default(),
            active: BTreeMap::new(),
            troubled: BTreeSet::new(),
        }
    }

    /// Says about which entities an incident is open. Until they are named no more, nothing is learned from them: what a
    /// trouble looks like is not what is usual. Findings about them are made all the same.
    pub fn hold_baselines(&mut self, troubled: BTreeSet<EntityId>) {
        self.troubled = troubled;
    }

    /// Takes one round and gives all findings that hold now, sorted by key, with their first onset kept.
    pub fn observe(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mut found = self.gone.check(keep, round);
        found.extend(process_stopped::check(round));
        found.extend(self.restarting.check(round));
        found.extend(health::check(keep, round));
        found.extend(silent::check(keep, round));
        found.extend(self.full.check(keep, round));
        found.extend(self.filling.check(keep, round));
        found.extend(file_changed::check(round));
        found.extend(deleted_open::check(round));
        found.extend(self.ports.check(keep, round));
        found.extend(self.unsteady.check(round, &self.troubled));
        found.extend(self.processes.check(keep, round));
        found.extend(self.rising.check(round));
        found.extend(self.unusual.check(keep, round, &self.troubled));
        found.extend(self.mounts.check(keep, round));
        found.extend(self.squeezed.check(round));
        found.extend(self.strained.check(keep, round));
        found.extend(waiting_in_circle::check(round));
        found.extend(watched(keep, round));
        found.extend(self.evicting.check(keep, round));
        found.extend(self.signals.check(keep, round));
        found.extend(self.refusing.check(keep, round));
        let found = self.merge(keep, round, found);
        self.announced.leave_out(keep, round.seen, round.now, found)
    }

    /// Time until each file system is full at its present slope, seconds, where it fills.
    #[must_use]
    pub fn full_in_seconds(&self) -> &BTreeMap<String, f64> {
        self.filling.full_in_seconds()
    }

    fn merge(&mut self, keep: &Keep, round: &Round<'_>, found: Vec<Finding>) -> Vec<Finding> {
        let mut next: BTreeMap<FindingKey, Finding> = BTreeMap::new();
        for mut finding in found {
            if let Some(before) = self.active.get(&finding.key) {
                finding.since = before.since.min(finding.since);
            }
            next.insert(finding.key.clone(), finding);
        }
        for (key, finding) in &self.active {
            if !next.contains_key(key) && is_unseen(keep, round.seen, key) {
                next.insert(key.clone(), finding.clone());
            }
        }
        self.active = next;
        self.active.values().cloned().collect()
    }
}

impl Default for Detectors {
    fn default() -> Self {
        Self::new()
    }
}

/// What the slower looks saw.
fn watched(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = backup_unusable::check(keep, round);
    found.extend(certificate_unfit::check(keep, round));
    found.extend(clock_off::check(round));
    found.extend(config_invalid::check(round));
    found.extend(connections_full::check(keep, round));
    found.extend(credential_refused::check(keep, round));
    found.extend(dependency_slow::check(round));
    found.extend(index_missing::check(round));
    found.extend(jobs::check(keep, round));
    found.extend(link_down::check(round));
    found.extend(names_wrong::check(round));
    found.extend(network_altered::check(keep, round));
    found.extend(replay_paused::check(round));
    found.extend(roads::check(keep, round));
    found.extend(security::check(keep, round));
    found.extend(traces::check(keep, round));
    found.extend(inside_databases(keep, round));
    found.extend(persistence_failing::check(keep, round));
    found.extend(queues::check(keep, round));
    found.extend(declared::check(keep, round));
    found.extend(proxies::check(keep, round));
    found
}

/// What database servers say of themselves.
fn inside_databases(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = locks_held::check(keep, round);
    found.extend(deadlocks_often::check(keep, round));
    found.extend(table_bloated::check(keep, round));
    found.extend(wraparound_near::check(keep, round));
    found.extend(checkpoints_forced::check(keep, round));
    found.extend(replication_broken::check(keep, round));
    found.extend(two_primaries::check(keep, round));
    found.extend(schema_differs::check(keep, round));
    found
}

/// True when this round says nothing about the entity, although it should.
fn is_unseen(keep: &Keep, seen: &Observation, key: &FindingKey) -> bool {
    match key.entity.kind {
        EntityKind::Service => {
            keep.services.contains_key(&key.entity.name) && !seen.services.contains_key(&key.entity.name)
        }
        EntityKind::Filesystem if key.kind == FindingKind::MountMissing => seen.local.mounts.is_none(),
        EntityKind::Filesystem => {
            seen.filesystems.is_empty() || seen.problems.iter().any(|p| p.message.contains(&key.entity.name))
        }
        EntityKind::Host
        | EntityKind::Process
        | EntityKind::Interface
        | EntityKind::File
        | EntityKind::Backup
        | EntityKind::Dependency
        | EntityKind::Network
        | EntityKind::Address
        | EntityKind::Account
        | EntityKind::Listener => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::Exit;

    #[test]
    fn a_service_that_is_missing_from_a_round_keeps_its_findings() {
        let mut w = World::new(&["app"]);
        w.down("app", ended(1, Exit::Signal(9)));
        assert_eq!(w.kinds(), [FindingKind::ProcessGone]);
        w.seen.services.clear();
        assert_eq!(w.kinds(), [FindingKind::ProcessGone]);
        w.up("app", 2);
        assert!(w.kinds().is_empty());
    }

    #[test]
    fn an_undeclared_service_is_forgotten_at_once() {
        let mut w = World::new(&["app"]);
        w.down("app", ended(1, Exit::Signal(9)));
        w.kinds();
        w.seen.services.clear();
        w.keep.services.clear();
        assert!(w.kinds().is_empty());
    }
}
