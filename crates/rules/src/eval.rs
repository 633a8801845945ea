//! Evaluation of one group at one instant: what it records, which alerts it raises.
//!
//! Rules run in order, and later ones see what earlier ones gave through an overlay; the whole group then gives
//! one [`Batch`], because a write for each rule would cost a sync for each. Series that a rule no longer gives end
//! with a stale marker. A rule that fails keeps its alerts and ends no series: silence is not health.
//!
//! Left to the caller: when to evaluate ([`GroupState::slot`] says at which instants), writing the batch, and telling
//! people ([`crate::finding`]).

mod alerts;
mod overlay;
mod record;
mod restore;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{Batch, Labels, TimestampMs};

use crate::Reader;
use crate::ask::Point;
use crate::file::{Group, Rule};

pub use alerts::{ALERTS_MAX, Alert, AlertState};

use overlay::Overlay;
use written::Written;

/// How long a resolved alert is remembered, as in Prometheus.
pub const RESOLVED_KEPT: Duration = Duration::from_secs(15 * 60);

/// What all groups of an installation share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Time between evaluations of groups that say nothing.
    pub interval: Duration,
    /// How far back groups look that say nothing.
    pub query_offset: Duration,
    /// Labels of this installation, for templates.
    pub external_labels: Labels,
    /// Where people reach this installation, for templates.
    pub external_url: String,
    /// An outage longer than this is not bridged when the `for` state of alerts is restored.
    pub outage_tolerance: Duration,
    /// A restored alert fires at the earliest after this; alerts with a shorter `for` are not restored.
    pub for_grace_period: Duration,
}

impl Default for Settings {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            external_labels: Labels::default(),
            external_url: String::new(),
            outage_tolerance: Duration::from_secs(3600),
            for_grace_period: Duration::from_secs(600),
        }
    }
}

/// How the last evaluation of a rule went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// Well.
    Ok,
    /// It failed.
    Err,
}

impl Health {
    /// The word of Prometheus' API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Err => "err",
        }
    }
}

/// What is known of one rule between evaluations.
#[derive(Debug, Default)]
pub struct RuleState {
    /// How the last evaluation went.
    pub health: Health,
    /// Why it failed.
    pub last_error: Option<String>,
    /// How long it took.
    pub evaluation_time: Duration,
    /// When it was.
    pub last_evaluation: Option<TimestampMs>,
    /// Alerts by their labels: pending, firing, and resolved ones for [`RESOLVED_KEPT`].
    pub(crate) alerts: BTreeMap<Labels, Alert>,
    /// Series of the last evaluation that went well.
    previous: BTreeSet<Labels>,
    /// `ALERTS` is only written once the `for` state was restored; else a restart would forget what it must restore.
    restored: bool,
}

impl RuleState {
    /// Alerts by their labels: pending, firing, and resolved ones for [`RESOLVED_KEPT`].
    pub fn alerts(&self) -> impl ExactSizeIterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Alerts that are pending or firing.
    pub fn active_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|a| a.resolved_at.is_none())
    }

    /// The worst state of its alerts.
    #[must_use]
    pub fn state(&self) -> AlertState {
        self.alerts.values().map(|a| a.state).max().unwrap_or(AlertState::Inactive)
    }
}

/// A group and what is known of it between evaluations.
#[derive(Debug)]
pub struct GroupState {
    group: Arc<Group>,
    settings: Arc<Settings>,
    rules: Vec<RuleState>,
    /// Series of rules that exist no more; ended at the next evaluation.
    gone: Vec<Labels>,
    evaluations: u64,
    restored: bool,
    last_evaluation: Option<TimestampMs>,
    evaluation_time: Duration,
}

/// What an evaluation gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// Samples of all rules and stale markers, to be stored. May be empty.
    pub batch: Batch,
    /// Rules that failed; [`RuleState::last_error`] says why.
    pub failures: usize,
}

impl GroupState {
    /// A group that was never evaluated. `restore`: the process has just started, and alerts that were pending or
    /// firing before may be found in the store.
    #[must_use]
    pub fn new(group: Arc<Group>, settings: Arc<Settings>, restore: bool) -> Self {
        let rules =
            group.rules.iter().map(|_| RuleState { restored: !restore, ..RuleState::default() }).collect();
        Self {
            group,
            settings,
            rules,
            gone: Vec::new(),
            evaluations: 0,
            restored: !restore,
            last_evaluation: None,
            evaluation_time: Duration::ZERO,
        }
    }

