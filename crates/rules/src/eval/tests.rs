//! The life of groups and alerts, step by step.

use super::*;
use crate::file::RuleFile;
use crate::memory::Memory;
use wellkept_model::is_stale;
use wellkept_promql::Limits;

struct World {
    memory: Memory,
    group: GroupState,
}

fn group_of(rules: &str) -> Arc<Group> {
    let text = format!("groups:\n- name: g\n{rules}");
    let mut file = RuleFile::read("r.yml", &text).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(file.groups.remove(0))
}

impl World {
    fn new(rules: &str) -> Self {
        let group = GroupState::new(group_of(rules), Arc::new(Settings::default()), false);
        Self { memory: Memory::default(), group }
    }

    fn set(&mut self, minute: i64, series: &str, value: f64) {
        let labels = crate::ask::metric(series).unwrap();
        self.memory.add(&labels, TimestampMs(minute * 60_000), &Point::Float(value));
    }

    fn run(&mut self, minute: i64) -> Evaluation {
        let limits = Limits::default();
        let reader = Reader { source: &self.memory, limits: &limits, cancelled: &|| false };
        let done = self.group.evaluate(TimestampMs(minute * 60_000), &reader, &|| Duration::ZERO);
        self.memory.write(&done.batch);
        done
    }

    /// What a run gave, as text.
    fn lines(&mut self, minute: i64) -> Vec<String> {
        let batch = self.run(minute).batch;
        let shown = |v: f64| if is_stale(v) { "stale".to_owned() } else { v.to_string() };
        batch.samples.iter().map(|(l, v)| format!("{l} {}", shown(*v))).collect()
    }

    fn rule(&self, i: usize) -> &RuleState {
        &self.group.rules[i]
    }

    fn alert(&self) -> &Alert {
        self.rule(0).alerts().next().expect("one alert")
    }
}

#[test]
fn a_recording_rule_gives_its_result_under_a_new_name() {
    let mut w = World::new(
        "  labels: {team: x}\n  rules:\n  - {record: 'job:up:sum', expr: 'sum by (job) (up)', labels: {a: b}}\n",
    );
    w.set(1, "up{job=\"j\", instance=\"1\"}", 1.0);
    w.set(1, "up{job=\"j\", instance=\"2\"}", 1.0);
    assert_eq!(w.lines(1), ["job:up:sum{a=\"b\", job=\"j\", team=\"x\"} 2"]);
    assert_eq!(w.rule(0).health, Health::Ok);
}

#[test]
fn a_series_that_a_rule_no_longer_gives_ends() {
    let mut w = World::new("  rules:\n  - {record: r, expr: 'up > 0'}\n");
    w.set(1, "up{i=\"1\"}", 1.0);
    w.set(1, "up{i=\"2\"}", 1.0);
    assert_eq!(w.lines(1), ["r{i=\"1\"} 1", "r{i=\"2\"} 1"]);
    w.set(2, "up{i=\"2\"}", 0.0);
    assert_eq!(w.lines(2), ["r{i=\"1\"} 1", "r{i=\"2\"} stale"]);
    assert_eq!(w.lines(3), ["r{i=\"1\"} 1"]);
}

#[test]
fn a_rule_sees_what_the_one_before_it_gave_at_the_same_instant() {
    let mut w = World::new("  rules:\n  - {record: a, expr: 'up * 2'}\n  - {record: b, expr: 'a + 1'}\n");
    w.set(1, "up", 3.0);
    assert_eq!(w.lines(1), ["a 6", "b 7"]);
    w.set(2, "up", 4.0);
    assert_eq!(w.lines(2), ["a 8", "b 9"]);
}

#[test]
fn a_rule_that_fails_says_why_and_ends_nothing() {
    let mut w = World::new("  rules:\n  - {record: a, expr: 'x + on(j) y'}\n  - {record: b, expr: '1'}\n");
    for s in ["x{j=\"1\"}", "y{j=\"1\"}"] {
        w.set(1, s, 1.0);
    }
    assert_eq!(w.lines(1), ["a{j=\"1\"} 2", "b 1"]);
    w.set(2, "y{j=\"1\", k=\"2\"}", 1.0);
    assert_eq!(w.lines(2), ["b 1"]);
    assert_eq!((w.rule(0).health, w.rule(1).health), (Health::Err, Health::Ok));
    assert!(w.rule(0).last_error.as_deref().unwrap().contains("many"), "{:?}", w.rule(0).last_error);
}

