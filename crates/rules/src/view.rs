//! `/api/v1/rules` and `/api/v1/alerts` exactly as Prometheus answers, as plain structs to be serialised.
//!
//! What stands here is the `data` member; the envelope is the API's. Expressions are shown as the file writes them,
//! where Prometheus shows its own spelling.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use wellkept_model::{Labels, Matcher, TimestampMs};
use wellkept_promql::QueryError;

use crate::ask;
use crate::eval::{Alert, GroupState, RuleState};
use crate::file::{AlertRule, Rule};
use crate::template::scientific;
use crate::time::rfc3339;

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

/// Which rules `/api/v1/rules` shows. The default shows all.
#[derive(Debug, Default)]
pub struct RulesFilter {
    /// `type`: only this kind.
    pub kind: Option<RuleType>,
    /// `rule_name[]`: only these; all when empty.
    pub rule_names: Vec<String>,
    /// `rule_group[]`: only rules of these groups; all when empty.
    pub rule_groups: Vec<String>,
    /// `file[]`: only rules of these files; all when empty.
    pub files: Vec<String>,
    /// `match[]`: only rules whose labels match one of these; all when empty. See [`RulesFilter::add_match`].
    pub matchers: Vec<Vec<Matcher>>,
    /// `exclude_alerts`: leave out the alerts.
    pub exclude_alerts: bool,
    /// `group_limit`: most groups of one answer; 0 is no limit.
    pub group_limit: usize,
    /// `group_next_token` of the answer before.
    pub next_token: Option<String>,
}

/// The values of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleType {
    /// Alerting rules.
    Alert,
    /// Recording rules.
    Record,
}

impl std::str::FromStr for RuleType {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "alert" => Ok(Self::Alert),
            "record" => Ok(Self::Record),
            _ => Err(QueryError::BadData(format!("not supported value {text:?}: type is alert or record"))),
        }
    }
}

impl RulesFilter {
    /// Adds one `match[]`.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when it is no series selector.
    pub fn add_match(&mut self, selector: &str) -> Result<(), QueryError> {
        self.matchers.push(ask::matchers(selector)?);
        Ok(())
    }

    fn shows_group(&self, state: &GroupState) -> bool {
        let among = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        among(&self.rule_groups, &state.group().name) && among(&self.files, &state.group().file)
    }

