//! `/api/v1/rules` and `/api/v1/alerts` exactly as Prometheus answers, as plain structs to be serialised.
//!
//! What stands here is the `data` member; the envelope is the API's. Expressions are shown as the file writes them,
//! where Prometheus shows its own spelling.

mod filter;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use wellkept_model::{Labels, TimestampMs};
use wellkept_promql::QueryError;

use crate::eval::{Alert, GroupState, RuleState};
use crate::file::{AlertRule, Rule};
use crate::template::scientific;
use crate::time::rfc3339;

pub use filter::{RuleType, RulesFilter};

type Map = BTreeMap<String, String>;

/// Seconds; whole ones without a fraction, as Go writes them.
#[derive(Debug)]
struct Seconds(f64);

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64())
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0 < 1e15 {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// `data` of `/api/v1/rules`.
#[derive(Debug, Serialize)]
pub struct RulesView {
    groups: Vec<GroupView>,
    #[serde(rename = "groupNextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `data` of `/api/v1/alerts`.
#[derive(Debug, Serialize)]
pub struct AlertsView {
    alerts: Vec<AlertView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView {
    name: String,
    file: String,
    rules: Vec<RuleView>,
    interval: Seconds,
    limit: usize,
    evaluation_time: Seconds,
    last_evaluation: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RuleView {
    Alerting(AlertingView),
    Recording(RecordingView),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingView {
    state: &'static str,
    name: String,
    query: String,
    duration: Seconds,
    keep_firing_for: Seconds,
    labels: Map,
    annotations: Map,
    alerts: Vec<AlertView>,
    #[serde(flatten)]
    outcome: OutcomeView,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct RecordingView {
    name: String,
    query: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    labels: Map,
    #[serde(flatten)]
    outcome: OutcomeView,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeView {
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    evaluation_time: Seconds,
    last_evaluation: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertView {
    labels: Map,
    annotations: Map,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

/// The groups that the filter lets through, ordered by file and name. Groups without such a rule are left out.
///
/// # Errors
/// [`QueryError::BadData`] for a `group_next_token` that no group has (any more).
pub fn rules<'a>(
    groups: impl IntoIterator<Item = &'a GroupState>,
    filter: &RulesFilter,
) -> Result<RulesView, QueryError> {
    let mut states: Vec<&GroupState> = groups.into_iter().filter(|g| filter.shows_group(g)).collect();
    let key = |g: &GroupState| (g.group().file.clone(), g.group().name.clone());
    states.sort_by_key(|g| key(g));
    let first = match &filter.next_token {
        None => 0,
        Some(wanted) => states.iter().position(|g| token(g) == *wanted).ok_or_else(|| {
            QueryError::BadData(format!("invalid group_next_token '{wanted}'. were rule groups changed?"))
        })?,
    };
    let mut views = Vec::new();
    let mut next_token = None;
    for state in states.into_iter().skip(first) {
        let shown: Vec<RuleView> =
            state.rules().filter(|(r, _)| filter.shows(r)).map(|(r, s)| rule(r, s, filter)).collect();
        if shown.is_empty() {
            continue;
        }
        if filter.group_limit > 0 && views.len() == filter.group_limit {
            next_token = Some(token(state));
            break;
        }
        views.push(group(state, shown));
    }
    Ok(RulesView { groups: views, next_token })
}

/// All pending and firing alerts.
pub fn alerts<'a>(groups: impl IntoIterator<Item = &'a GroupState>) -> AlertsView {
    let mut alerts = Vec::new();
    for state in groups {
        let rules = state.rules().filter(|(rule, _)| rule.alert().is_some());
        alerts.extend(rules.flat_map(|(_, s)| s.active_alerts()).map(alert));
    }
    AlertsView { alerts }
}

/// Names a group in `group_next_token`: nothing but a place in the order.
fn token(state: &GroupState) -> String {
    let name = format!("{};{}", state.group().file, state.group().name);
    name.bytes().map(|b| format!("{b:02x}")).collect()
}

fn group(state: &GroupState, rules: Vec<RuleView>) -> GroupView {
    GroupView {
        name: state.group().name.clone(),
        file: state.group().file.clone(),
        rules,
        interval: state.interval().into(),
        limit: state.group().limit,
        evaluation_time: state.evaluation_time().into(),
        last_evaluation: instant(state.last_evaluation()),
    }
}

fn rule(rule: &Rule, state: &RuleState, filter: &RulesFilter) -> RuleView {
    let outcome = OutcomeView {
        health: state.health.word(),
        last_error: state.last_error.clone(),
        evaluation_time: state.evaluation_time.into(),
        last_evaluation: instant(state.last_evaluation),
    };
    let (name, query, labels) = (rule.name.clone(), rule.query.print(), map(&rule.label_set()));
    match rule.alert() {
        None => RuleView::Recording(RecordingView { name, query, labels, outcome, kind: "recording" }),
        Some(AlertRule { hold, keep_firing_for, annotations, .. }) => RuleView::Alerting(AlertingView {
            state: state.state().word(),
            name,
            query,
            duration: (*hold).into(),
            keep_firing_for: (*keep_firing_for).into(),
            labels,
            annotations: annotations.iter().map(|(n, t)| (n.clone(), t.text().to_owned())).collect(),
            alerts: if filter.exclude_alerts {
                Vec::new()
            } else {
                state.active_alerts().map(alert).collect()
            },
            outcome,
            kind: "alerting",
        }),
    }
}

fn alert(alert: &Alert) -> AlertView {
    AlertView {
        labels: map(&alert.labels),
        annotations: alert.annotations.iter().cloned().collect(),
        state: alert.state.word(),
        active_at: rfc3339(alert.active_at),
        keep_firing_since: alert.keep_firing_since.map(rfc3339),
        value: scientific(alert.value, None),
    }
}

fn map(labels: &Labels) -> Map {
    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// Go's zero time stands for "never".
fn instant(at: Option<TimestampMs>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339)
}

#[cfg(test)]
mod tests;
