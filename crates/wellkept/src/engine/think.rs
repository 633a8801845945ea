//! One pass over what is known: findings, incidents, causes, plans, the next step.

use std::collections::BTreeSet;

use wellkept_collect::space::{Budget, inspect};
use wellkept_detect::Round;
use wellkept_diagnose::{SITUATION_FORMAT, Situation, diagnose};
use wellkept_model::observe::SpaceUse;
use wellkept_model::{
    ActionStatus, EntityId, EntityKind, FileVersionChange, Finding, FindingKind, IncidentId, Means, Plan,
    TimestampMs,
};
use wellkept_recover::Decision;

use super::files::of_releases;
use super::{Engine, OwnMetrics};
use crate::record::{Given, Record};

impl Engine {
    /// Judges what is known now and does what follows from it.
    pub(super) async fn think(&mut self, at: TimestampMs) {
        self.states.set_frozen(self.is_frozen());
        self.note_deployments(at);
        let put_right = self.states.take_changes();
        if !put_right.is_empty() {
            self.take_changes(put_right).await;
        }
        self.name_our_fallbacks();
        let file_changes = self.look_at_files(at).await;
        let series = self.unusual_values(at).await;
        let round = Round {
            now: at,
            host: &self.host,
            seen: &self.seen,
            file_changes: &file_changes,
            series: &series,
        };
        self.detectors.hold_baselines(self.book.troubled());
        let mut findings = self.detectors.observe(&self.keep, &round);
        findings.extend(self.intake.firing().into_iter().map(|f| Finding { at, ..f }));
        let is_service = |name: &str| self.keep.services.contains_key(name);
        findings.extend(crate::logs::findings(&self.logs.0, &self.host, &is_service, at));
        findings.extend(self.states.findings(at));
        findings.extend(self.agents.iter().flat_map(|agents| agents.findings(at)));
        OwnMetrics::set(&self.metrics.findings, findings.len());
        if worth_a_closer_look(at, &self.seen, &findings) {
            self.collector.look_closely();
        }
        self.book.handle_round(at, findings, &self.seen, &self.topology, &self.keep);
        self.diagnose_due(at, &file_changes).await;
        self.start_steps(at).await;
        self.publish_incidents().await;
    }

    /// What deployments have in hand is theirs. What they leave behind is decided anew.
    fn note_deployments(&mut self, at: TimestampMs) {
        let deploying = crate::under_way::windows(&self.data_dir, &self.keep, &self.host, at);
        let before: BTreeSet<String> = self.deploying.iter().flat_map(|w| w.components.clone()).collect();
        if before.iter().any(|name| !deploying.iter().any(|w| w.components.contains(name))) {
            self.book.reconsider();
        }
        self.deploying.clone_from(&deploying);
        self.seen.deploying = deploying;
    }

    /// A fallback that we switched on and not off again is ours to switch off.
    fn name_our_fallbacks(&mut self) {
        for (name, seen) in &mut self.seen.watched.dependencies {
            let entity = EntityId::new(EntityKind::Dependency, name);
            let done = self.book.incidents().flat_map(|i| &i.actions).filter(|a| {
                a.planned.target == entity
                    && matches!(a.status, ActionStatus::Succeeded | ActionStatus::RolledBack)
            });
            let last = done
                .filter_map(|a| Some((a.finished_at?, a.status, a.planned.subject.parse::<Means>().ok()?)))
                .max_by_key(|(at, ..)| *at);
            let on = |(_, status, means)| {
                status == ActionStatus::Succeeded && matches!(means, Means::FallbackOn(_))
            };
            seen.fallback_ours = last.is_some_and(on);
        }
    }

    async fn look_at_files(&mut self, at: TimestampMs) -> Vec<FileVersionChange> {
        let (seen, active, keep) = (&self.seen, self.book.active(), &self.keep);
        let well = |service: &str| is_well(service, seen, active) && keep.services.contains_key(service);
        self.files.observe(at, &seen.files, &well, &self.changes).await;
        let mut changed = self.files.changed(&self.changes);
        changed.extend(of_releases(&seen.local.release_files, &self.changes));
        changed
    }

    async fn diagnose_due(&mut self, at: TimestampMs, file_changes: &[FileVersionChange]) {
        for id in self.book.due_for_diagnosis(at) {
            let situation = self.situation(id, at, file_changes).await;
            self.book.handle_causes(at, id, diagnose(&situation));
        }
        for id in self.book.due_for_plan(at) {
            self.suspect(id, at).await;
            let situation = self.situation(id, at, file_changes).await;
            // The decision is about the causes of this very situation.
            self.book.handle_causes(at, id, diagnose(&situation));
            if self.book.due_for_plan(at).contains(&id) {
                self.decide(id, at, situation);
            }
        }
    }

