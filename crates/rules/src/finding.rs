//! Which finding a firing alert is.
//!
//! Labels come from whoever sends metrics. They choose a finding's entity, severity and words, and nothing else: an
//! alert names no cause by itself and leads to no action of its own. A label never moves a finding of another host
//! onto a service or file system of this one, because acting there would not help.

use std::collections::BTreeMap;

use wellkept_model::{
    EntityId, EntityKind, Evidence, Finding, FindingKey, FindingKind, Labels, METRIC_NAME, Severity, Text,
    TimestampMs,
};

use crate::eval::{Alert, AlertState, GroupState};
use crate::file::Rule;
use crate::problem::short;
use crate::template::scientific;

/// Most findings of one look at all groups. More at once are one big fault, and a person looks anyway.
pub const FINDINGS_MAX: usize = 500;

/// What is known of this host, to find the entity that an alert is about.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Its name.
    pub host: &'a str,
    /// Whether a service of this name is declared here.
    pub service: &'a dyn Fn(&str) -> bool,
    /// Whether a file system is mounted here.
    pub filesystem: &'a dyn Fn(&str) -> bool,
}

/// The findings of all groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFindings {
    /// Sorted by key, at most [`FINDINGS_MAX`]; the worst ones when there are more.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub left_out: usize,
}

/// The findings of all firing alerts. Of two alerts that make the same finding the worse one counts.
pub fn findings<'a>(
    groups: impl IntoIterator<Item = &'a GroupState>,
    known: &Known<'_>,
    now: TimestampMs,
) -> AlertFindings {
    let mut by_key: BTreeMap<FindingKey, Finding> = BTreeMap::new();
    for group in groups {
        for (rule, state) in group.rules() {
            for found in state.active_alerts().filter_map(|a| finding(rule, a, known, now)) {
                let worse = by_key.get(&found.key).is_none_or(|there| there.severity < found.severity);
                if worse {
                    by_key.insert(found.key.clone(), found);
                }
            }
        }
    }
    let mut findings: Vec<Finding> = by_key.into_values().collect();
    let left_out = findings.len().saturating_sub(FINDINGS_MAX);
    if left_out > 0 {
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.key.cmp(&b.key)));
        findings.truncate(FINDINGS_MAX);
        findings.sort_by(|a, b| a.key.cmp(&b.key));
    }
    AlertFindings { findings, left_out }
}

/// The finding of one alert. `None` while it does not fire, and for `severity: none`, which marks alerts that fire
/// on purpose to show that alerting works.
#[must_use]
pub fn finding(rule: &Rule, alert: &Alert, known: &Known<'_>, now: TimestampMs) -> Option<Finding> {
    if alert.state != AlertState::Firing {
        return None;
    }
    let severity = severity(alert.labels.get("severity"))?;
    let entity = entity(&alert.labels, known);
    let subject = subject(rule, &alert.labels, &entity);
    let annotation = |name: &str| {
        let found = alert.annotations.iter().find(|(n, text)| n == name && !text.trim().is_empty());
        found.map(|(_, text)| short(text.trim()))
    };
    let summary = ["summary", "message", "description"].into_iter().find_map(annotation);
    let text = Text::new("finding.alert")
        .with("name", &entity.name)
        .with("alert", &rule.name)
        .with("summary", summary.unwrap_or_else(|| short(&rule.expr)));
    let evidence = Evidence {
        at: now,
        text: Text::new("evidence.alert")
            .with("alert", &rule.name)
            .with("value", scientific(alert.value, None))
            .with("labels", short(&alert.labels.to_string())),
        query: Some(rule.expr.clone()),
    };
    Some(Finding {
        key: FindingKey { entity, kind: FindingKind::Alert, subject },
        severity,
        since: alert.active_at.min(now),
        at: now,
        text,
        evidence: vec![evidence],
        // The rule's `for` has been waited out already.
        hold_ms: 0,
    })
}

/// The words for severity that rules use. Unknown ones and none at all are a warning.
fn severity(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "none" => None,
        "critical" | "page" | "error" | "emergency" | "fatal" | "high" => Some(Severity::Critical),
        "info" | "informational" | "notice" | "low" | "debug" => Some(Severity::Info),
        _ => Some(Severity::Warning),
    }
}

fn entity(labels: &Labels, known: &Known<'_>) -> EntityId {
    let host = host_of(labels.get("instance"));
    let here = host.is_empty() || host == known.host || matches!(host, "localhost" | "127.0.0.1" | "::1");
    if !here {
        return EntityId::host(host);
    }
    for name in ["service", "job"] {
        let service = labels.get(name);
        if !service.is_empty() && (known.service)(service) {
            return EntityId::service(service);
        }
    }
    let mountpoint = labels.get("mountpoint");
    if !mountpoint.is_empty() && (known.filesystem)(mountpoint) {
        return EntityId::filesystem(mountpoint);
    }
    EntityId::host(known.host)
}