#[test]
fn a_limit_fails_the_rule_that_exceeds_it() {
    let mut w = World::new("  limit: 1\n  rules:\n  - {record: a, expr: up}\n  - {alert: B, expr: up}\n");
    w.set(1, "up{i=\"1\"}", 1.0);
    w.set(1, "up{i=\"2\"}", 1.0);
    assert_eq!(w.run(1).failures, 2);
    assert_eq!(w.rule(0).last_error.as_deref(), Some("exceeded limit of 1 with 2 series"));
    assert_eq!(w.rule(1).last_error.as_deref(), Some("exceeded limit of 1 with 2 alerts"));
}

#[test]
fn labels_that_make_two_series_one_are_an_error() {
    let mut w = World::new(
        "  rules:\n  - {record: a, expr: up, labels: {i: ''}}\n  - {alert: B, expr: up, labels: {i: x}}\n",
    );
    w.set(1, "up{i=\"1\"}", 1.0);
    w.set(1, "up{i=\"2\"}", 1.0);
    w.run(1);
    for i in 0..2 {
        assert!(w.rule(i).last_error.as_deref().unwrap().contains("same labelset"));
    }
}

#[test]
fn two_rules_that_disagree_about_a_series_are_told() {
    let mut w = World::new("  rules:\n  - {record: a, expr: '1'}\n  - {record: a, expr: '2'}\n");
    assert_eq!(w.lines(1), ["a 1"]);
    assert!(w.rule(1).last_error.as_deref().unwrap().contains("another value"));
}

#[test]
fn a_query_offset_looks_back_and_writes_there() {
    let mut w = World::new("  query_offset: 1m\n  rules:\n  - {record: a, expr: up}\n");
    w.set(1, "up", 1.0);
    w.set(2, "up", 2.0);
    let batch = w.run(2).batch;
    assert_eq!((batch.at, batch.samples[0].1), (TimestampMs(60_000), 1.0));
}

const DOWN: &str = "  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page, who: '{{ $labels.job }}'}
    annotations: {summary: '{{ $labels.instance }} is {{ $value }}'}
";

#[test]
fn an_alert_is_pending_then_fires_then_is_resolved_and_forgotten() {
    let mut w = World::new(DOWN);
    let up = "up{instance=\"i\", job=\"j\"}";
    w.set(0, up, 1.0);
    assert!(w.lines(0).is_empty());
    for minute in 1..=4 {
        w.set(minute, up, 0.0);
    }
    let labels = r#"alertname="Down", "#;
    let own = r#"instance="i", job="j", severity="page", who="j"}"#;
    assert_eq!(
        w.lines(1),
        [
            format!("ALERTS{{{labels}alertstate=\"pending\", {own} 1"),
            format!("ALERTS_FOR_STATE{{{labels}{own} 60")
        ]
    );
    assert_eq!(w.alert().annotations, [("summary".to_owned(), "i is 0".to_owned())]);
    w.run(2);
    assert_eq!(w.rule(0).state(), AlertState::Pending);
    assert_eq!(
        w.lines(3),
        [
            format!("ALERTS{{{labels}alertstate=\"firing\", {own} 1"),
            format!("ALERTS{{{labels}alertstate=\"pending\", {own} stale"),
            format!("ALERTS_FOR_STATE{{{labels}{own} 60")
        ]
    );
    assert_eq!((w.alert().active_at, w.alert().fired_at), (TimestampMs(60_000), Some(TimestampMs(180_000))));
    w.set(5, up, 1.0);
    assert_eq!(w.lines(5).len(), 2, "both series end");
    assert_eq!((w.alert().state, w.alert().resolved_at), (AlertState::Inactive, Some(TimestampMs(300_000))));
    assert_eq!(w.rule(0).active_alerts().count(), 0);
    w.run(20);
    assert_eq!(w.rule(0).alerts().len(), 1, "kept for 15 minutes");
    w.run(21);
    assert_eq!(w.rule(0).alerts().len(), 0);
}

