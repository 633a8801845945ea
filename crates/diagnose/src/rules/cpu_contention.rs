//! Processes that belong to no service take the processors.

use wellkept_model::local::ConsumerSeen;
use wellkept_model::{Cause, CauseKind, FindingKind, ProcessSet};

use super::cause;
use crate::Situation;

/// Who uses the processors is counted by the kernel.
const SCORE: f64 = 0.85;
/// Share of a processor from which a process is one of those.
const CORES: f64 = 0.3;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let contended = s.of_kind(FindingKind::CpuContended).filter_map(|finding| {
        let table = s.seen.local.table.as_ref()?;
        let mut strangers =
            table.consumers.iter().filter(|c| c.service.is_none() && c.nice < 5 && c.user != "root");
        let (hogs, others): (Vec<_>, Vec<_>) = strangers.by_ref().partition(|c| c.cores >= CORES);
        // While one of a group waits, another runs: those of its kind belong to it.
        let is_kin = |c: &&ConsumerSeen| hogs.iter().any(|hog| (&hog.comm, &hog.user) == (&c.comm, &c.user));
        let kin: Vec<_> = others.into_iter().filter(is_kin).collect();
        let hogs = || hogs.iter().chain(&kin);
        let set = ProcessSet::Some(hogs().map(|c| c.process).collect());
        let first = hogs().next()?;
        let (kind, subject) = (CauseKind::CpuContention, set.to_string());
        let mut found = cause(&finding.key.entity, kind, &subject, SCORE, [finding]);
        found.detail =
            found.detail.with("comm", &first.comm).with("user", &first.user).with("count", hogs().count());
        Some(found)
    });
    contended.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;

    #[test]
    fn the_processes_are_named_and_the_host_is_the_one_that_is_ill() {
        let case = Case::new("report of batch takes 0.9 processors");
        assert_eq!(case.first(), "host:h cpu_contention");
        assert_eq!(case.causes[0].subject, "pids 7@5");
    }

    #[test]
    fn one_of_a_kind_that_just_waits_for_its_turn_belongs_to_them_and_a_neighbour_does_not() {
        let case = Case::new(
            "report of batch takes 0.9 processors; report of batch takes 0.1 processors; \
             editor of batch takes 0.1 processors",
        );
        assert_eq!(case.causes[0].subject, "pids 7@5 8@5");
    }
}