/// `web-1:9100`, `[::1]:9100` and `http://web-1:80/x` without what is not the host.
fn host_of(instance: &str) -> &str {
    let rest = instance.split_once("://").map_or(instance, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((inside, _)) => inside,
        None if rest.matches(':').count() > 1 => rest,
        None => rest.split(':').next().unwrap_or_default(),
    }
}

/// The alert's name with the labels that tell it from its siblings on the same entity.
fn subject(rule: &Rule, labels: &Labels, entity: &EntityId) -> String {
    let told = |name: &str| match name {
        "alertname" | "severity" | "instance" => true,
        "service" | "job" => entity.kind == EntityKind::Service && labels.get(name) == entity.name,
        "mountpoint" => entity.kind == EntityKind::Filesystem,
        // What the rule says of every alert tells none from another.
        _ => rule.labels.iter().any(|(n, v)| n == name && v == labels.get(name)),
    };
    let rest = labels.iter().filter(|(n, _)| !told(n));
    Labels::new(std::iter::once((METRIC_NAME, rule.name.as_str())).chain(rest)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::RuleFile;

    fn rule(labels: &str) -> Rule {
        let text = format!(
            "groups:\n- name: g\n  rules:\n  - {{alert: Slow, expr: up > 1, labels: {{{labels}}}, annotations: {{summary: s}}}}\n"
        );
        RuleFile::read("r.yml", &text).unwrap().groups.remove(0).rules.remove(0)
    }

    fn alert(labels: &[(&str, &str)]) -> Alert {
        Alert {
            state: AlertState::Firing,
            labels: Labels::new(labels.iter().copied().chain([("alertname", "Slow")])),
            annotations: vec![("summary".into(), " too {name} slow ".into())],
            value: 1.5,
            active_at: TimestampMs(1000),
            fired_at: Some(TimestampMs(2000)),
            resolved_at: None,
            keep_firing_since: None,
        }
    }

    fn found(labels: &[(&str, &str)]) -> Option<Finding> {
        let known = Known { host: "here", service: &|s| s == "app", filesystem: &|m| m == "/data" };
        finding(&rule("team: x"), &alert(labels), &known, TimestampMs(5000))
    }

    #[test]
    fn the_entity_comes_from_the_labels() {
        for (labels, wanted) in [
            (vec![], "host:here Slow"),
            (vec![("service", "app")], "service:app Slow"),
            (vec![("job", "app"), ("instance", "here:80")], "service:app Slow"),
            (vec![("job", "node"), ("instance", "localhost:9100")], "host:here Slow{job=\"node\"}"),
            (vec![("mountpoint", "/data"), ("device", "sda1")], "filesystem:/data Slow{device=\"sda1\"}"),
            (vec![("mountpoint", "/other")], "host:here Slow{mountpoint=\"/other\"}"),
            (vec![("team", "x"), ("shard", "3")], "host:here Slow{shard=\"3\"}"),
            (vec![("instance", "http://far:80/x")], "host:far Slow"),
            (vec![("instance", "[::2]:80")], "host:::2 Slow"),
        ] {
            let key = found(&labels).unwrap().key;
            assert_eq!(format!("{} {}", key.entity, key.subject), wanted);
        }
    }

    #[test]
    fn a_foreign_host_never_lands_on_a_service_or_file_system_of_this_one() {
        let labels = [("instance", "far:9100"), ("service", "app"), ("job", "app"), ("mountpoint", "/data")];
        assert_eq!(found(&labels).unwrap().key.entity, EntityId::host("far"));
    }

    #[test]
    fn severity_is_a_label_and_a_warning_by_default() {
        for (word, wanted) in [
            ("critical", Some(Severity::Critical)),
            ("Page", Some(Severity::Critical)),
            ("warning", Some(Severity::Warning)),
            ("info", Some(Severity::Info)),
            ("whatever", Some(Severity::Warning)),
            ("", Some(Severity::Warning)),
            ("none", None),
        ] {
            assert_eq!(found(&[("severity", word)]).map(|f| f.severity), wanted, "{word}");
        }
    }

    #[test]
    fn the_text_says_what_the_rule_says_and_shows_its_query() {
        let f = found(&[]).unwrap();
        assert_eq!((f.since, f.at, f.hold_ms), (TimestampMs(1000), TimestampMs(5000), 0));
        assert_eq!(f.evidence[0].query.as_deref(), Some("up > 1"));
        let say = |text| wellkept_catalogue::render(wellkept_catalogue::Language::En, text);
        assert_eq!(say(&f.text), "Slow of here: too {name} slow");
        assert!(say(&f.evidence[0].text).contains("1.5e+00"));
    }

    #[test]
    fn an_alert_that_does_not_fire_is_no_finding() {
        let known = Known { host: "here", service: &|_| false, filesystem: &|_| false };
        for state in [AlertState::Pending, AlertState::Inactive] {
            assert_eq!(finding(&rule(""), &Alert { state, ..alert(&[]) }, &known, TimestampMs(0)), None);
        }
    }
}
