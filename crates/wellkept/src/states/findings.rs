//! What differs, as findings: one for each host and declared state, until a look has seen that it does not any more.

use std::collections::BTreeMap;

use wellkept_model::{EntityId, Evidence, Finding, FindingKey, FindingKind, Severity, Text, TimestampMs};

use crate::commands::apply::{HostReport, Report};

/// The most findings at once.
const FINDINGS_MAX: usize = 200;
/// The most tasks that are shown of one host.
const TASKS_MAX: usize = 10;
/// Characters that are shown of how a task changes things.
const DIFF_MAX: usize = 500;

/// What is known of one declared state.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Hosts that differ, since when.
    differ: BTreeMap<String, (TimestampMs, HostReport)>,
    /// Hosts that could not be judged in the last look, since when and why.
    unseen: BTreeMap<String, (TimestampMs, String)>,
    /// No host could be judged in the last look, since when and why.
    blind: Option<(TimestampMs, String)>,
    /// Hosts with a step that was begun and has no known end, since when.
    doubtful: BTreeMap<String, TimestampMs>,
}

impl Found {
    /// Takes what was left in doubt when hosts were put right.
    pub(super) fn take_doubt(&mut self, at: TimestampMs, report: &Report) {
        let before = std::mem::take(&mut self.doubtful);
        let doubtful = report.hosts.iter().filter(|(_, found)| found.doubtful);
        let since = |host: &String| (host.clone(), before.get(host).copied().unwrap_or(at));
        self.doubtful = doubtful.map(|(host, _)| since(host)).collect();
    }

    /// Takes what a look gave. What it could not see stays as it was.
    pub(super) fn take(&mut self, at: TimestampMs, report: Result<Report, String>) {
        let report = match report {
            Ok(report) => report,
            Err(why) => {
                let since = self.blind.as_ref().map_or(at, |(since, _)| *since);
                self.blind = Some((since, why));
                return;
            }
        };
        self.blind = None;
        let before = std::mem::take(&mut self.differ);
        let unseen_before = std::mem::take(&mut self.unseen);
        for (host, found) in report.hosts {
            let known = before.get(&host);
            let since = known.map_or(at, |(since, _)| *since);
            if found.unreachable || found.failed > 0 {
                let why = if found.unreachable { "it could not be reached" } else { "a task failed" };
                let since = unseen_before.get(&host).map_or(at, |(since, _)| *since);
                self.unseen.insert(host.clone(), (since, why.to_owned()));
                if found.changed == 0
                    && let Some((since, old)) = known
                {
                    self.differ.insert(host, (*since, old.clone()));
                    continue;
                }
            }
            if found.changed > 0 {
                self.differ.insert(host, (since, found));
            } else if !found.unreachable && found.failed == 0 {
                // However it came: it is as described.
                self.doubtful.remove(&host);
            }
        }
    }
}

/// The findings that hold now.
pub(super) fn all(found: &BTreeMap<String, Found>, own_host: &str, at: TimestampMs) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, found) in found {
        for (host, (since, report)) in &found.differ {
            findings.push(differs(name, entity(host, own_host), *since, at, report));
        }
        for (host, (since, why)) in &found.unseen {
            findings.push(unseen(name, entity(host, own_host), *since, at, why));
        }
        for (host, since) in &found.doubtful {
            findings.push(doubtful(name, entity(host, own_host), *since, at));
        }
        if let Some((since, why)) = &found.blind {
            findings.push(unseen(name, EntityId::host(own_host), *since, at, why));
        }
    }
    findings.truncate(FINDINGS_MAX);
    findings
}

/// This machine has one name, however an inventory calls it.
fn entity(host: &str, own_host: &str) -> EntityId {
    EntityId::host(if matches!(host, "localhost" | "127.0.0.1" | "::1") { own_host } else { host })
}

fn differs(
    name: &str,
    entity: EntityId,
    since: TimestampMs,
    at: TimestampMs,
    report: &HostReport,
) -> Finding {
    let text = Text::new("finding.state_differs").with("name", name).with("host", &entity.name);
    let mut evidence: Vec<Evidence> = report
        .differs
        .iter()
        .take(TASKS_MAX)
        .map(|task| {
            let diff: String = task.diff.chars().take(DIFF_MAX).collect();
            let key = if diff.is_empty() { "evidence.state_differs.plain" } else { "evidence.state_differs" };
            Evidence { at, text: Text::new(key).with("task", &task.task).with("diff", diff), query: None }
        })
        .collect();
    let more = (report.changed as usize).saturating_sub(evidence.len());
    if more > 0 {
        let text = Text::new("evidence.state_differs.more").with("count", more);
        evidence.push(Evidence { at, text, query: None });
    }
    Finding {
        key: FindingKey { entity, kind: FindingKind::StateDiffers, subject: name.to_owned() },
        severity: Severity::Warning,
        since,
        at,
        text: text.with("count", report.changed),
        evidence,
        hold_ms: 0,
    }
}

