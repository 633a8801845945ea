//! What must hold across restarts, crashes and lost files, and what clients are told.
#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wellkept_logintake::rate::Rate;
use wellkept_logmine::anomaly::stream::{Kind, WatchConfig};
use wellkept_logs::{LogBody, LogFormat, Logs, LogsConfig, MarkError};
use wellkept_logstore::query::parse_lines;
use wellkept_logstore::{Direction, LogBatch, LogEntry, LogRange, LogStoreConfig, SearchLimits};
use wellkept_model::{Labels, Level, LogLine, TemplateId, TimestampMs};
use wellkept_tsdb::OsDisk;

const S: i64 = 1_000_000_000;
const NOW: i64 = 1_790_000_000 * S;

fn open_with(folder: &Path, config: LogsConfig, now_ns: i64) -> Logs {
    Logs::open(Arc::new(OsDisk::new(folder)), config, now_ns).unwrap()
}

/// Every upkeep makes a segment of what there is.
fn eager() -> LogsConfig {
    let store = LogStoreConfig { segment_age: std::time::Duration::ZERO, ..LogStoreConfig::default() };
    LogsConfig { store, ..LogsConfig::default() }
}

fn batch(lines: &[(&str, i64, Level)]) -> LogBatch {
    let labels = Labels::new([("service", "app")]);
    let mut batch = LogBatch::new();
    for (text, at_ns, level) in lines {
        let line = LogLine {
            at_ns: *at_ns,
            labels: &labels,
            level: Some(*level),
            text: text.as_bytes(),
            fields: &[],
        };
        assert!(batch.push(&line));
    }
    batch
}

fn take(logs: &Logs, texts: &[&str], at_ns: i64) {
    let lines: Vec<_> = texts.iter().map(|t| (*t, at_ns, Level::Info)).collect();
    logs.commit(&batch(&lines), at_ns).unwrap();
}

fn all(logs: &Logs) -> Vec<LogEntry> {
    let range =
        LogRange { from_ns: 0, to_ns: i64::MAX, direction: Direction::Forward, limit: 10_000, cursor: None };
    logs.store().search(&parse_lines("{}").unwrap(), &range, SearchLimits::default()).lines
}

/// Templates by the first word of their lines.
fn ids(logs: &Logs) -> BTreeMap<String, Vec<TemplateId>> {
    let mut ids: BTreeMap<String, Vec<TemplateId>> = BTreeMap::new();
    for line in all(logs) {
        let text = String::from_utf8(line.text).unwrap();
        let word = text.split(' ').next().unwrap().to_owned();
        let ids = ids.entry(word).or_default();
        let id = logs.resolve(line.template);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn one_each(ids: &BTreeMap<String, Vec<TemplateId>>) {
    for (word, ids) in ids {
        assert_eq!(ids.len(), 1, "{word} has {ids:?}");
    }
    let different: std::collections::BTreeSet<_> = ids.values().flatten().collect();
    assert_eq!(different.len(), ids.len(), "{ids:?}");
}

#[test]
fn a_template_keeps_its_id_over_restarts_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4_i64 {
        let now = NOW + round * 100 * S;
        let logs = open_with(folder.path(), eager(), now);
        take(&logs, &["login of user 17 took 5 ms", "disk sda1 has 93 % used"], now);
        take(&logs, &[["cache", "queue", "mail", "proxy"][round as usize]], now + S);
        if round % 2 == 0 {
            // A segment, then lines that are in the write-ahead log only.
            logs.upkeep(now + 10 * S);
        }
        take(
            &logs,
            &[["alpha begins", "beta begins", "gamma begins", "delta begins"][round as usize]],
            now + 11 * S,
        );
        one_each(&ids(&logs));
        if round == 1 {
            logs.close(now + 12 * S);
        }
        // Else: as after a kill.
    }
}

#[test]
fn ids_are_not_given_twice_when_what_was_learned_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open_with(folder.path(), eager(), NOW);
    take(&logs, &["alpha begins", "beta begins"], NOW);
    logs.upkeep(NOW + S);
    let before = ids(&logs);
    drop(logs);
    std::fs::write(folder.path().join("learned"), b"rubbish").unwrap();
    let logs = open_with(folder.path(), eager(), NOW + 2 * S);
    take(&logs, &["gamma begins", "delta begins"], NOW + 3 * S);
    let after = ids(&logs);
    one_each(&after);
    assert_eq!(after["alpha"], before["alpha"]);
    assert!(folder.path().join("learned.unreadable").exists(), "nothing is thrown away");
}

