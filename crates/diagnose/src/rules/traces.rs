//! A service floods its log, or hangs.
//!
//! Discriminating tests: a full disk that holds a flooded log is its symptom. One that gives no sign of progress hangs,
//! unless it is stopped (then somebody stopped it) or what it needs is ill (then it waits).

use wellkept_model::{Cause, CauseKind, EntityKind, Finding, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

const SCORE_FLOOD: f64 = 0.96;
const SCORE_HANG: f64 = 0.88;
/// Something else that is known explains it.
const SCORE_EXPLAINED: f64 = 0.45;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let floods = s.of_kind(FindingKind::LogFlooding).map(|f| flood(s, f));
    floods.chain(s.of_kind(FindingKind::ServiceHung).map(|f| hang(s, f))).collect()
}

fn flood(s: &Situation, finding: &Finding) -> Cause {
    let path = finding.text.arg("path").unwrap_or("-");
    let holds = |mountpoint: &str| {
        mountpoint == "/" || path.strip_prefix(mountpoint).is_some_and(|r| r.starts_with('/'))
    };
    let full = s.findings.iter().filter(|f| {
        matches!(f.key.kind, FindingKind::FilesystemFull | FindingKind::FilesystemFilling)
            && f.key.subject.is_empty()
            && holds(&f.key.entity.name)
    });
    let speaks = std::iter::once(finding).chain(full);
    let mut found = cause(&finding.key.entity, CauseKind::LogFlood, path, SCORE_FLOOD, speaks);
    found.detail = found.detail.with("path", path);
    found
}

fn hang(s: &Situation, finding: &Finding) -> Cause {
    let entity = &finding.key.entity;
    let stopped = s.has(entity, FindingKind::ProcessStopped);
    let below = s.topology.leans_on(entity);
    let ill = |f: &Finding| {
        below.contains_key(&f.key.entity)
            && (f.key.entity.kind != EntityKind::Service || is_illness(f.key.kind))
    };
    let waits = s.findings.iter().any(ill);
    let score = if stopped || waits { SCORE_EXPLAINED } else { SCORE_HANG };
    let own = s.about(entity).filter(|f| f.key == finding.key || f.key.kind == FindingKind::HealthFailing);
    cause(entity, CauseKind::Hang, "", score, own)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn with(words: &str, kind: FindingKind) -> Case {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("app"), kind, "");
        if let Some(finding) = case.situation.findings.last_mut() {
            finding.text = finding.text.clone().with("path", "/var/log/app.log");
        }
        case.again()
    }

    #[test]
    fn a_disk_that_a_flooded_log_fills_is_its_symptom() {
        let words = "app uses /var/log; app runs since 1; /var/log full by /var/log/x-* of app";
        let case = with(words, FindingKind::LogFlooding);
        assert_eq!(case.first(), "service:app log_flood");
        assert_eq!(case.causes[0].explains.len(), 2);
        assert_eq!(Case::new(words).first(), "filesystem:/var/log disk_full", "nobody floods");
    }

    #[test]
    fn one_without_progress_hangs_unless_it_is_stopped_or_waits() {
        let case = with("app runs since 1; app unhealthy", FindingKind::ServiceHung);
        assert_eq!((case.first().as_str(), case.causes[0].explains.len()), ("service:app hang", 2));
        let case = with("app runs since 1; app stopped", FindingKind::ServiceHung);
        assert_eq!(case.first(), "service:app process_stopped");
        let words = "app needs db; app runs since 1; db ended 0 at 100 began 10; db gone";
        assert_eq!(with(words, FindingKind::ServiceHung).first(), "service:db process_down");
    }
}
