//! What belongs to an incident, and when all of it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::{
    Action, ActionKind, ActionStatus, Finding, FindingKey, IncidentStatus, MomentKind, Severity, Text,
    TimestampMs,
};

use super::Life;

/// Key of the outcome of a backup that was made and failed its test by restoring.
const BACKUP_NOT_RESTORED: &str = "outcome.backup_not_restored";
/// A flapping incident doubles its hold time at most this often.
const FLAPS_MAX: u32 = 4;

impl Life {
    pub(crate) fn owns(&self, key: &FindingKey) -> bool {
        self.incident.findings.iter().any(|f| f.key == *key)
    }

    /// Adds a finding that was not part of it.
    pub(crate) fn join(&mut self, now: TimestampMs, finding: Finding) {
        self.note(finding.since.max(self.incident.began_at).min(now), MomentKind::Seen, finding.text.clone());
        self.incident.began_at = self.incident.began_at.min(finding.since);
        self.incident.severity = self.incident.severity.max(finding.severity);
        self.now_active.insert(finding.key.clone());
        if self.settles_until.is_some() {
            self.look_again();
        }
        self.incident.findings.push(finding);
        self.touch(now);
        self.count_active();
    }

    fn count_active(&mut self) {
        self.incident.active = self.now_active.len();
        self.incident.holding = self.now_active.iter().cloned().collect();
    }

    /// Brings its own findings up to date; says which have begun again or ended.
    pub(crate) fn refresh(&mut self, now: TimestampMs, active: &BTreeMap<FindingKey, Finding>) {
        let was_active = self.now_active.clone();
        let mut moments = Vec::new();
        for own in &mut self.incident.findings {
            let was = self.now_active.contains(&own.key);
            match active.get(&own.key) {
                Some(latest) => {
                    let since = if was { own.since.min(latest.since) } else { latest.since };
                    *own = Finding { since, ..latest.clone() };
                    self.incident.severity = self.incident.severity.max(latest.severity);
                    if !was {
                        moments.push(latest.text.clone());
                    }
                }
                None if was => moments.push(Text {
                    key: format!("{}.over", base_key(&own.text.key)),
                    args: own.text.args.clone(),
                }),
                None => {}
            }
        }
        self.now_active = self
            .incident
            .findings
            .iter()
            .map(|f| &f.key)
            .filter(|k| active.contains_key(*k))
            .cloned()
            .collect();
        self.count_active();
        let is_new = |key: &FindingKey| !was_active.contains(key);
        if self.settles_until.is_some_and(|t| now >= t || self.now_active.iter().any(is_new)) {
            self.look_again();
        }
        for text in moments {
            self.note(now, MomentKind::Seen, text);
        }
    }

    pub(crate) fn active_findings(&self) -> Vec<Finding> {
        self.incident.findings.iter().filter(|f| self.now_active.contains(&f.key)).cloned().collect()
    }

    pub(super) fn critical_count(&self) -> usize {
        let critical = |f: &&Finding| f.severity == Severity::Critical && self.now_active.contains(&f.key);
        self.incident.findings.iter().filter(critical).count()
    }

    /// Opens a resolved incident again because one of its findings is back.
    pub(crate) fn reopen(&mut self, now: TimestampMs, finding: &Finding) {
        self.flaps += 1;
        self.incident.severity = finding.severity;
        self.incident.resolved_at = None;
        self.incident.causes.clear();
        self.failed.clear();
        (self.diagnosed, self.decided_for, self.quiet_since) = (None, None, None);
        self.settles_until = None;
        self.note(now, MomentKind::Status, Text::new("moment.reopened").with("count", self.flaps));
        self.set_status(now, IncidentStatus::Open);
    }

    /// Resolves it once everything has been quiet for the hold time; flapping makes that longer.
    pub(crate) fn settle(&mut self, now: TimestampMs, hold: Duration) {
        if self.incident.active > 0 {
            self.quiet_since = None;
            return;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if now.since(since) >= hold.saturating_mul(1 << self.flaps.min(FLAPS_MAX)) {
            if let Some(name) = self.unproven_backup() {
                self.escalate(now, Text::new("escalate.backup_unproven").with("name", name), true);
                return;
            }
            self.note(now, MomentKind::Verified, Text::new("moment.quiet"));
            self.resolve(now);
        }
    }

    /// The backup that was made and could not be restored. Its file is there, so that nothing looks ill any more; but it
    /// is no backup until another run was proven or a person has taken the incident over.
    fn unproven_backup(&self) -> Option<String> {
        let ran = |a: &&Action| match a.planned.kind {
            ActionKind::RunBackup => matches!(a.status, ActionStatus::Succeeded | ActionStatus::Failed),
            ActionKind::Escalate => !a.automatic,
            _ => false,
        };
        let last = self.incident.actions.iter().rev().find(ran)?;
        let unproven = last.outcome.as_ref().is_some_and(|text| text.key == BACKUP_NOT_RESTORED);
        (last.status == ActionStatus::Failed && unproven).then(|| last.planned.target.name.clone())
    }

    pub(crate) fn resolve(&mut self, now: TimestampMs) {
        self.drop_plan();
        self.incident.resolved_at = Some(now);
        self.set_status(now, IncidentStatus::Resolved);
    }
}

/// `finding.filesystem_full.space` and `finding.filesystem_full` share the message of their end.
fn base_key(key: &str) -> String {
    key.split('.').take(2).collect::<Vec<_>>().join(".")
}
