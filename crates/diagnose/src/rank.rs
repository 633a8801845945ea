//! Root against symptom: orders what the rules proposed.
//!
//! A cause on an entity also explains the failing checks of everything that leans on it, unless one of those has
//! a stronger cause of its own (a process that crashed did not crash because its database is slow). Causes that
//! are explained by a deeper one sink below it; what nobody explains is said to be unknown.

use wellkept_model::{Cause, CauseKind, EntityId, Evidence, Finding, FindingKind, Text};

use crate::rules::{RULES, cause, is_illness, names};
use crate::{Situation, Suspect};

/// Causes reported per incident.
const CAUSES_MAX: usize = 8;
/// What each explained symptom adds to a root's score, and how much all of them may add.
const PER_SYMPTOM: f64 = 0.01;
const SYMPTOMS_MAX: f64 = 0.04;
/// A cause that a deeper one explains keeps this share of its score.
const SYMPTOM_SHARE: f64 = 0.5;
/// Illness without any explanation.
const SCORE_UNKNOWN: f64 = 0.2;

/// Causes of the situation's findings, most likely first, at most eight. Empty only without findings.
#[must_use]
pub fn diagnose(s: &Situation) -> Vec<Cause> {
    let mut causes: Vec<Cause> = RULES.iter().flat_map(|rule| rule(s)).collect();
    let proposed = causes.clone();
    for cause in &mut causes {
        if proposed.iter().any(|root| explains_cause(s, root, cause)) {
            cause.score *= SYMPTOM_SHARE;
        }
        explain_symptoms(s, cause, &proposed);
        names::belongs_to_its_end(s, cause);
    }
    causes.extend(unexplained(s, &causes));
    causes.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)).then_with(|| a.kind.cmp(&b.kind))
    });
    causes.truncate(CAUSES_MAX);
    causes
}

/// True when `root` is a reason for `other`: on something that `other` leans on, and `other` is of a kind that
/// spreads (a crash or a bad setting is the service's own; an exit after lost dependencies may be a symptom).
fn explains_cause(s: &Situation, root: &Cause, other: &Cause) -> bool {
    let spreads = match other.kind {
        CauseKind::ProcessCrash
        | CauseKind::Down
        // A standby follows its primary into trouble.
        | CauseKind::ReplicationBroken
        | CauseKind::PersistenceFailed
        | CauseKind::Slow
        | CauseKind::ThreadPoolExhaustion
        | CauseKind::Unknown => true,
        CauseKind::ProcessDown
        | CauseKind::ProcessStopped
        | CauseKind::BadSetting
        | CauseKind::DiskFull
        | CauseKind::InodeExhaustion
        | CauseKind::UnauthorisedFileChange
        | CauseKind::MissingFile
        | CauseKind::BadRelease
        | CauseKind::ChildrenNotReaped
        | CauseKind::CpuContention
        | CauseKind::DeletedOpenFile
        | CauseKind::FdLeak
        | CauseKind::MemoryLeak
        | CauseKind::PortConflict
        | CauseKind::RunawayFork
        | CauseKind::UnexpectedListener
        | CauseKind::BackupMissing
        | CauseKind::ClockSkew
        | CauseKind::ConfigSyntaxError
        | CauseKind::ConnectionExhaustion
        | CauseKind::CredentialMismatch
        | CauseKind::EmptyDump
        | CauseKind::FallbackLeftOn
        | CauseKind::LinkDown
        | CauseKind::MissingIndex
        | CauseKind::PacketLoss
        | CauseKind::ReplayPaused
        | CauseKind::TlsCertificateExpired
        | CauseKind::TlsNameMismatch
        | CauseKind::ConfigDrift
        | CauseKind::MemoryThrash
        | CauseKind::OomKill
        | CauseKind::CpuThrottled
        | CauseKind::DiskIoSaturation
        | CauseKind::DiskReadOnly
        | CauseKind::MountMissing
        | CauseKind::NatTableFull
        | CauseKind::TimeSyncLost
        | CauseKind::JobMissing
        | CauseKind::JobOverlap
        | CauseKind::SshBruteforce
        | CauseKind::SshCompromisedAccount
        | CauseKind::Malware
        | CauseKind::MalwareTestFile
        | CauseKind::PrivilegeEscalation
        | CauseKind::RouteMissing
        | CauseKind::MtuMismatch
        | CauseKind::LinkDegraded
        | CauseKind::AddressConflict
        | CauseKind::LogFlood
        | CauseKind::Hang
        | CauseKind::Throttled
        | CauseKind::WrongAnswers
        | CauseKind::LockContention
        | CauseKind::Deadlock
        | CauseKind::TableBloat
        | CauseKind::TransactionWraparound
        | CauseKind::CheckpointStorm
        | CauseKind::SplitBrain
        | CauseKind::SchemaMismatch
        | CauseKind::CacheEviction
        | CauseKind::QueueFull
        | CauseKind::PoisonMessage
        | CauseKind::RateLimited
        | CauseKind::WrongUpstream
        | CauseKind::KeyExpired
        | CauseKind::VersionMismatch
        | CauseKind::CorruptedData
        | CauseKind::TrafficSurge
        | CauseKind::RetryStorm
        | CauseKind::FirewallBlock
        | CauseKind::DependencyLoop
        | CauseKind::DaemonDown
        | CauseKind::GcPause => false,
    };
    spreads && s.topology.leans_on(&other.entity).contains_key(&root.entity) && began_first(s, root, other)
}

