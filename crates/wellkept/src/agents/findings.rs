//! What agents tell, and their silence, as findings about their hosts.
//!
//! A told finding is a stranger's word: it is shown as an alert of that host, under a message of our own catalogue, and
//! names nothing on this host. It leads to no action of its own.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use wellkept_agent::server::Server;
use wellkept_agent::wire::Told;
use wellkept_catalogue::{Language, keys};
use wellkept_model::{EntityId, Evidence, Finding, FindingKey, FindingKind, Severity, Text, TimestampMs};

/// Most findings at once: more are one big fault.
const FINDINGS_MAX: usize = 200;
/// Longest subject, and value of a message, characters.
const SHOWN_MAX: usize = 200;
/// Most values of a message.
const ARGS_MAX: usize = 10;

/// Messages that a told finding may use.
static MESSAGES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| keys(Language::En).filter(|key| key.starts_with("finding.")).collect());

pub(super) fn findings(server: &Server, silent_after: Duration, at: TimestampMs) -> Vec<Finding> {
    let limit = i64::try_from(silent_after.as_millis()).unwrap_or(i64::MAX);
    let heard = server.heard();
    let silent = heard
        .iter()
        .filter(|agent| at.0.saturating_sub(agent.heard_ms) > limit)
        .map(|agent| silence(&agent.name, agent.heard_ms, limit, at));
    let known: HashSet<&str> = heard.iter().map(|agent| agent.name.as_str()).collect();
    let told = server.told();
    // Silence is not health: what was told last holds until something else is told, or the agent is sent away.
    let told = told.iter().filter(|(name, _)| known.contains(name.as_str()));
    let told = told.flat_map(|(name, told)| told.iter().filter_map(move |told| of(name, told, at)));
    silent.chain(told).take(FINDINGS_MAX).collect()
}

fn silence(name: &str, heard_ms: i64, limit: i64, at: TimestampMs) -> Finding {
    let heard = jiff::Timestamp::from_millisecond(heard_ms).map(|t| t.to_string()).unwrap_or_default();
    let evidence = Text::new("evidence.agent_silent").with("at", heard).with("limit", limit);
    Finding {
        key: FindingKey {
            entity: EntityId::host(name),
            kind: FindingKind::Silent,
            subject: "agent".to_owned(),
        },
        severity: Severity::Warning,
        since: TimestampMs(heard_ms),
        at,
        text: Text::new("finding.agent_silent").with("name", name).with("ms", limit),
        evidence: vec![Evidence { at, text: evidence, query: None }],
        // It was waited for already.
        hold_ms: 0,
    }
}

fn of(agent: &str, told: &Told, at: TimestampMs) -> Option<Finding> {
    if !MESSAGES.contains(told.key.as_str()) || told.key.ends_with(".over") {
        return None;
    }
    let severity = Severity::ALL.into_iter().find(|s| s.word() == told.severity)?;
    let short = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect() };
    let args = told.args.iter().take(ARGS_MAX);
    let text = args.fold(Text::new(&told.key), |text, (name, value)| text.with(&short(name), short(value)));
    Some(Finding {
        key: FindingKey {
            entity: EntityId::host(agent),
            kind: FindingKind::Alert,
            subject: short(&told.subject),
        },
        severity,
        since: TimestampMs(told.since_ms.clamp(0, at.0)),
        at,
        evidence: vec![Evidence { at, text: text.clone(), query: None }],
        text,
        hold_ms: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str) -> Told {
        Told {
            subject: "process_gone service:db\u{1b}[31m".into(),
            severity: "critical".into(),
            since_ms: 5,
            key: key.into(),
            args: vec![("name".into(), "d\u{7}b".into())],
        }
    }

    #[test]
    fn what_an_agent_tells_is_about_its_host_and_shown_without_control_characters() {
        let finding = of("web-1", &told("finding.process_gone"), TimestampMs(9)).unwrap();
        assert_eq!(finding.key.entity, EntityId::host("web-1"));
        assert_eq!((finding.key.kind, finding.severity), (FindingKind::Alert, Severity::Critical));
        assert!(!finding.key.subject.contains('\u{1b}') && finding.text.arg("name") == Some("db"));
    }

    #[test]
    fn messages_that_are_no_findings_are_left_out() {
        for key in ["cli.up.token", "finding.nope", "", "finding.process_gone.over"] {
            assert_eq!(of("web-1", &told(key), TimestampMs(9)), None, "{key}");
        }
        let odd = Told { severity: "fatal".into(), ..told("finding.process_gone") };
        assert_eq!(of("web-1", &odd, TimestampMs(9)), None);
    }
}
