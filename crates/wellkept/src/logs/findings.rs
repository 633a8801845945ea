//! What is odd in logs, grave, and goes on, as findings.
//!
//! Lines are a stranger's words: they choose nothing but what is shown. Such a finding names no cause and leads to no action
//! of its own.

use std::collections::BTreeSet;

use wellkept_logmine::anomaly::stream::Kind;
use wellkept_logs::{Logs, Told, word_of};
use wellkept_model::{EntityId, Evidence, Finding, FindingKey, FindingKind, Severity, Text, TimestampMs};

/// Most findings at once: more are one big fault.
const FINDINGS_MAX: usize = 50;
/// Characters of a template that are shown.
const SHOWN_MAX: usize = 200;

/// The findings that hold now.
pub(crate) fn findings(
    logs: &Logs,
    host: &str,
    services: &BTreeSet<String>,
    at: TimestampMs,
) -> Vec<Finding> {
    let lasting = logs.lasting();
    lasting
        .into_iter()
        .take(FINDINGS_MAX)
        .map(|(told, first, _)| finding(logs, host, services, &told, first, at))
        .collect()
}

fn finding(
    logs: &Logs,
    host: &str,
    services: &BTreeSet<String>,
    told: &Told,
    first_ns: i64,
    at: TimestampMs,
) -> Finding {
    let oddity = &told.oddity;
    let entity = if services.contains(&told.service) {
        EntityId::service(&told.service)
    } else {
        EntityId::host(host)
    };
    let template = format!("{:016x}", oddity.template.0);
    let shown = logs.text(oddity.template).unwrap_or_else(|| template.clone());
    let shown: String = shown.chars().take(SHOWN_MAX).filter(|c| !c.is_control()).collect();
    let key = match oddity.kind {
        Kind::NewTemplate | Kind::Value(_) => "finding.log_unusual.new_template",
        Kind::Rate => "finding.log_unusual.rate",
        Kind::MissingBeat => "finding.log_unusual.missing_beat",
    };
    let text = Text::new(key).with("name", &entity.name).with("template", &shown);
    let evidence = match oddity.kind {
        Kind::NewTemplate | Kind::Value(_) => Text::new("evidence.log_unusual.new_template"),
        Kind::Rate => Text::new("evidence.log_unusual.rate")
            .with("seen", format!("{:.0}", oddity.seen))
            .with("usual", format!("{:.0}", oddity.usual)),
        Kind::MissingBeat => Text::new("evidence.log_unusual.missing_beat")
            .with("ms", (oddity.seen / 1e6).round())
            .with("usual_ms", (oddity.usual / 1e6).round()),
    };
    let query = format!("sum(rate(log_lines_total{{template=\"{template}\"}}[1m]))");
    Finding {
        key: FindingKey {
            entity,
            kind: FindingKind::LogUnusual,
            subject: format!("{} {template}", word_of(oddity.kind)),
        },
        severity: Severity::Warning,
        since: TimestampMs(first_ns / 1_000_000),
        at,
        text,
        evidence: vec![Evidence { at, text: evidence, query: Some(query) }],
        // It was waited for already.
        hold_ms: 0,
    }
}