/// True unless the root fell ill clearly after what it should explain.
fn began_first(s: &Situation, root: &Cause, other: &Cause) -> bool {
    let onset = |e: &EntityId| s.about(e).map(|f| f.since).min();
    match (onset(&root.entity), onset(&other.entity)) {
        (Some(r), Some(o)) => r.0 <= o.0.saturating_add(2_000),
        _ => true,
    }
}

/// Adds the failing checks of dependants that have no cause of their own.
fn explain_symptoms(s: &Situation, cause: &mut Cause, proposed: &[Cause]) {
    if matches!(cause.kind, CauseKind::UnauthorisedFileChange | CauseKind::UnexpectedListener) {
        return;
    }
    let dependants = s.topology.dependants(&cause.entity);
    let symptoms = s.findings.iter().filter(|f| {
        dependants.contains_key(&f.key.entity)
            && is_symptom(f)
            && !proposed.iter().any(|c| c.entity == f.key.entity && !explains_cause(s, cause, c))
    });
    let keys: Vec<_> = symptoms.map(|f| f.key.clone()).filter(|k| !cause.explains.contains(k)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of findings")]
    let bonus = (keys.len() as f64 * PER_SYMPTOM).min(SYMPTOMS_MAX);
    cause.score = (cause.score + bonus).min(1.0);
    cause.explains.extend(keys);
}

fn is_symptom(finding: &Finding) -> bool {
    is_illness(finding.key.kind) || matches!(finding.key.kind, FindingKind::Unusual | FindingKind::SignalHigh)
}

/// One `unknown` for each ill entity that no cause explains; the deepest such entity scores highest.
fn unexplained(s: &Situation, causes: &[Cause]) -> Vec<Cause> {
    let open = |f: &&Finding| !causes.iter().any(|c| c.explains.contains(&f.key));
    let ill: Vec<&Finding> = s.findings.iter().filter(open).collect();
    let mut found: Vec<Cause> = Vec::new();
    for finding in &ill {
        let entity = &finding.key.entity;
        if found.iter().any(|c| c.entity == *entity) {
            continue;
        }
        let below = s.topology.leans_on(entity);
        let deepest = !ill.iter().any(|f| below.contains_key(&f.key.entity));
        let score = if deepest { SCORE_UNKNOWN } else { SCORE_UNKNOWN * SYMPTOM_SHARE };
        let own = ill.iter().copied().filter(|f| f.key.entity == *entity);
        let mut unknown = cause(entity, CauseKind::Unknown, "", score, own.clone());
        // Whoever wrote the rule said what it means; that is more than we know.
        if let Some(alert) = only_alerts(own) {
            unknown.detail = Text { key: "cause.unknown_alert".to_owned(), args: alert.text.args.clone() };
        }
        unknown.evidence.extend(s.suspects.iter().map(|suspect| suspicion(s, suspect)));
        found.push(unknown);
    }
    found
}

/// What moved, for the person who is called: a ranking, and no cause.
fn suspicion(s: &Situation, suspect: &Suspect) -> Evidence {
    let text = Text::new(&format!("evidence.suspect.{}", suspect.sign))
        .with("name", &suspect.entity)
        .with("series", &suspect.series)
        .with("before", format!("{:.4}", suspect.before))
        .with("after", format!("{:.4}", suspect.after));
    // A mean of two series has a name that is no selector.
    let query = Some(suspect.series.clone()).filter(|series| series.ends_with('}'));
    Evidence { at: suspect.onset.unwrap_or(s.now), text, query }
}

/// The gravest alert, when there is nothing but alerts; the oldest of several.
fn only_alerts<'a>(findings: impl Iterator<Item = &'a Finding> + Clone) -> Option<&'a Finding> {
    let alerts_only = findings.clone().all(|f| f.key.kind == FindingKind::Alert);
    alerts_only.then(|| findings.min_by_key(|f| (std::cmp::Reverse(f.severity), f.since)))?
}

