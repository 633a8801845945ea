//! What is odd in logs, grave, and goes on, as findings.
//!
//! Lines are a stranger's words: they choose nothing but what is shown. Such a finding names no cause and leads to no action
//! of its own.

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
    is_service: &dyn Fn(&str) -> bool,
    at: TimestampMs,
) -> Vec<Finding> {
    let lasting = logs.lasting();
    lasting
        .into_iter()
        .take(FINDINGS_MAX)
        .map(|(told, first, _)| finding(logs, host, is_service, &told, first, at))
        .collect()
}

fn finding(
    logs: &Logs,
    host: &str,
    is_service: &dyn Fn(&str) -> bool,
    told: &Told,
    first_ns: i64,
    at: TimestampMs,
) -> Finding {
    let oddity = &told.oddity;
    let entity =
        if is_service(&told.service) { EntityId::service(&told.service) } else { EntityId::host(host) };
    let template = format!("{:016x}", oddity.template.0);
    let shown = logs.text(oddity.template).unwrap_or_else(|| template.clone());
    let shown: String = shown.chars().take(SHOWN_MAX).filter(|c| !c.is_control()).collect();
    let key = match oddity.kind {
        Kind::NewTemplate | Kind::Value(_) | Kind::Session => "finding.log_unusual.new_template",
        Kind::Rate => "finding.log_unusual.rate",
        Kind::MissingBeat => "finding.log_unusual.missing_beat",
    };
    let text = Text::new(key).with("name", &entity.name).with("template", &shown);
    let evidence = match oddity.kind {
        Kind::NewTemplate | Kind::Value(_) | Kind::Session => Text::new("evidence.log_unusual.new_template"),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wellkept_logmine::anomaly::stream::WatchConfig;
    use wellkept_logs::LogsConfig;
    use wellkept_logstore::LogBatch;
    use wellkept_model::{Labels, Level, LogLine};

    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_new_grave_line_that_goes_on_is_a_finding_of_its_service() {
        let folder = tempfile::tempdir().unwrap();
        let watch = WatchConfig { learning_ns: 10 * S, ..WatchConfig::default() };
        let config = LogsConfig { watch, ..LogsConfig::default() };
        let disk = Arc::new(wellkept_tsdb::OsDisk::new(folder.path()));
        let logs = Logs::open(disk, config, 0).unwrap();
        let take = |service: &str, level, text: &str, at_ns| {
            let labels = Labels::new([("service", service)]);
            let mut batch = LogBatch::new();
            batch.push(&LogLine {
                at_ns,
                labels: &labels,
                level: Some(level),
                text: text.as_bytes(),
                fields: &[],
            });
            logs.commit(&batch, at_ns).unwrap();
        };
        for service in ["app", "stranger"] {
            take(service, Level::Info, "all is well", 0);
        }
        for s in 20..90 {
            take("app", Level::Error, "cannot reach db-1: refused", s * S);
            take("stranger", Level::Critical, "\u{1b}[31mworse than that", s * S);
            logs.upkeep(s * S);
        }
        let services = |name: &str| name == "app";
        let found = findings(&logs, "web-1", &services, TimestampMs(90_000));
        let of = |entity: EntityId| found.iter().find(|f| f.key.entity == entity).unwrap();
        let app = of(EntityId::service("app"));
        assert_eq!((app.key.kind, app.severity), (FindingKind::LogUnusual, Severity::Warning));
        assert_eq!(app.since, TimestampMs(20_000));
        assert!(app.text.arg("template").unwrap().contains("cannot reach"), "{:?}", app.text);
        assert!(app.evidence[0].query.as_deref().unwrap().contains("log_lines_total"));
        let other = of(EntityId::host("web-1"));
        assert!(
            !other.text.arg("template").unwrap().contains('\u{1b}'),
            "a service that nobody declared, escaped"
        );
        assert_eq!(found.len(), 2);
        logs.upkeep(120 * S);
        assert!(
            findings(&logs, "web-1", &services, TimestampMs(120_000)).is_empty(),
            "over when it is quiet"
        );
    }
}
