//! What a search gives beside lines: context, facets, patterns, numbers, tails; and what retention takes away.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::time::Duration;

use common::{SECOND, batch, find, open, open_with, query, texts};
use wellkept_logstore::query::{LogQuery, parse};
use wellkept_logstore::{LogBatch, LogStore, LogStoreConfig, RetentionRule, SearchLimits};
use wellkept_model::{Labels, Level, LogLine, MatchOp, Matcher};
use wellkept_tsdb::sim::SimDisk;

/// Half of the lines in a segment, half in memory: two services, one line a second each.
fn filled() -> LogStore {
    let store = open(SimDisk::new());
    for part in 0..2 {
        for service in ["app", "db"] {
            let lines: Vec<String> = (0..50)
                .map(|i| match i % 10 {
                    0 => format!("error code={i} took=2s"),
                    _ => format!("request {i} took {}ms", i * 3),
                })
                .collect();
            store
                .append(&batch(service, part * 50, &lines.iter().map(String::as_str).collect::<Vec<_>>()))
                .unwrap();
        }
        if part == 0 {
            store.flush(0).unwrap();
        }
    }
    store
}

#[test]
fn context_is_what_stands_around_a_line_in_its_stream() {
    let store = filled();
    let hit = find(&store, r#"{service="app"} |= "code=0""#).remove(1);
    assert_eq!(hit.at_ns, 50 * SECOND);
    let (before, after) = store.context(&hit, 2, 3, SearchLimits::default());
    assert_eq!(texts(&before.lines), ["request 48 took 144ms", "request 49 took 147ms"]);
    assert_eq!(texts(&after.lines), ["request 1 took 3ms", "request 2 took 6ms", "request 3 took 9ms"]);
    assert!(before.lines.iter().chain(&after.lines).all(|l| l.labels.get("service") == "app"));
}

#[test]
fn context_of_one_of_many_lines_of_the_same_time_keeps_their_order() {
    let store = open(SimDisk::new());
    let labels = common::stream("app");
    let mut lines = LogBatch::new();
    for text in ["a", "b", "c", "d", "e"] {
        lines.push(&LogLine { at_ns: 7, labels: &labels, level: None, text: text.as_bytes(), fields: &[] });
    }
    store.append(&lines).unwrap();
    let hit = find(&store, r#"|= "c""#).remove(0);
    let (before, after) = store.context(&hit, 1, 9, SearchLimits::default());
    assert_eq!(
        (texts(&before.lines), texts(&after.lines)),
        (vec!["b".to_owned()], vec!["d".to_owned(), "e".to_owned()])
    );
}

#[test]
fn facets_name_the_most_frequent_values() {
    let store = filled();
    let names = ["service", "level", "template", "missing"];
    let facets = store.facets(&query("{}"), (0, 100 * SECOND), &names, 2, SearchLimits::default());
    assert_eq!(facets.lines, 200);
    let values = |i: usize| facets.facets[i].values.iter().map(|(v, n)| (v.as_str(), *n)).collect::<Vec<_>>();
    assert_eq!(values(0), [("app", 100), ("db", 100)]);
    assert_eq!(values(1), [("", 180), ("error", 20)]);
    assert_eq!(values(2).iter().map(|v| v.1).collect::<Vec<_>>(), [180, 20]);
    assert_eq!(values(3), [("", 200)]);
}

#[test]
fn patterns_tell_when_a_template_was_first_seen_how_often_and_with_examples() {
    let store = filled();
    let found =
        store.patterns(&query(r#"{service="db"}"#), (0, 100 * SECOND), 5, 10, SearchLimits::default());
    assert_eq!((found.lines, found.templates), (100, 2));
    let first = &found.patterns[0];
    assert_eq!((first.text.as_str(), first.count, first.first_ns), ("request <*> took <*>ms", 90, SECOND));
    assert_eq!(first.trend, [9; 10]);
    assert_eq!(first.examples.len(), 3);
    assert!(first.examples.iter().all(|e| e.labels.get("service") == "db"));
    assert_eq!(found.patterns[1].text, "error code=<*> took=<*>s");
}

#[test]
fn templates_keep_the_parameters_of_the_miner_also_when_a_segment_is_written_anew() {
    let rule = RetentionRule {
        matchers: vec![Matcher::new("service", MatchOp::Equal, "debug").unwrap()],
        keep: Duration::from_secs(2 * 86_400),
    };
    let disk = SimDisk::new();
    let config = LogStoreConfig { rules: vec![rule], ..LogStoreConfig::default() };
    let store = common::open_by_words(disk, config);
    let users = ["blk_-15.7x", "blk_-3.21x", "anna", "ben", ""];
    let lines: Vec<String> =
        (0..60).map(|i| format!("user {} from h{i}.lan:{}", users[i % 5], i * 7)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    store.append(&batch("app", 0, &lines)).unwrap();
    store.append(&batch("debug", 0, &lines)).unwrap();
    store.flush(0).unwrap();
    let seen = |store: &LogStore| {
        let found = store.patterns(&query("{}"), (0, 100 * SECOND), 5, 10, SearchLimits::default());
        found.patterns.into_iter().map(|p| (p.text, p.count)).collect::<Vec<_>>()
    };
    let template = "user <*> from <*>".to_owned();
    assert_eq!(seen(&store), [(template.clone(), 120)]);
    (1..60).for_each(|hour| upkeep(&store, hour * 3600 * SECOND));
    assert_eq!(seen(&store), [(template, 60)]);
    assert_eq!(texts(&find(&store, "{}")), lines);
}

fn values(store: &LogStore, text: &str) -> Vec<(String, Vec<(i64, f64)>)> {
    let LogQuery::Metric(query) = parse(text).unwrap() else { panic!("{text}") };
    let result = store.metric(&query, 9 * SECOND, 99 * SECOND, 30 * SECOND, SearchLimits::default());
    assert_eq!(result.stopped, None);
    let points = |p: Vec<(i64, f64)>| p.into_iter().map(|(at, v)| (at / SECOND, v)).collect();
    result.series.into_iter().map(|s| (s.labels.to_string(), points(s.points))).collect()
}

#[test]
fn numbers_over_time_are_those_of_the_window_before_each_step() {
    let store = filled();
    let one = |labels: &str, points: &[(i64, f64)]| (labels.to_owned(), points.to_vec());
    assert_eq!(
        values(&store, r#"sum by (service) (count_over_time({service="app"}[10s]))"#),
        [one(r#"{service="app"}"#, &[(9, 10.0), (39, 10.0), (69, 10.0), (99, 10.0)])]
    );
    assert_eq!(
        values(&store, r#"sum(rate({}[20s]))"#),
        [one("{}", &[(9, 1.0), (39, 2.0), (69, 2.0), (99, 2.0)])]
    );
    assert_eq!(
        values(&store, r#"sum by (level) (count_over_time({} |= "error" [10s]))"#),
        [one(r#"{level="error"}"#, &[(9, 2.0), (39, 2.0), (69, 2.0), (99, 2.0)])]
    );
    let top =
        values(&store, r#"topk(1, sum by (code) (count_over_time({} | logfmt | took > 1s [30s]))) > 1"#);
    assert_eq!(top[0], one(r#"{code="0"}"#, &[(9, 2.0), (69, 2.0)]));
    let bytes: u64 = find(&store, r#"{service="db"}"#)
        .iter()
        .filter(|e| e.at_ns <= 9 * SECOND)
        .map(|e| e.text.len() as u64)
        .sum();
    let found = values(&store, r#"bytes_over_time({service="db"}[10s])"#);
    assert_eq!(found[0].1[0], (9, bytes as f64));
    assert_eq!(values(&store, r#"count(count_over_time({}[1s]))"#)[0].1[0], (9, 2.0));
    assert_eq!(values(&store, r#"max without (service) (count_over_time({}[1s]))"#)[0].0, r#"{host="h1"}"#);
    assert!(values(&store, r#"sum(count_over_time({}[10s])) > 20"#).is_empty());
}

#[test]
fn a_tail_gets_what_fits_and_is_told_what_it_missed() {
    let store = filled();
    let (wakes, woken) = std::sync::mpsc::channel();
    let wake = Box::new(move || {
        let _ = wakes.send(());
    });
    assert!(!store.is_tailed());
    let tail = store.tail(query(r#"{service="app"} |= "error""#), 3, Some(wake)).unwrap();
    assert!(store.is_tailed());
    assert_eq!(tail.take(), Default::default());
    store.append(&batch("app", 200, &["fine", "an error"])).unwrap();
    store.append(&batch("db", 200, &["an error of others"])).unwrap();
    assert!(woken.try_recv().is_ok() && woken.try_recv().is_err());
    let got = tail.wait(Duration::from_secs(10));
    assert_eq!((texts(&got.lines), got.dropped), (vec!["an error".to_owned()], 0));
    store.append(&batch("app", 300, &["error 1", "error 2", "error 3", "error 4", "error 5"])).unwrap();
    let got = tail.take();
    assert_eq!((got.lines.len(), got.dropped), (3, 2));
    assert_eq!(store.stats().tail_dropped_total, 2);
    drop(tail);
    assert!(!store.is_tailed());
    let tails: Vec<_> = (0..100).filter_map(|_| store.tail(query("{}"), 1, None)).collect();
    assert_eq!(tails.len(), wellkept_logstore::TAILS_MAX);
}

fn upkeep(store: &LogStore, now: i64) {
    store.maintain(now).unwrap();
}

/// Seconds of a day.
const DAY: i64 = 86_400;

#[test]
fn retention_goes_by_age_by_stream_and_by_size() {
    let rule = RetentionRule {
        matchers: vec![Matcher::new("service", MatchOp::Equal, "debug").unwrap()],
        keep: Duration::from_secs(2 * 86_400),
    };
    let config = LogStoreConfig {
        retention: Duration::from_secs(10 * 86_400),
        rules: vec![rule],
        ..LogStoreConfig::default()
    };
    let disk = SimDisk::new();
    let store = open_with(disk.clone(), config).unwrap();
    for day in 0..4 {
        store.append(&batch("app", day * DAY, &["a 1", "a 2", "a 3"])).unwrap();
        store.append(&batch("debug", day * DAY, &["d 1", "d 2", "d 3"])).unwrap();
        store.flush(day * DAY * SECOND).unwrap();
    }
    let count = |store: &LogStore, service: &str| find(store, &format!(r#"{{service="{service}"}}"#)).len();
    let hours = |from: i64, to: i64| (from * 24 * 2..to * 24 * 2).map(|half| half * 1800 * SECOND);
    hours(3, 5).for_each(|now| upkeep(&store, now));
    // What is older than two days lost its debug lines; the rest of the segment was kept.
    assert_eq!((count(&store, "app"), count(&store, "debug")), (12, 3));
    hours(5, 12).for_each(|now| upkeep(&store, now));
    assert_eq!((count(&store, "app"), count(&store, "debug")), (6, 0));
    assert_eq!(count(&open(disk.fork()), "app"), 6);
    // A clock that leaps a year ahead deletes nothing for a day.
    store.maintain(400 * DAY * SECOND).unwrap();
    assert_eq!(count(&store, "app"), 6);
    hours(400, 402).for_each(|now| upkeep(&store, now));
    assert_eq!(count(&store, "app"), 0);

    // Not even one that is wrong from the start.
    let disk = SimDisk::new();
    let store = open(disk.clone());
    store.append(&batch("app", 0, &["kept"])).unwrap();
    store.flush(0).unwrap();
    let store = open(disk.fork());
    store.maintain(400 * DAY * SECOND).unwrap();
    assert_eq!(count(&store, "app"), 1);

    let config = LogStoreConfig { bytes_max: 3000, ..LogStoreConfig::default() };
    let store = open_with(SimDisk::new(), config).unwrap();
    for n in 0..20 {
        store.append(&batch("app", n, &["one line", "another line"])).unwrap();
        store.flush(n * SECOND).unwrap();
        store.maintain(n * SECOND).unwrap();
        assert!(store.stats().segment_bytes <= 3000);
    }
    assert!(find(&store, "{}").last().unwrap().at_ns == 20 * SECOND);
}

#[test]
fn lines_from_the_future_expire_by_the_time_of_their_segment() {
    let config = LogStoreConfig { retention: Duration::from_secs(86_400), ..LogStoreConfig::default() };
    let store = open_with(SimDisk::new(), config).unwrap();
    store.append(&batch("app", 9_000_000_000, &["from far away"])).unwrap();
    store.flush(0).unwrap();
    for now in (0..100).map(|half| half * 1800 * SECOND) {
        store.maintain(now).unwrap();
    }
    assert_eq!(store.stats().segments, 0);
}

#[test]
fn a_segment_is_made_when_enough_lines_wait_or_wait_long_enough() {
    let config = LogStoreConfig { segment_age: Duration::from_secs(100), ..LogStoreConfig::default() };
    let store = open_with(SimDisk::new(), config).unwrap();
    store.append(&batch("app", 0, &["waits"])).unwrap();
    assert_eq!(store.maintain(0).unwrap().written_lines, 0);
    assert_eq!(store.maintain(99 * SECOND).unwrap().written_lines, 0);
    assert_eq!(store.maintain(100 * SECOND).unwrap().written_lines, 1);
    assert_eq!((store.stats().segments, store.stats().head_lines), (1, 0));
}

#[test]
fn notes_survive_segments_and_starts_and_can_be_forgotten() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    let mut lines = batch("app", 0, &["a"]);
    assert!(lines.note("tail/a", b"1") && lines.note("tail/b", b"2") && lines.note("other", b"3"));
    store.append_durable(&lines).unwrap();
    for n in 0..3 {
        store.append(&batch("app", n, &["b"])).unwrap();
        store.flush(0).unwrap();
    }
    let store = open(disk.fork());
    let tails = vec![("tail/a".to_owned(), b"1".to_vec()), ("tail/b".to_owned(), b"2".to_vec())];
    assert_eq!(store.notes("tail/"), tails);
    let mut forget = LogBatch::new();
    assert!(forget.note("tail/a", b""));
    store.append_durable(&forget).unwrap();
    assert_eq!((store.note("tail/a"), store.note("other")), (None, Some(b"3".to_vec())));
}

#[test]
fn each_line_is_handed_to_whoever_looks_for_what_is_new() {
    let store = open(SimDisk::new());
    let mut seen = Vec::new();
    store
        .append_seen(&batch("app", 0, &["took 15 ms", "error 7"]), &mut |line, shape, params| {
            let param = |p: &std::ops::Range<u32>| {
                String::from_utf8_lossy(&line.text[p.start as usize..p.end as usize]).into_owned()
            };
            seen.push((line.level, shape.template, params.iter().map(param).collect::<Vec<_>>()));
        })
        .unwrap();
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [None, Some(Level::Error)]);
    assert_eq!(seen.iter().map(|s| s.2.concat()).collect::<Vec<_>>(), ["15", "7"]);
    let templates: Vec<_> = find(&store, "{}").iter().map(|e| e.template).collect();
    assert_eq!(templates, seen.iter().map(|s| s.1).collect::<Vec<_>>());
    assert_eq!(Labels::default(), Labels::new([("", "")]));
}