fn short_learning() -> LogsConfig {
    LogsConfig {
        watch: WatchConfig { learning_ns: 10 * S, ..WatchConfig::default() },
        ..LogsConfig::default()
    }
}

#[test]
fn a_new_grave_line_is_told_once_and_never_again_after_a_person_said_it_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let error = |logs: &Logs, at: i64| {
        logs.commit(&batch(&[("cannot reach backend db-1: refused", at, Level::Error)]), at).unwrap();
    };
    let logs = open_with(folder.path(), short_learning(), NOW);
    take(&logs, &["request 1 served"], NOW);
    for s in 20..100 {
        error(&logs, NOW + s * S);
        logs.upkeep(NOW + s * S);
    }
    let told = logs.oddities();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].service.as_str(), told[0].level), ("app", Some(Level::Error)));
    assert_eq!(logs.lasting().len(), 1, "it has gone on for more than a minute");
    let template = told[0].oddity.template;
    assert!(logs.seen(template).unwrap().is_new);
    assert!(logs.text(template).unwrap().starts_with("cannot reach backend"));

    let by = ("anna", TimestampMs(1));
    logs.mark(template, ("new_template", None), true, by).unwrap();
    assert!(logs.oddities().is_empty() && logs.lasting().is_empty());
    drop(logs);
    let logs = open_with(folder.path(), short_learning(), NOW + 200 * S);
    assert_eq!(logs.marks().len(), 1);
    logs.mark(template, ("new_template", None), false, by).unwrap();
    assert!(logs.marks().is_empty());
    let wrong = logs.mark(template, ("odd", None), true, by);
    assert!(matches!(wrong, Err(MarkError::Kind(_))));
    let wrong = logs.mark(TemplateId(999_999), ("rate", None), true, by);
    assert!(matches!(wrong, Err(MarkError::Template(_))));
}

#[test]
fn a_history_that_is_read_in_one_go_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open_with(folder.path(), short_learning(), NOW);
    for minute in 0..120 {
        let at = NOW - 86_400 * S + minute * 60 * S;
        let text =
            format!("failed in a way that is new: {}", ["alpha", "beta", "gamma"][minute as usize % 3]);
        logs.commit(&batch(&[(&text, at, Level::Error)]), NOW).unwrap();
    }
    logs.upkeep(NOW + 61 * S);
    assert!(logs.lasting().is_empty());
}

fn push(logs: &Logs, format: LogFormat, content_type: &str, body: &[u8], now_ns: i64) -> (u16, String) {
    let reply = logs.push(&LogBody {
        format,
        content_type,
        content_encoding: "",
        source: "10.0.0.9",
        bytes: body,
        now_ns,
    });
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

#[test]
fn each_protocol_gets_its_own_answer_and_the_lines_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open_with(folder.path(), LogsConfig::default(), NOW);
    let loki =
        br#"{"streams":[{"stream":{"service":"a"},"values":[["1789999999000000000","one"],["x","two"]]}]}"#;
    let (status, told) = push(&logs, LogFormat::Loki, "application/json", loki, NOW);
    assert_eq!(status, 400, "{told}");
    let loki = br#"{"streams":[{"stream":{"service":"a"},"values":[["1789999999000000000","one"]]}]}"#;
    assert_eq!(push(&logs, LogFormat::Loki, "application/json", loki, NOW).0, 204);
    let bulk = b"{\"create\":{}}\n{\"@timestamp\":\"2026-09-21T14:13:20Z\",\"message\":\"three\"}\n{\"delete\":{}}\n";
    let (status, told) = push(&logs, LogFormat::Bulk(Some("x".into())), "", bulk, NOW);
    assert_eq!(status, 200);
    assert!(told.contains("\"errors\":true") && told.contains("\"status\":201"), "{told}");
    let otlp = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"b"}}]},
        "scopeLogs":[{"logRecords":[{"timeUnixNano":"1789999999000000000","severityNumber":17,"body":{"stringValue":"four"}}]}]}]}"#;
    assert_eq!(push(&logs, LogFormat::Otlp, "application/json", otlp, NOW), (200, "{}".to_owned()));
    assert_eq!(push(&logs, LogFormat::Loki, "text/html", loki, NOW).0, 415);
    assert_eq!(push(&logs, LogFormat::Loki, "application/json", b"{", NOW).0, 400);
    let texts: Vec<String> = all(&logs).into_iter().map(|l| String::from_utf8(l.text).unwrap()).collect();
    assert!(["one", "three", "four"].iter().all(|t| texts.iter().any(|x| x == t)), "{texts:?}");
    let (status, told) = push(&logs, LogFormat::Handshake("GET".into(), "/".into()), "", b"", NOW);
    assert!(status == 200 && told.contains("version"), "{told}");
}

