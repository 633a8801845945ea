//! A scheduled job is no longer scheduled, was not run, or overlaps with itself.
//!
//! Discriminating tests: is its entry there? Does the service that runs jobs itself run (else that is the root)? Did
//! somebody record that the entry was changed (then it was meant)?

use wellkept_model::{Cause, CauseKind, Finding, FindingKind};

use super::cause;
use crate::Situation;

/// The crontab was read.
const SCORE_ENTRY: f64 = 0.95;
/// It is there, and nothing was run.
const SCORE_LATE: f64 = 0.85;
const SCORE_OVERLAP: f64 = 0.9;
/// Something else that is known explains it.
const SCORE_EXPLAINED: f64 = 0.45;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found: Vec<Cause> = s.of_kind(FindingKind::JobUnscheduled).map(|f| unscheduled(s, f)).collect();
    found.extend(s.of_kind(FindingKind::JobLate).filter_map(|f| late(s, f)));
    found.extend(s.of_kind(FindingKind::JobOverlapping).map(|f| {
        let job = &f.key.subject;
        with_job(cause(&f.key.entity, CauseKind::JobOverlap, job, SCORE_OVERLAP, [f]), job)
    }));
    found
}

fn unscheduled(s: &Situation, finding: &Finding) -> Cause {
    let job = &finding.key.subject;
    let place = finding.evidence.iter().find_map(|e| e.text.arg("place")).unwrap_or("-");
    let meant = s.changes.iter().any(|c| c.what == place);
    let late = s.of_kind(FindingKind::JobLate).filter(|f| f.key.subject == *job);
    let score = if meant { SCORE_EXPLAINED } else { SCORE_ENTRY };
    let speaks = std::iter::once(finding).chain(late);
    let mut found = cause(&finding.key.entity, CauseKind::JobMissing, job, score, speaks);
    found.detail = found.detail.with("place", place);
    with_job(found, job)
}

fn late(s: &Situation, finding: &Finding) -> Option<Cause> {
    let (entity, job) = (&finding.key.entity, &finding.key.subject);
    if s.of_kind(FindingKind::JobUnscheduled).any(|f| f.key.subject == *job) {
        return None;
    }
    let nobody_runs_it =
        s.has(entity, FindingKind::ProcessGone) || s.has(entity, FindingKind::ProcessStopped);
    let score = if nobody_runs_it { SCORE_EXPLAINED } else { SCORE_LATE };
    let mut found = cause(entity, CauseKind::JobMissing, job, score, [finding]);
    found.detail.key = "cause.job_missing.late".to_owned();
    Some(with_job(found, job))
}

fn with_job(mut cause: Cause, job: &str) -> Cause {
    cause.detail = cause.detail.with("job", job);
    cause
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{Change, ChangeId, ChangeKind, EntityId, Evidence, FindingKind, Text, TimestampMs};

    fn with(words: &str, kinds: &[FindingKind], meant: bool) -> Case {
        let mut case = Case::new(words);
        for kind in kinds {
            Case::find(&mut case.situation, EntityId::service("cron"), *kind, "heartbeat");
            let text = Text::new("x").with("place", "/etc/cron.d/shop");
            let evidence = Evidence { at: TimestampMs(0), text, query: None };
            case.situation.findings.last_mut().expect("found").evidence.push(evidence);
        }
        if meant {
            case.situation.changes.push(Change {
                id: ChangeId("7".to_owned()),
                at: TimestampMs(100_000),
                who: "ann".to_owned(),
                kind: ChangeKind::Config,
                what: "/etc/cron.d/shop".to_owned(),
                before: String::new(),
                after: String::new(),
            });
        }
        case.again()
    }

    #[test]
    fn an_entry_that_is_gone_explains_that_it_was_not_run() {
        let kinds = [FindingKind::JobUnscheduled, FindingKind::JobLate];
        let case = with("cron runs since 1", &kinds, false);
        assert_eq!((case.first().as_str(), case.causes.len()), ("service:cron job_missing", 1));
        assert_eq!((case.causes[0].explains.len(), case.causes[0].subject.as_str()), (2, "heartbeat"));
        assert_eq!(case.causes[0].detail.arg("place"), Some("/etc/cron.d/shop"));
    }

    #[test]
    fn who_recorded_the_change_meant_it() {
        let case = with("cron runs since 1", &[FindingKind::JobUnscheduled], true);
        assert!(case.causes[0].score < 0.6);
    }

    #[test]
    fn a_scheduler_that_is_down_is_the_root() {
        let case = with("cron ended 0 at 100 began 10; cron gone", &[FindingKind::JobLate], false);
        assert_eq!(case.first(), "service:cron process_down");
        let case = with("cron runs since 1", &[FindingKind::JobLate], false);
        assert_eq!(case.causes[0].detail.key, "cause.job_missing.late");
    }

    #[test]
    fn overlapping_runs_are_another_cause() {
        let case = with("cron runs since 1", &[FindingKind::JobOverlapping], false);
        assert_eq!(case.kinds(), ["job_overlap"]);
    }
}