    fn shows(&self, rule: &Rule) -> bool {
        let kind = if rule.alert().is_some() { RuleType::Alert } else { RuleType::Record };
        let labels = rule.label_set();
        let matches = |all: &Vec<Matcher>| all.iter().all(|m| m.matches(labels.get(m.name())));
        self.kind.is_none_or(|k| k == kind)
            && (self.rule_names.is_empty() || self.rule_names.contains(&rule.name))
            && (self.matchers.is_empty() || self.matchers.iter().any(matches))
    }
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
    let (name, query, labels) = (rule.name.clone(), rule.expr.clone(), map(&rule.label_set()));
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
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json, to_value};
    use wellkept_model::Sample;
    use wellkept_promql::Limits;

    use super::*;
    use crate::memory::Memory;
    use crate::{Reader, RuleFile, Settings};

    fn states() -> Vec<GroupState> {
        let text = "
groups:
- name: b
  interval: 15s
  limit: 9
  rules:
  - {alert: Down, expr: ' up == 0 ', for: 5m, keep_firing_for: 1m, labels: {severity: page}, annotations: {s: '{{ $value }}'}}
  - {record: r, expr: up, labels: {a: b}}
  - {record: bad, expr: 'up + on() up'}
- name: a
  rules:
  - {record: q, expr: '1'}
";
        let file = RuleFile::read("r.yml", text).unwrap();
        let settings = Arc::new(Settings::default());
        let mut states: Vec<GroupState> =
            file.groups.into_iter().map(|g| GroupState::new(Arc::new(g), settings.clone(), false)).collect();
        let mut memory = Memory::default();
        for i in ["1", "2"] {
            memory.add(&Labels::metric("up", [("i", i)]), Sample { at: TimestampMs(1000), value: 0.0 });
        }
        let limits = Limits::default();
        let reader = Reader { source: &memory, limits: &limits, cancelled: &|| false };
        let calls = std::cell::Cell::new(0);
        let elapsed = || {
            calls.set(calls.get() + 1);
            Duration::from_millis(calls.get())
        };
        states[0].evaluate(TimestampMs(1500), &reader, &elapsed);
        states
    }

    fn shown(filter: &RulesFilter) -> Value {
        to_value(rules(&states(), filter).unwrap()).unwrap()
    }

    /// Names of the groups with those of their rules.
    fn names(filter: &RulesFilter) -> Vec<String> {
        let view = shown(filter);
        let rules = |g: &Value| {
            let rules = g["rules"].as_array().unwrap().iter();
            rules.map(|r| r["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
        };
        view["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| format!("{}:{}", g["name"].as_str().unwrap(), rules(g)))
            .collect()
    }

    #[test]
    fn an_answer_has_prometheus_members_and_spellings() {
        let view = shown(&RulesFilter { rule_groups: vec!["b".into()], ..RulesFilter::default() });
        let group = &view["groups"][0];
        let alert = |i: &str| {
            json!({"labels": {"alertname": "Down", "i": i, "severity": "page"}, "annotations": {"s": "0"},
                "state": "pending", "activeAt": "1970-01-01T00:00:01.5Z", "value": "0e+00"})
        };
        assert_eq!(
            group["rules"][0],
            json!({"state": "pending", "name": "Down", "query": "up == 0", "duration": 300, "keepFiringFor": 60,
                "labels": {"severity": "page"}, "annotations": {"s": "{{ $value }}"}, "alerts": [alert("1"), alert("2")],
                "health": "ok", "evaluationTime": 0.001, "lastEvaluation": "1970-01-01T00:00:01.5Z", "type": "alerting"})
        );
        assert_eq!(
            group["rules"][1],
            json!({"name": "r", "query": "up", "labels": {"a": "b"}, "health": "ok", "evaluationTime": 0.001,
                "lastEvaluation": "1970-01-01T00:00:01.5Z", "type": "recording"})
        );
        assert_eq!(group["rules"][2]["health"], "err");
        assert!(group["rules"][2]["lastError"].as_str().unwrap().contains("many"));
        assert_eq!(
            (&group["interval"], &group["limit"], &group["file"]),
            (&json!(15), &json!(9), &json!("r.yml"))
        );
        assert_eq!(group["evaluationTime"], 0.007);
    }

    #[test]
    fn a_group_that_was_never_evaluated_says_so() {
        let view = shown(&RulesFilter { rule_groups: vec!["a".into()], ..RulesFilter::default() });
        assert_eq!(view["groups"][0]["lastEvaluation"], "0001-01-01T00:00:00Z");
        assert_eq!(view["groups"][0]["rules"][0]["health"], "unknown");
    }

    #[test]
    fn filters_choose_rules_and_leave_out_empty_groups() {
        let all = RulesFilter::default;
        assert_eq!(names(&all()), ["a:q", "b:Down,r,bad"]);
        assert_eq!(names(&RulesFilter { kind: Some(RuleType::Alert), ..all() }), ["b:Down"]);
        assert_eq!(names(&RulesFilter { kind: Some(RuleType::Record), ..all() }), ["a:q", "b:r,bad"]);
        assert_eq!(names(&RulesFilter { rule_names: vec!["q".into(), "r".into()], ..all() }), ["a:q", "b:r"]);
        assert!(names(&RulesFilter { files: vec!["other.yml".into()], ..all() }).is_empty());
        let mut matching = all();
        matching.add_match("{severity=\"page\"}").unwrap();
        matching.add_match("{a=~\"b|c\"}").unwrap();
        assert_eq!(names(&matching), ["b:Down,r"]);
        assert!(all().add_match("sum(up)").is_err());
        assert!("alerts".parse::<RuleType>().is_err());
        assert_eq!(
            shown(&RulesFilter { exclude_alerts: true, ..all() })["groups"][1]["rules"][0]["alerts"],
            json!([])
        );
    }

    #[test]
    fn a_long_list_comes_in_pages() {
        let page = shown(&RulesFilter { group_limit: 1, ..RulesFilter::default() });
        let next_token = Some(page["groupNextToken"].as_str().unwrap().to_owned());
        let next = RulesFilter { group_limit: 1, next_token, ..RulesFilter::default() };
        assert_eq!(names(&next), ["b:Down,r,bad"]);
        assert_eq!(shown(&next).get("groupNextToken"), None);
        let lost = RulesFilter { next_token: Some("x".into()), ..RulesFilter::default() };
        assert!(rules(&states(), &lost).is_err());
    }

    #[test]
    fn all_active_alerts_are_listed() {
        let view = to_value(alerts(&states())).unwrap();
        assert_eq!(view["alerts"].as_array().unwrap().len(), 2);
        assert_eq!(view["alerts"][0]["labels"]["alertname"], "Down");
    }
}