#[test]
fn a_source_that_floods_is_told_to_wait_and_counted_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let rate = Some(Rate { per_second: 1.0, burst: 2.0 });
    let logs = open_with(folder.path(), LogsConfig { rate, ..LogsConfig::default() }, NOW);
    let body = br#"{"streams":[{"stream":{"service":"a"},"values":[["1789999999000000000","one"]]}]}"#;
    let statuses: Vec<u16> =
        (0..4).map(|_| push(&logs, LogFormat::Loki, "application/json", body, NOW).0).collect();
    assert_eq!(statuses, [204, 204, 429, 429]);
    logs.upkeep(NOW);
    assert_eq!(logs.status().dropped, [("10.0.0.9".to_owned(), 2)]);
    assert_eq!(all(&logs).len(), 2);
}

#[test]
fn lines_are_counted_by_service_level_and_template() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open_with(folder.path(), LogsConfig::default(), NOW);
    take(&logs, &["user 1 in", "user 2 in", "user 3 in"], NOW);
    let samples = logs.samples();
    assert_eq!(samples.len(), 1, "{samples:?}");
    assert_eq!((samples[0].0.get("service"), samples[0].0.get("level"), samples[0].1), ("app", "info", 3.0));
}

#[test]
fn a_session_that_goes_unlike_those_before_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open_with(
        folder.path(),
        LogsConfig {
            watch: WatchConfig { learning_ns: 900 * S, ..WatchConfig::default() },
            ..LogsConfig::default()
        },
        NOW,
    );
    let mut at = NOW;
    let session = |logs: &Logs, id: u64, at: i64, ends: bool| {
        let name = format!("blk_{:012x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16);
        let mut texts =
            vec![format!("Receiving block {name} from peer"), format!("Received block {name} whole")];
        texts.push(if ends {
            format!("PacketResponder for {name} terminating")
        } else {
            format!("Exception while serving {name} again")
        });
        let lines: Vec<(&str, i64, Level)> = texts.iter().map(|t| (t.as_str(), at, Level::Info)).collect();
        logs.commit(&batch(&lines), at).unwrap();
        name
    };
    // The words of the odd one are known, so that it is not the template that is new.
    for i in 0..150 {
        at += 10 * S;
        session(&logs, i, at, true);
        logs.upkeep(at);
    }
    take(&logs, &["Exception while serving nothing again"], at);
    at += 300 * S;
    logs.upkeep(at);
    let bad = session(&logs, 1000, at, false);
    session(&logs, 1001, at, true);
    logs.upkeep(at + 130 * S);
    let odd: Vec<_> = logs.oddities().into_iter().filter(|t| t.oddity.kind == Kind::Session).collect();
    assert_eq!(odd.len(), 1, "{odd:?}");
    assert_eq!(odd[0].oddity.value.as_deref(), Some(bad.as_bytes()));
    logs.mark(odd[0].oddity.template, ("session", None), true, ("anna", TimestampMs(1))).unwrap();
    session(&logs, 1002, at + 200 * S, false);
    logs.upkeep(at + 400 * S);
    assert!(
        logs.oddities().iter().all(|t| t.oddity.kind != Kind::Session),
        "a person said that it is harmless"
    );
}