    fn decide(&mut self, id: IncidentId, at: TimestampMs, situation: Situation) {
        let Some(incident) = self.book.incident(id) else { return };
        let (generation, failed) = self.book.plan_inputs(id);
        let mut record = Record::new(Given {
            situation,
            incident,
            active: self.book.active(),
            frozen: self.is_frozen(),
            ledger: self.book.ledger(),
            failed,
            generation,
            keep: self.keep_text.as_deref(),
        });
        let answer = record.judge(&self.keep);
        let decision = answer.decision.clone();
        if matches!(decision, Decision::Wait(..)) {
            tracing::debug!(incident = %id, ?decision, "waits");
        } else {
            tracing::info!(incident = %id, decision = summary(&decision), "decided");
            match answer.text() {
                Ok(text) => {
                    record.answer = text;
                    super::situations::keep(&self.data_dir, record);
                }
                Err(error) => tracing::warn!(incident = %id, %error, "a decision could not be recorded"),
            }
        }
        self.book.handle_decision(at, id, decision);
    }

    async fn situation(
        &self,
        id: IncidentId,
        at: TimestampMs,
        file_changes: &[FileVersionChange],
    ) -> Situation {
        let findings = self.book.findings_of(id);
        Situation {
            format: SITUATION_FORMAT,
            now: at,
            host: self.host.clone(),
            tried: self.book.incident(id).map_or_else(Vec::new, |i| i.actions.clone()),
            space: self.look_at_space(&findings).await,
            suspects: self.suspects.get(&id).cloned().unwrap_or_default(),
            findings,
            seen: self.seen.clone(),
            topology: self.topology.clone(),
            changes: self.changes.iter().rev().cloned().collect(),
            file_changes: file_changes.to_vec(),
        }
    }

    /// What fills the file systems that are full: a bounded look, only when there is such a finding.
    async fn look_at_space(&self, findings: &[Finding]) -> Vec<SpaceUse> {
        let mut looks = Vec::new();
        for finding in findings.iter().filter(|f| f.key.kind == FindingKind::FilesystemFull) {
            let Some(declared) = self.keep.filesystems.get(&finding.key.entity.name).cloned() else {
                continue;
            };
            let at = finding.at;
            let look = tokio::task::spawn_blocking(move || inspect(&declared, at, Budget::default())).await;
            match look {
                Ok(found) => looks.push(found),
                Err(error) => tracing::error!(%error, "the look at a file system ended early"),
            }
        }
        looks
    }
}

/// How long something may be wrong before the slower looks go back to their usual pace.
const CLOSER_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// True while something is wrong and has not been so for long.
fn worth_a_closer_look(
    at: TimestampMs,
    seen: &wellkept_model::observe::Observation,
    findings: &[Finding],
) -> bool {
    let fresh = |f: &Finding| f.severity > wellkept_model::Severity::Info && at.since(f.since) < CLOSER_FOR;
    findings.iter().any(fresh) || seen.health.iter().any(|h| h.failure.is_some() && h.in_a_row < 3)
}

/// A decision in a few words; the plan itself is in the state store.
fn summary(decision: &Decision) -> String {
    let steps = |plan: &Plan| {
        let all = plan.steps.iter().map(|s| format!("{} {}", s.kind.word(), s.target));
        all.collect::<Vec<_>>().join(", ")
    };
    match decision {
        Decision::Run(plan) => format!("run plan {}: {}", plan.generation, steps(plan)),
        Decision::Propose(plan) => format!("propose plan {}: {}", plan.generation, steps(plan)),
        Decision::Escalate(why) => format!("call a person: {}", why.key),
        Decision::Wait(..) => "wait".to_owned(),
        Decision::Nothing => "nothing".to_owned(),
    }
}

/// Runs, passes all its checks, and has no finding but an unrecorded file.
fn is_well(service: &str, seen: &wellkept_model::observe::Observation, active: &[Finding]) -> bool {
    let runs = seen.services.get(service).is_some_and(|s| !s.processes.is_empty());
    let passes = seen.health.iter().filter(|h| h.service == service).all(|h| h.failure.is_none());
    let ill = active.iter().any(|f| {
        f.key.entity.kind == wellkept_model::EntityKind::Service
            && f.key.entity.name == service
            && f.key.kind != FindingKind::FileChanged
    });
    runs && passes && !ill
}
