//! Unit tests of unit tests: the example of promtool's own documentation in our words, and what fails how.

use super::*;

const RULES: &str = "
groups:
- name: example
  rules:
  - record: job:up:avg
    expr: avg by (job) (up)
  - alert: InstanceDown
    expr: up == 0
    for: 5m
    labels: {severity: page}
    annotations:
      summary: 'Instance {{ $labels.instance }} down'
      where: '{{ $externalLabels.dc }} {{ $externalURL }}'
";

fn report(test: &str) -> Report {
    let text = format!("rule_files: [rules.yml]\ntests:\n- {}\n", test.trim().replace('\n', "\n  "));
    let mut load = |name: &str| Ok(vec![(name.to_owned(), RULES.to_owned())]);
    run("t.yml", &text, &mut load, &Limits::default(), &|| false).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

const SERIES: &str = "
interval: 1m
external_labels: {dc: eu}
external_url: http://w.example
input_series:
- {series: 'up{job=\"j\", instance=\"i\"}', values: '1 0x9'}
- {series: 'up{job=\"j\", instance=\"k\"}', values: '1x10'}
";

fn with(cases: &str) -> Report {
    report(&format!("{SERIES}{}", cases.trim_start()))
}

#[test]
fn a_test_that_is_right_passes() {
    let report = with("
alert_rule_test:
- {eval_time: 5m59s, alertname: InstanceDown, exp_alerts: []}
- eval_time: 6m
  alertname: InstanceDown
  exp_alerts:
  - exp_labels: {severity: page, job: j, instance: i}
    exp_annotations: {summary: Instance i down, where: eu http://w.example}
- {eval_time: 6m, alertname: Unknown}
promql_expr_test:
- {expr: 'job:up:avg', eval_time: 2m, exp_samples: [{labels: 'job:up:avg{job=\"j\"}', value: 0.5}]}
- {expr: 'ALERTS{alertstate=\"pending\"}', eval_time: 3m, exp_samples: [{labels: 'ALERTS{alertname=\"InstanceDown\", alertstate=\"pending\", instance=\"i\", job=\"j\", severity=\"page\"}', value: 1}]}
- {expr: 'time()', eval_time: 90s, exp_samples: [{value: 90}]}
- {expr: 'nothing', eval_time: 90s}
");
    assert!(report.passed(), "{report}");
    assert_eq!(report.to_string(), "t.yml: 1 tests passed\n");
}

#[test]
fn a_test_that_fails_shows_wanted_and_found() {
    let report = with(
        "
name: down
alert_rule_test:
- eval_time: 7m
  alertname: InstanceDown
  exp_alerts:
  - exp_labels: {severity: page, job: j, instance: other}
promql_expr_test:
- {expr: 'up', eval_time: 0s, exp_samples: [{labels: 'up{job=\"j\", instance=\"i\"}', value: 1}]}
- {expr: 'up +', eval_time: 0s}
",
    );
    let text = report.to_string();
    for part in [
        "t.yml: down: the alert InstanceDown at 7m is not as expected",
        "- {alertname=\"InstanceDown\", instance=\"other\", job=\"j\", severity=\"page\"} {}",
        "+ {alertname=\"InstanceDown\", instance=\"i\"",
        "      up{instance=\"i\", job=\"j\"} 1",
        "    + up{instance=\"k\", job=\"j\"} 1",
        "up + at 0s cannot be evaluated",
        "1 of 1 tests failed",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!report.passed());
}

#[test]
fn fuzzy_compare_forgives_the_last_bit() {
    let test = |fuzzy: &str| {
        let text = format!(
            "{fuzzy}tests:\n- promql_expr_test:\n  - {{expr: '0.1 + 0.2', eval_time: 0s, exp_samples: [{{value: 0.3}}]}}\n"
        );
        run("t.yml", &text, &mut |_| Ok(Vec::new()), &Limits::default(), &|| false).unwrap().passed()
    };
    assert!(test("fuzzy_compare: true\n") && !test(""));
}

#[test]
fn mistakes_of_a_test_file_are_named_with_their_place() {
    for (text, part) in [
        ("tests:\n- inteval: 1m\n", "t.yml:2:3: tests[0].inteval"),
        ("tests:\n- input_series: [{series: 'up{', values: '1'}]\n", "series"),
        ("tests:\n- input_series: [{series: up, values: '1 b'}]\n", "unexpected \"b\""),
        ("tests:\n- alert_rule_test: [{eval_time: 1m}]\n", "alert"),
        ("tests:\n- alert_rule_test: [{eval_time: x, alertname: A}]\n", "duration"),
        ("tests:\n- alert_rule_test: [{eval_time: 200y, alertname: A}]\n", "evaluations"),
        ("tests:\n- promql_expr_test: [{expr: up, exp_samples: [{value: many}]}]\n", "number"),
        ("group_eval_order: [a, a]\n", "order"),
        ("fuzzy_compare: 1\n", "true or false"),
        ("rule_files: [gone.yml]\n", "no such file"),
        ("rule_files: [bad.yml]\n", "bad.yml:1:1: gruops"),
    ] {
        let mut load = |name: &str| match name {
            "bad.yml" => Ok(vec![(name.to_owned(), "gruops: []".to_owned())]),
            _ => Err("no such file".to_owned()),
        };
        let e = run("t.yml", text, &mut load, &Limits::default(), &|| false).expect_err(text);
        assert!(e.to_string().contains(part), "{text}\n{e}");
    }
}

#[test]
fn a_pattern_without_files_is_a_warning() {
    let report =
        run("t.yml", "rule_files: ['x/*.yml']\n", &mut |_| Ok(Vec::new()), &Limits::default(), &|| false);
    let report = report.unwrap();
    assert!(report.passed() && report.to_string().contains("no rule file matches x/*.yml"), "{report}");
}

#[test]
fn groups_are_evaluated_in_the_order_told() {
    let rules = "
groups:
- {name: reads, rules: [{record: b, expr: a}]}
- {name: gives, rules: [{record: a, expr: '1'}]}
";
    let passes = |order: &str| {
        let text = format!(
            "rule_files: [r]\n{order}tests:\n- promql_expr_test: [{{expr: b, eval_time: 0s, exp_samples: [{{labels: b, value: 1}}]}}]\n"
        );
        let mut load = |name: &str| Ok(vec![(name.to_owned(), rules.to_owned())]);
        run("t.yml", &text, &mut load, &Limits::default(), &|| false).unwrap().passed()
    };
    assert!(passes("group_eval_order: [gives, reads]\n"));
    assert!(!passes("group_eval_order: [reads, gives]\n"));
}

#[test]
fn a_test_may_begin_at_another_instant() {
    let report = with(
        "
start_timestamp: 2026-01-31T00:00:00Z
alert_rule_test:
- eval_time: 6m
  alertname: InstanceDown
  exp_alerts:
  - exp_labels: {severity: page, job: j, instance: i}
    exp_annotations: {summary: Instance i down, where: eu http://w.example}
promql_expr_test:
- {expr: 'day_of_month()', eval_time: 1m, exp_samples: [{value: 31}]}
",
    );
    assert!(report.passed(), "{report}");
}

#[test]
fn native_histograms_are_given_and_expected_in_the_notation_of_values() {
    let text = "tests:\n- interval: 1m\n  input_series:\n  - { series: h, values: '{{count:2 sum:3}}x5' }\n  \
                promql_expr_test:\n  - expr: h * 2\n    eval_time: 5m\n    exp_samples:\n    \
                - { labels: '{}', histogram: '{{count:4 sum:6}}' }\n";
    let mut load = |_: &str| Ok(Vec::new());
    let report = run("t.yml", text, &mut load, &Limits::default(), &|| false).expect("it is read");
    assert!(report.passed(), "{report:?}");
    let wrong = text.replace("count:4", "count:5");
    assert!(!run("t.yml", &wrong, &mut load, &Limits::default(), &|| false).expect("it is read").passed());
}