#[test]
fn a_pending_alert_that_ceases_is_forgotten_and_waits_anew() {
    let mut w = World::new(DOWN);
    w.set(1, "up", 0.0);
    w.run(1);
    w.set(2, "up", 1.0);
    w.run(2);
    assert_eq!(w.rule(0).alerts().len(), 0);
    w.set(3, "up", 0.0);
    w.run(3);
    assert_eq!(w.alert().active_at, TimestampMs(180_000));
}

#[test]
fn an_alert_without_for_fires_at_once() {
    let mut w = World::new("  rules:\n  - {alert: A, expr: up == 0}\n");
    w.set(1, "up", 0.0);
    w.run(1);
    assert_eq!(w.rule(0).state(), AlertState::Firing);
}

#[test]
fn keep_firing_for_bridges_a_short_recovery() {
    let mut w = World::new("  rules:\n  - {alert: A, expr: up == 0, keep_firing_for: 3m}\n");
    for (minute, up) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0), (5, 1.0), (6, 1.0), (7, 1.0)] {
        w.set(minute, "up", up);
        w.run(minute);
        let (state, since) = (w.alert().state, w.alert().keep_firing_since.map(|t| t.0 / 60_000));
        let wanted = match minute {
            2 => (AlertState::Firing, Some(2)),
            1 | 3 => (AlertState::Firing, None),
            4..=6 => (AlertState::Firing, Some(4)),
            _ => (AlertState::Inactive, Some(4)),
        };
        assert_eq!((state, since), wanted, "minute {minute}");
    }
}

#[test]
fn a_failing_query_keeps_the_alerts() {
    let mut w = World::new("  rules:\n  - {alert: A, expr: 'x + on(j) y > 0'}\n");
    for s in ["x{j=\"1\"}", "y{j=\"1\"}"] {
        w.set(1, s, 1.0);
    }
    w.run(1);
    w.set(2, "y{j=\"1\", k=\"2\"}", 1.0);
    assert_eq!(w.run(2).failures, 1);
    assert_eq!(w.rule(0).state(), AlertState::Firing);
}

#[test]
fn a_template_may_query() {
    let mut w = World::new(
        "  rules:\n  - {alert: A, expr: up == 0, annotations: {n: '{{ query \"count(up)\" | first | value }} {{ query \"(\" }}'}}\n",
    );
    w.set(1, "up{i=\"1\"}", 0.0);
    w.set(1, "up{i=\"2\"}", 1.0);
    w.run(1);
    assert!(w.alert().annotations[0].1.starts_with("<error expanding template"));
    let mut w = World::new(
        "  rules:\n  - {alert: A, expr: up == 0, annotations: {n: '{{ query \"count(up)\" | first | value }}'}}\n",
    );
    w.set(1, "up{i=\"1\"}", 0.0);
    w.set(1, "up{i=\"2\"}", 1.0);
    w.run(1);
    assert_eq!(w.alert().annotations[0].1, "2");
}

#[test]
fn labels_that_change_all_the_time_do_not_fill_memory() {
    let mut w = World::new("  rules:\n  - {alert: A, expr: 'up'}\n");
    for round in 0..3 {
        w.memory = Memory::default();
        for i in 0..ALERTS_MAX {
            w.set(round, &format!("up{{i=\"{round}-{i}\"}}"), 1.0);
        }
        assert_eq!(w.run(round).failures, 0);
        assert!(w.rule(0).alerts().len() <= 2 * ALERTS_MAX);
        assert_eq!(w.rule(0).active_alerts().count(), ALERTS_MAX);
    }
    w.set(3, "up{i=\"one more\"}", 1.0);
    assert_eq!(w.run(3).failures, 1);
    assert!(w.rule(0).last_error.as_deref().unwrap().contains("narrow the expression"));
}

const SLOW: &str = "  rules:\n  - {alert: A, expr: up == 0, for: 30m}\n";