fn unseen(name: &str, entity: EntityId, since: TimestampMs, at: TimestampMs, why: &str) -> Finding {
    let why: String = why.chars().take(DIFF_MAX).collect();
    let text = Text::new("finding.state_unseen").with("name", name).with("host", &entity.name);
    Finding {
        key: FindingKey { entity, kind: FindingKind::Silent, subject: format!("apply {name}") },
        severity: Severity::Warning,
        since,
        at,
        text: text.with("why", why),
        evidence: Vec::new(),
        hold_ms: 0,
    }
}

fn doubtful(name: &str, entity: EntityId, since: TimestampMs, at: TimestampMs) -> Finding {
    let text = Text::new("finding.state_doubtful").with("name", name).with("host", &entity.name);
    Finding {
        key: FindingKey { entity, kind: FindingKind::Silent, subject: format!("apply {name} step") },
        severity: Severity::Warning,
        since,
        at,
        text,
        evidence: Vec::new(),
        hold_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::apply::Differs;

    fn report(hosts: &[(&str, u32, u32, bool)]) -> Result<Report, String> {
        let host = |changed, failed, unreachable| {
            let differs = vec![Differs { task: "a file".to_owned(), diff: "-a\n+b".to_owned() }];
            HostReport { changed, failed, unreachable, differs, doubtful: false }
        };
        let hosts = hosts.iter().map(|(name, c, f, u)| ((*name).to_owned(), host(*c, *f, *u))).collect();
        Ok(Report { hosts, check: true, ..Report::default() })
    }

    fn told(found: &Found) -> Vec<(String, FindingKind, i64)> {
        // The map is built anew, because what is found has no copy.
        let all = all_of(found);
        all.into_iter().map(|f| (f.key.entity.name, f.key.kind, f.since.0)).collect()
    }

    fn all_of(found: &Found) -> Vec<Finding> {
        let copy = Found {
            differ: found.differ.clone(),
            unseen: found.unseen.clone(),
            blind: found.blind.clone(),
            doubtful: found.doubtful.clone(),
        };
        all(&[("site".to_owned(), copy)].into(), "me", TimestampMs(99))
    }

    #[test]
    fn a_step_in_doubt_is_told_until_a_run_has_none_or_the_host_is_as_described() {
        let mut found = Found::default();
        let done = |doubtful: bool| {
            let mut report = report(&[("h1", 1, 0, false)]).unwrap();
            report.hosts.get_mut("h1").unwrap().doubtful = doubtful;
            report
        };
        let doubts = |found: &Found| {
            let all = all_of(found).into_iter();
            all.filter(|f| f.text.key == "finding.state_doubtful").map(|f| f.since.0).collect::<Vec<_>>()
        };
        found.take_doubt(TimestampMs(1), &done(true));
        found.take_doubt(TimestampMs(2), &done(true));
        found.take(TimestampMs(3), report(&[("h1", 1, 0, false)]));
        assert_eq!(doubts(&found), [1]);
        found.take_doubt(TimestampMs(4), &done(false));
        assert!(doubts(&found).is_empty());
        found.take_doubt(TimestampMs(5), &done(true));
        found.take(TimestampMs(6), report(&[("h1", 0, 0, true)]));
        assert_eq!(doubts(&found), [5], "not reached is not well");
        found.take(TimestampMs(7), report(&[("h1", 0, 0, false)]));
        assert!(doubts(&found).is_empty());
    }

    #[test]
    fn a_host_differs_until_a_look_has_seen_that_it_does_not() {
        let mut found = Found::default();
        found.take(
            TimestampMs(1),
            report(&[("h1", 2, 0, false), ("localhost", 1, 0, false), ("h3", 0, 0, false)]),
        );
        let (differs, silent) = (FindingKind::StateDiffers, FindingKind::Silent);
        assert_eq!(told(&found), [("h1".to_owned(), differs, 1), ("me".to_owned(), differs, 1)]);
        let first = &all_of(&found)[0];
        assert_eq!(first.evidence.len(), 2, "one task with how, and that there is one more");
        found.take(TimestampMs(2), report(&[("h1", 0, 0, true), ("localhost", 0, 0, false)]));
        assert_eq!(
            told(&found),
            [("h1".to_owned(), differs, 1), ("h1".to_owned(), silent, 2)],
            "not reached is not well"
        );
        found.take(TimestampMs(3), Err("a mistake".to_owned()));
        assert_eq!(told(&found).len(), 3, "a look that fails changes nothing");
        found.take(TimestampMs(4), report(&[("h1", 0, 0, false), ("localhost", 0, 0, false)]));
        assert_eq!(told(&found), []);
    }
}