#[cfg(test)]
mod tests {
    use wellkept_model::{FindingKey, Severity, TimestampMs};

    use super::*;
    use crate::rules::testing::{Case, check};

    #[test]
    fn an_alert_that_nothing_explains_speaks_for_itself() {
        let alert = |name: &str, severity, since| Finding {
            key: FindingKey {
                entity: EntityId::host("web-1"),
                kind: FindingKind::Alert,
                subject: name.to_owned(),
            },
            severity,
            since: TimestampMs(since),
            at: TimestampMs(100),
            text: Text::new("finding.alert").with("name", "web-1").with("alert", name).with("summary", "why"),
            evidence: Vec::new(),
            hold_ms: 0,
        };
        let findings = vec![alert("Late", Severity::Warning, 10), alert("Full", Severity::Critical, 50)];
        let situation = Situation { findings, ..Case::new("web needs app").situation };
        let [cause] = diagnose(&situation).try_into().unwrap();
        assert_eq!((cause.kind, cause.detail.key.as_str()), (CauseKind::Unknown, "cause.unknown_alert"));
        assert_eq!((cause.detail.arg("alert"), cause.detail.arg("summary")), (Some("Full"), Some("why")));
        assert_eq!(cause.explains.len(), 2);
    }

    #[test]
    fn a_dead_dependency_is_the_root_and_its_dependants_are_symptoms() {
        let case = Case::new(
            "app needs cache; web needs app; cache ended 0 at 100 began 10; cache gone; \
             app runs since 10; app unhealthy; web runs since 10; web unhealthy",
        );
        assert_eq!(case.first(), "service:cache process_down");
        assert_eq!(case.causes.len(), 1);
        assert_eq!(case.causes[0].explains.len(), 3);
    }

    #[test]
    fn a_dependant_that_crashes_because_its_dependency_is_gone_sinks_below_it() {
        let case = Case::new(
            "app needs cache; cache ended 0 at 100 began 10; cache gone; app ended 1 at 101 began 10; app gone",
        );
        assert_eq!(case.first(), "service:cache process_down");
        assert_eq!(case.causes[1].score, 0.4);
    }

    #[test]
    fn two_roots_stay_two() {
        let case = Case::new(
            "app needs cache; cache ended 0 at 100 began 10; cache gone; app runs since 1; app stopped; app unhealthy",
        );
        let kinds = case.kinds();
        assert_eq!(kinds, ["process_stopped", "process_down"]);
        assert!(case.causes.iter().all(|c| c.score >= 0.8));
    }

    #[test]
    fn what_nobody_explains_is_unknown_at_its_deepest_point() {
        check(
            "web needs app; app runs since 1; app unhealthy; web runs since 1; web unhealthy",
            "service:app unknown 0.20",
        );
    }

    #[test]
    fn what_moved_is_told_where_nothing_is_known_and_nowhere_else() {
        let words = "web needs app; app runs since 1; app unhealthy";
        let told = |words: &str| {
            let mut case = Case::new(words);
            case.situation.suspects = vec![crate::Suspect {
                entity: EntityId::service("db"),
                score: 0.8,
                sign: "slow".to_owned(),
                series: "x_seconds{service=\"db\"}".to_owned(),
                before: 0.01,
                after: 2.0,
                onset: Some(TimestampMs(90_000)),
            }];
            let case = case.again();
            let evidence = case.causes[0].evidence.iter().filter(|e| e.text.key == "evidence.suspect.slow");
            (case.first(), evidence.map(|e| (e.at, e.query.is_some())).collect::<Vec<_>>())
        };
        let at = TimestampMs(90_000);
        assert_eq!(told(words), ("service:app unknown".to_owned(), vec![(at, true)]));
        assert_eq!(told("db gone"), ("service:db process_down".to_owned(), vec![]));
    }

    #[test]
    fn an_equal_situation_gives_equal_causes() {
        let text =
            "app needs cache; cache gone; app runs since 1; app unhealthy; /data full by /data/x-* of b";
        assert_eq!(Case::new(text).causes, Case::new(text).causes);
    }

    #[test]
    fn a_stored_situation_gives_the_same_causes_again() {
        let case = Case::new("app changed at 100; app ended 1 at 103 began 102; app gone");
        assert_eq!(case.replayed(), case.causes);
    }
}