/// Runs SLOW for some minutes, is away, and comes back: the state after the restart.
fn restarted(ran: i64, away: i64) -> World {
    let mut w = World::new(SLOW);
    for minute in 0..=ran {
        w.set(minute, "up", 0.0);
        w.run(minute);
    }
    let back = ran + away;
    w.group = GroupState::new(group_of(SLOW), Arc::new(Settings::default()), true);
    for minute in back..=back + 1 {
        w.set(minute, "up", 0.0);
        assert!(w.run(minute).batch.samples.is_empty(), "nothing is written before the state is restored");
    }
    w
}

#[test]
fn after_a_restart_a_pending_alert_goes_on_waiting_where_it_was() {
    // Waited 10 of 30 minutes; away for 5 + 1.
    let w = restarted(10, 5);
    assert_eq!(w.alert().active_at.0, 6 * 60_000);
}

#[test]
fn after_a_restart_an_alert_that_was_about_to_fire_waits_the_grace_period() {
    let mut w = restarted(25, 5);
    assert_eq!(w.alert().active_at.0, (31 + 10 - 30) * 60_000);
    for minute in 32..=41 {
        w.set(minute, "up", 0.0);
        w.run(minute);
        assert_eq!(w.rule(0).state() == AlertState::Firing, minute == 41, "minute {minute}");
    }
}

#[test]
fn after_a_restart_an_alert_that_fired_fires_again_at_once() {
    let mut w = restarted(40, 5);
    assert_eq!(w.alert().active_at.0, 0);
    w.set(47, "up", 0.0);
    assert_eq!(w.lines(47).len(), 2);
    assert_eq!(w.rule(0).state(), AlertState::Firing);
}

#[test]
fn an_outage_beyond_the_tolerance_is_not_bridged() {
    let w = restarted(40, 70);
    assert_eq!(w.alert().active_at.0, 110 * 60_000);
}

#[test]
fn reading_the_file_again_keeps_alerts_and_ends_series_of_rules_that_are_gone() {
    let mut w = World::new("  rules:\n  - {alert: A, expr: up == 0}\n  - {record: old, expr: up}\n");
    w.set(1, "up", 0.0);
    w.run(1);
    let group = group_of("  rules:\n  - {record: new, expr: up}\n  - {alert: A, expr: up < 1}\n");
    let mut next = GroupState::new(group, Arc::new(Settings::default()), false);
    std::mem::swap(&mut next, &mut w.group);
    w.group.adopt(next);
    w.set(2, "up", 0.0);
    let lines = w.lines(2);
    assert!(lines.contains(&"old stale".to_owned()) && lines.contains(&"new 0".to_owned()), "{lines:?}");
    assert_eq!(w.rule(1).alerts().next().unwrap().active_at, TimestampMs(60_000));
    let World { group, .. } = w;
    assert!(group.retire(TimestampMs(180_000)).samples.iter().all(|(_, v)| is_stale(*v)));
}

#[test]
fn a_file_read_again_right_after_the_start_does_not_stop_the_restoration() {
    let mut w = World::new(SLOW);
    w.group = GroupState::new(group_of(SLOW), Arc::new(Settings::default()), true);
    w.set(0, "up", 0.0);
    w.run(0);
    let fresh = GroupState::new(group_of(SLOW), Arc::new(Settings::default()), false);
    let old = std::mem::replace(&mut w.group, fresh);
    w.group.adopt(old);
    w.set(1, "up", 0.0);
    assert!(w.run(1).batch.samples.is_empty());
    w.set(2, "up", 0.0);
    assert_eq!(w.run(2).batch.samples.len(), 2);
}

#[test]
fn slots_lie_one_interval_apart_and_never_in_the_future() {
    let w = World::new("  interval: 30s\n  rules: []\n");
    let slot = w.group.slot(TimestampMs(1_000_000));
    assert!(slot.0 <= 1_000_000 && slot.0 > 970_000);
    assert_eq!(w.group.slot(TimestampMs(slot.0)), slot);
    assert_eq!(w.group.slot(TimestampMs(slot.0 + 30_000)), TimestampMs(slot.0 + 30_000));
    assert_eq!(w.group.slot(TimestampMs(slot.0 + 29_999)), slot);
}
