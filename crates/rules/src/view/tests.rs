//! The answers member by member, and the filters.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json, to_value};
use wellkept_promql::Limits;

use super::*;
use crate::ask::Point;
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
        memory.add(&Labels::metric("up", [("i", i)]), TimestampMs(1000), &Point::Float(0.0));
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
