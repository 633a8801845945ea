//! A declared job is not scheduled, was not run for too long, or runs more than once at a time.

use wellkept_model::keep::{Job, JobPlace, Keep};
use wellkept_model::observe::JobSeen;
use wellkept_model::{EntityId, Evidence, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long an entry must be gone, milliseconds: editors write a file anew.
const ENTRY_HOLD_MS: u64 = 2_000;
/// How long runs must overlap, milliseconds: one may end while the next begins.
const OVERLAP_HOLD_MS: u64 = 15_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for job in keep.watched.jobs.values() {
        let Some(seen) = round.seen.watched.jobs.get(&job.name) else { continue };
        if seen.scheduled == Some(false) {
            let place = job.place.as_ref().map_or_else(String::new, JobPlace::shown);
            let evidence = seen_at(seen.at, Text::new("evidence.job_entry").with("place", place));
            let mut f = about(FindingKind::JobUnscheduled, job, seen, evidence, round);
            f.hold_ms = ENTRY_HOLD_MS;
            found.push(f);
        }
        if let Some(evidence) = late(job, seen, round) {
            found.push(about(FindingKind::JobLate, job, seen, evidence, round));
        }
        if seen.runs > 1 {
            let text = Text::new("evidence.job_runs").with("count", seen.runs);
            let evidence = seen_at(seen.at, text.with("at", seen.oldest_since.unwrap_or(seen.at).0));
            let mut f = about(FindingKind::JobOverlapping, job, seen, evidence, round);
            (f.severity, f.hold_ms) = (Severity::Warning, OVERLAP_HOLD_MS);
            f.text = f.text.with("count", seen.runs);
            found.push(f);
        }
    }
    found
}

/// The trace is too old. Without one it counts from our first look.
fn late(job: &Job, seen: &JobSeen, round: &Round<'_>) -> Option<Evidence> {
    let (trace, due) = (job.trace.as_ref()?, job.due?);
    let since = seen.last_run.unwrap_or(seen.first_at);
    if round.now.since(since) <= due || seen.runs > 0 {
        return None;
    }
    let text = match seen.last_run {
        Some(at) => Text::new("evidence.job_trace").with("at", at.0),
        None => Text::new("evidence.job_no_trace"),
    };
    Some(seen_at(seen.at, text.with("path", trace.display())))
}

fn about(kind: FindingKind, job: &Job, seen: &JobSeen, evidence: Evidence, round: &Round<'_>) -> Finding {
    let entity = match &job.service {
        Some(service) => EntityId::service(service),
        None => EntityId::host(round.host),
    };
    let mut f = finding(entity, kind, &job.name, Severity::Critical, seen.at, round.now);
    f.text = f.text.with("job", &job.name);
    f.evidence.push(evidence);
    f
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::checks::testing::World;
    use wellkept_model::keep::{Job, JobPlace};
    use wellkept_model::observe::JobSeen;
    use wellkept_model::{FindingKind, TimestampMs};

    fn kinds(seen: JobSeen) -> Vec<FindingKind> {
        let mut w = World::new(&[]);
        let job = Job {
            name: "j".into(),
            place: Some(JobPlace::Timer("j.timer".into())),
            trace: Some("/trace".into()),
            due: Some(Duration::from_secs(100)),
            process: Some("j".into()),
            run: None,
            service: None,
            every: Duration::from_secs(1),
            may: vec![],
        };
        w.keep.watched.jobs.insert("j".into(), job);
        w.seen.watched.jobs.insert("j".into(), seen);
        w.kinds()
    }

    #[test]
    fn a_job_that_is_scheduled_and_ran_is_well() {
        let well = JobSeen {
            scheduled: Some(true),
            last_run: Some(TimestampMs(950_000)),
            runs: 1,
            ..JobSeen::default()
        };
        assert!(kinds(well.clone()).is_empty());
        assert!(
            kinds(JobSeen { scheduled: None, ..well.clone() }).is_empty(),
            "what was not read says nothing"
        );
        assert_eq!(kinds(JobSeen { scheduled: Some(false), ..well.clone() }), [FindingKind::JobUnscheduled]);
        assert_eq!(kinds(JobSeen { runs: 2, ..well.clone() }), [FindingKind::JobOverlapping]);
        let old = JobSeen { last_run: Some(TimestampMs(899_000)), ..well };
        assert!(kinds(old.clone()).is_empty(), "it runs right now");
        assert_eq!(kinds(JobSeen { runs: 0, ..old }), [FindingKind::JobLate]);
    }

    #[test]
    fn a_job_without_a_trace_is_late_after_we_watched_for_long_enough() {
        let since = |at| JobSeen { first_at: TimestampMs(at), scheduled: Some(true), ..JobSeen::default() };
        assert!(kinds(since(950_000)).is_empty());
        assert_eq!(kinds(since(800_000)), [FindingKind::JobLate]);
    }
}
