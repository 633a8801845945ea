//! Alerting rules: inactive → pending → firing → resolved, for each series that the expression gives.

use std::collections::BTreeMap;

use wellkept_model::{Labels, METRIC_NAME, TimestampMs};

use super::{RESOLVED_KEPT, RuleState, Settings};
use crate::Reader;
use crate::ask::{self, Point};
use crate::file::{AlertRule, Rule};
use crate::template::{Template, TemplateData, TemplateSample};

/// The series that says which alerts are pending or firing.
const ALERTS: &str = "ALERTS";
/// The series that says since when, in seconds.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
pub(crate) const ALERT_NAME: &str = "alertname";
const ALERT_STATE: &str = "alertstate";

/// Most alerts of one rule. Each keeps its expanded texts in memory; more say nothing new to a person.
pub const ALERTS_MAX: usize = 10_000;

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// The expression does not hold (any more).
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// It has held for long enough.
    Firing,
}

impl AlertState {
    /// The word of Prometheus' API and of the label `alertstate`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Where it is in its life.
    pub state: AlertState,
    /// Identity: labels of the series without its name, the rule's labels expanded, and `alertname`.
    pub labels: Labels,
    /// The rule's annotations, expanded at the last evaluation; sorted by name.
    pub annotations: Vec<(String, String)>,
    /// Value of the expression at the last evaluation at which it held.
    pub value: f64,
    /// Since when the expression holds.
    pub active_at: TimestampMs,
    /// Since when it fires.
    pub fired_at: Option<TimestampMs>,
    /// When it ceased to fire.
    pub resolved_at: Option<TimestampMs>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<TimestampMs>,
}

/// What an evaluation of alerts needs besides the rule.
pub(crate) struct Around<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) limit: usize,
    pub(crate) now: TimestampMs,
    /// The instant that is looked at: `now` less the query offset.
    pub(crate) at: TimestampMs,
}

/// Moves the rule's alerts on; the samples of `ALERTS` and `ALERTS_FOR_STATE`, or why it failed.
pub(crate) fn evaluate(
    rule: &Rule,
    alert: &AlertRule,
    state: &mut RuleState,
    around: &Around<'_>,
    reader: &Reader<'_>,
) -> Result<Vec<(Labels, Point)>, String> {
    let vector = ask::vector(&rule.query, around.at, reader).map_err(|e| e.to_string())?;
    if vector.len() > ALERTS_MAX {
        let count = vector.len();
        return Err(format!(
            "{count} series would be alerts; at most {ALERTS_MAX} are accepted, narrow the expression"
        ));
    }
    let mut current = BTreeMap::new();
    for (labels, value) in vector {
        let fresh = expand(rule, alert, &labels, value.float(), around, reader);
        if current.insert(fresh.labels.clone(), fresh).is_some() {
            return Err(
                "vector contains metrics with the same labelset after applying alert labels".to_owned()
            );
        }
    }
    for (labels, fresh) in &current {
        match state.alerts.get_mut(labels) {
            Some(known) if known.state != AlertState::Inactive => {
                known.value = fresh.value;
                known.annotations.clone_from(&fresh.annotations);
            }
            _ => {
                state.alerts.insert(labels.clone(), fresh.clone());
            }
        }
    }
    forget_oldest(&mut state.alerts);
    let mut samples = Vec::new();
    let mut active = 0_usize;
    state.alerts.retain(|labels, a| {
        let (keep, is_active) = step(a, alert, current.contains_key(labels), around.now);
        active += usize::from(is_active);
        if is_active && state.restored {
            samples.extend(series_of(rule, a));
        }
        keep
    });
    if around.limit > 0 && active > around.limit {
        state.alerts.clear();
        return Err(format!("exceeded limit of {} with {active} alerts", around.limit));
    }
    Ok(samples)
}

/// Resolved alerts are remembered for a while; when labels change all the time they would pile up.
fn forget_oldest(alerts: &mut BTreeMap<Labels, Alert>) {
    let excess = alerts.len().saturating_sub(2 * ALERTS_MAX);
    if excess == 0 {
        return;
    }
    let mut resolved: Vec<(TimestampMs, Labels)> =
        alerts.values().filter_map(|a| Some((a.resolved_at?, a.labels.clone()))).collect();
    resolved.sort();
    for (_, labels) in resolved.into_iter().take(excess) {
        alerts.remove(&labels);
    }
}

/// One alert's next step in life: whether it is still remembered, and whether it is pending or firing.
fn step(a: &mut Alert, rule: &AlertRule, holds: bool, now: TimestampMs) -> (bool, bool) {
    if holds {
        a.keep_firing_since = None;
    } else {
        let kept = a.state == AlertState::Firing
            && !rule.keep_firing_for.is_zero()
            && now.since(*a.keep_firing_since.get_or_insert(now)) < rule.keep_firing_for;
        if !kept {
            let forget =
                a.state == AlertState::Pending || a.resolved_at.is_some_and(|r| now.since(r) > RESOLVED_KEPT);
            if a.state != AlertState::Inactive {
                a.state = AlertState::Inactive;
                a.resolved_at = Some(now);
            }
            return (!forget, false);
        }
    }
    if a.state == AlertState::Pending && now >= a.active_at && now.since(a.active_at) >= rule.hold {
        a.state = AlertState::Firing;
        a.fired_at = Some(now);
    }
    (true, true)
}

fn expand(
    rule: &Rule,
    alert: &AlertRule,
    labels: &Labels,
    value: f64,
    around: &Around<'_>,
    reader: &Reader<'_>,
) -> Alert {
    let query = |text: &str| -> Result<Vec<TemplateSample>, String> {
        let samples = ask::parse(text).and_then(|q| ask::vector(&q, around.now, reader));
        let samples = samples.map_err(|e| e.to_string())?.into_iter();
        Ok(samples.map(|(labels, value)| TemplateSample { labels, value: value.float() }).collect())
    };
    let data = TemplateData {
        labels,
        external_labels: &around.settings.external_labels,
        external_url: &around.settings.external_url,
        value,
        now: around.now,
        query: &query,
    };
    let expanded = |template: &Template| template.expand_or_say(&rule.name, &data);
    let mut all: BTreeMap<String, String> =
        labels.iter().filter(|(n, _)| *n != METRIC_NAME).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    all.extend(alert.labels.iter().map(|(n, t)| (n.clone(), expanded(t))));
    all.insert(ALERT_NAME.to_owned(), rule.name.clone());
    Alert {
        state: AlertState::Pending,
        labels: Labels::new(all),
        annotations: alert.annotations.iter().map(|(n, t)| (n.clone(), expanded(t))).collect(),
        value,
        active_at: around.now,
        fired_at: None,
        resolved_at: None,
        keep_firing_since: None,
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE` of an alert that is pending or firing.
fn series_of(rule: &Rule, a: &Alert) -> [(Labels, Point); 2] {
    let with = |extra: &[(&'static str, &'static str)]| {
        // As Prometheus: the rule's labels unexpanded first, then the alert's own over them.
        let own = rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        Labels::new(own.chain(a.labels.iter()).chain(extra.iter().copied()))
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds of any real date stay far below 2^53")]
    let seconds = a.active_at.0.div_euclid(1000) as f64;
    [
        (with(&[(METRIC_NAME, ALERTS), (ALERT_STATE, a.state.word())]), Point::Float(1.0)),
        (with(&[(METRIC_NAME, ALERTS_FOR_STATE)]), Point::Float(seconds)),
    ]
}