    /// Takes over the alerts and series of the same group before its file was read again. Rules are the same when
    /// name and labels are.
    pub fn adopt(&mut self, mut old: Self) {
        self.last_evaluation = old.last_evaluation;
        self.evaluations = old.evaluations;
        self.evaluation_time = old.evaluation_time;
        self.gone.append(&mut old.gone);
        let mut before: Vec<Option<(&Rule, RuleState)>> =
            old.group.rules.iter().zip(old.rules).map(Some).collect();
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            let same = |slot: &Option<(&Rule, RuleState)>| {
                slot.as_ref().is_some_and(|(r, _)| {
                    r.name == rule.name
                        && r.labels == rule.labels
                        && r.alert().is_some() == rule.alert().is_some()
                })
            };
            if let Some((_, taken)) = before.iter_mut().find(|s| same(s)).and_then(Option::take) {
                *state = taken;
            }
        }
        self.restored = self.rules.iter().all(|r| r.restored);
        self.gone.extend(before.into_iter().flatten().flat_map(|(_, state)| state.previous));
    }

    /// The group exists no more: stale markers for all its series.
    #[must_use]
    pub fn retire(self, now: TimestampMs) -> Batch {
        let at = now - self.query_offset();
        let mut written = Written::new(at);
        let previous = self.rules.iter().flat_map(|r| r.previous.iter());
        for labels in previous.chain(&self.gone) {
            written.end(labels);
        }
        written.into_batch(self.target())
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Its rules with what is known of them.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&Rule, &RuleState)> {
        self.group.rules.iter().zip(&self.rules)
    }

    /// Time between two evaluations.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.group.interval.unwrap_or(self.settings.interval)
    }

    /// How far back the rules look.
    #[must_use]
    pub fn query_offset(&self) -> Duration {
        self.group.query_offset.unwrap_or(self.settings.query_offset)
    }

    /// When it was evaluated last.
    #[must_use]
    pub fn last_evaluation(&self) -> Option<TimestampMs> {
        self.last_evaluation
    }

    /// How long that took.
    #[must_use]
    pub fn evaluation_time(&self) -> Duration {
        self.evaluation_time
    }

    /// The latest instant up to `now` at which this group is to be evaluated. Instants lie one interval apart and
    /// are shifted by the group's names, so that not all groups run at once.
    #[must_use]
    pub fn slot(&self, now: TimestampMs) -> TimestampMs {
        let interval = i64::try_from(self.interval().as_millis()).unwrap_or(i64::MAX).max(1);
        let names = self.group.file.bytes().chain([0xff]).chain(self.group.name.bytes());
        let hash =
            names.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let offset = (hash >> 1) as i64 % interval;
        TimestampMs(now.0 - (now.0 - offset).rem_euclid(interval))
    }

    /// Names this group's series in the store.
    fn target(&self) -> Labels {
        Labels::new([("rule_file", self.group.file.as_str()), ("rule_group", self.group.name.as_str())])
    }

    /// Evaluates all rules at `now`. Blocks while the source reads. `elapsed` gives the time since any fixed moment,
    /// to measure with.
    pub fn evaluate(
        &mut self,
        now: TimestampMs,
        reader: &Reader<'_>,
        elapsed: &dyn Fn() -> Duration,
    ) -> Evaluation {
        let begun = elapsed();
        let at = now - self.query_offset();
        let mut written = Written::new(at);
        let mut failures = 0;
        let group = Arc::clone(&self.group);
        for (rule, state) in group.rules.iter().zip(&mut self.rules) {
            let rule_begun = elapsed();
            let overlay = Overlay { base: reader.source, written: &written };
            let over = Reader { source: &overlay, ..*reader };
            let result = match rule.alert() {
                None => record::evaluate(rule, group.limit, at, &over),
                Some(alert) => {
                    let around = alerts::Around { settings: &self.settings, limit: group.limit, now, at };
                    alerts::evaluate(rule, alert, state, &around, &over)
                }
            };
            let outcome = result.and_then(|samples| store(samples, state, &mut written));
            state.health = if outcome.is_ok() { Health::Ok } else { Health::Err };
            failures += usize::from(outcome.is_err());
            state.last_error = outcome.err();
            state.evaluation_time = elapsed().saturating_sub(rule_begun);
            state.last_evaluation = Some(now);
        }
        for labels in std::mem::take(&mut self.gone) {
            written.end(&labels);
        }
        self.evaluations += 1;
        self.last_evaluation = Some(now);
        // The first evaluation may have come before the first scrape; only then is it known what is active.
        if !self.restored && self.evaluations >= 2 {
            self.restore(now, reader);
        }
        self.evaluation_time = elapsed().saturating_sub(begun);
        Evaluation { batch: written.into_batch(self.target()), failures }
    }

    /// Gives pending and firing alerts the start that `ALERTS_FOR_STATE` remembers from before a restart, and lets
    /// rules write that series from now on. [`Self::evaluate`] does it by itself after the second evaluation.
    pub fn restore(&mut self, now: TimestampMs, reader: &Reader<'_>) {
        self.restored = true;
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            if let Some(alert) = rule.alert()
                && !state.restored
            {
                restore::restore(rule, alert, state, &self.settings, now, reader);
            }
            state.restored = true;
        }
    }
}

/// Puts a rule's samples into the batch and ends the series that it no longer gives.
fn store(samples: Vec<(Labels, Point)>, state: &mut RuleState, written: &mut Written) -> Result<(), String> {
    let mut given = BTreeSet::new();
    let mut twice = 0;
    for (labels, value) in samples {
        if written.sample(&labels, value) {
            given.insert(labels);
        } else {
            twice += 1;
        }
    }
    for labels in state.previous.difference(&given) {
        written.end(labels);
    }
    state.previous = given;
    match twice {
        0 => Ok(()),
        n => Err(format!("{n} series have another value from another rule of the group at the same instant")),
    }
}

#[cfg(test)]
mod tests;
