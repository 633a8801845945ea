//! Clocks that are set, and errors that everybody knows.

use std::sync::Arc;
use std::time::Duration;

use wellkept_logmine::anomaly::stream::WatchConfig;
use wellkept_logs::{Logs, LogsConfig};
use wellkept_logstore::LogBatch;
use wellkept_model::observe::ClockSeen;
use wellkept_model::{
    EntityId, Finding, FindingKey, FindingKind, Labels, Level, LogLine, Severity, Text, TimestampMs,
};

use crate::play::Play;

#[test]
fn a_clock_that_is_stepped_within_its_tolerance() {
    let mut p = Play::new();
    p.for_seconds(240, |p, second| {
        match second {
            // NTP sets the host's clock, once forward and once back; the service follows.
            40 => p.now = p.now + Duration::from_millis(1800),
            120 => p.now = TimestampMs(p.now.0 - 1700),
            _ => {}
        }
        let offset_ms = if (40..43).contains(&second) { -1800 } else { 20 };
        let seen = ClockSeen { at: p.now, offset_ms, ..ClockSeen::default() };
        p.seen.watched.clocks.insert("app".into(), seen);
    });
    p.is_quiet();
    assert!(p.findings().is_empty(), "{:?}", p.findings());
}

const S: i64 = 1_000_000_000;

fn says(logs: &Logs, text: &str, at_ns: i64) {
    let labels = Labels::new([("service", "app")]);
    let mut batch = LogBatch::new();
    let line =
        LogLine { at_ns, labels: &labels, level: Some(Level::Error), text: text.as_bytes(), fields: &[] };
    batch.push(&line);
    logs.commit(&batch, at_ns).unwrap();
}

/// What the log's lasting oddities are as findings.
fn told(logs: &Logs, at: TimestampMs) -> Vec<Finding> {
    let lasting = logs.lasting().into_iter();
    let found = lasting.map(|(told, first_ns, _)| Finding {
        key: FindingKey {
            entity: EntityId::service("app"),
            kind: FindingKind::LogUnusual,
            subject: format!("{:x}", told.oddity.template.0),
        },
        severity: Severity::Warning,
        since: TimestampMs(at.0 - 60_000 + first_ns / S),
        at,
        text: Text::new("x"),
        evidence: Vec::new(),
        hold_ms: 0,
    });
    found.collect()
}

#[test]
fn errors_that_are_known_to_be_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let watch = WatchConfig { learning_ns: 60 * S, ..WatchConfig::default() };
    let config = LogsConfig { watch, ..LogsConfig::default() };
    let logs = Logs::open(Arc::new(wellkept_tsdb::OsDisk::new(folder.path())), config, 0).unwrap();
    let mut p = Play::new();
    let mut marked = false;
    p.for_seconds(300, |p, second| {
        let at = i64::from(second) * S;
        // It has always said so.
        says(&logs, &format!("ERROR favicon.ico not found for 10.0.0.{}", second % 200), at);
        // This one is new, and a person has marked it.
        if second >= 100 {
            says(&logs, "ERROR legacy endpoint called by partner", at);
        }
        logs.upkeep(at);
        if !marked && let Some(odd) = logs.oddities().first() {
            let kind = (wellkept_logs::word_of(odd.oddity.kind), None);
            logs.mark(odd.oddity.template, kind, true, ("ann", p.now)).unwrap();
            marked = true;
        }
        p.others = told(&logs, p.now);
    });
    assert!(marked, "the new one is told at first");
    p.is_quiet();
}
