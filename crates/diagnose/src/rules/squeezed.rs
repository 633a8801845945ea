//! The kernel killed a process for lack of memory, or holds a service back by its processor quota.
//!
//! Discriminating tests: an end by SIGKILL is a crash like any other unless the kernel counted a kill just then, and a
//! service whose memory rose in a line leaks, which is the reason of its kill. A service that waits for the processor is
//! throttled only when its group was held back; else others compete with it.

use wellkept_model::{Cause, CauseKind, EntityKind, Finding, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Counted by the kernel, and it explains the end better than "it crashed".
const SCORE_KILLED: f64 = 0.88;
/// A leak explains it.
const SCORE_LEAK: f64 = 0.5;
/// Held back and ill; held back and well.
const SCORE_ILL: f64 = 0.9;
const SCORE_HELD_BACK: f64 = 0.75;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let killed = s.of_kind(FindingKind::OomKilled).map(|f| oom_kill(s, f));
    killed.chain(s.of_kind(FindingKind::CpuThrottled).map(|f| cpu_throttled(s, f))).collect()
}

fn oom_kill(s: &Situation, finding: &Finding) -> Cause {
    let entity = &finding.key.entity;
    let leaks = s.has(entity, FindingKind::MemoryRising);
    let own = s
        .about(entity)
        .filter(|f| f.key == finding.key || entity.kind == EntityKind::Service && is_illness(f.key.kind));
    cause(entity, CauseKind::OomKill, "", if leaks { SCORE_LEAK } else { SCORE_KILLED }, own)
}

fn cpu_throttled(s: &Situation, finding: &Finding) -> Cause {
    let entity = &finding.key.entity;
    let suffers = |f: &Finding| {
        matches!(f.key.kind, FindingKind::HealthFailing | FindingKind::HealthUnsteady | FindingKind::Unusual)
    };
    let ill = s.about(entity).any(suffers);
    let own = s.about(entity).filter(|f| f.key == finding.key || suffers(f));
    cause(entity, CauseKind::CpuThrottled, "", if ill { SCORE_ILL } else { SCORE_HELD_BACK }, own)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn with(words: &str, kind: FindingKind) -> Case {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("app"), kind, "");
        case.again()
    }

    #[test]
    fn a_kill_that_the_kernel_counted_is_no_plain_crash() {
        let words = "app ended 9s at 100 began 10; app gone";
        assert_eq!(with(words, FindingKind::OomKilled).first(), "service:app oom_kill");
        assert_eq!(Case::new(words).first(), "service:app process_crash", "killed by somebody");
    }

    #[test]
    fn a_leak_is_the_reason_of_its_kill() {
        let case = with("app ended 9s at 100 began 10; app leaks memory", FindingKind::OomKilled);
        assert_eq!(case.first(), "service:app memory_leak");
    }

    #[test]
    fn one_that_its_quota_holds_back_is_told_apart_from_one_that_others_crowd_out() {
        let case = with("app runs since 1; app unhealthy", FindingKind::CpuThrottled);
        assert_eq!(case.first(), "service:app cpu_throttled");
        assert_eq!(case.causes[0].explains.len(), 2);
        let case = Case::new("report of batch takes 0.9 processors");
        assert_eq!(case.first(), "host:h cpu_contention");
        assert!(!case.kinds().contains(&"cpu_throttled".to_owned()));
    }
}
