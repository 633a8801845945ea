//! Another process holds the port that the service needs.
//!
//! Discriminating test against a crash or a bad release: the port that the service declares is open, and the process
//! behind it is none of the service's. A check that only connects is green then.

use wellkept_model::{Cause, CauseKind, FindingKind, ProcessSet};

use super::{cause, is_illness};
use crate::Situation;

/// Who listens is a fact; the end of the service follows from it.
const SCORE: f64 = 0.96;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let taken = s.of_kind(FindingKind::PortTaken).filter_map(|finding| {
        let entity = &finding.key.entity;
        let listener = s.seen.listeners.iter().find(|l| l.address == finding.key.subject)?;
        let holder = listener.holder.as_ref()?;
        let set = ProcessSet::Some(vec![holder.process]);
        let own = s.about(entity).filter(|f| {
            f.key == finding.key || is_illness(f.key.kind) || f.key.kind == FindingKind::HealthUnsteady
        });
        let mut found = cause(entity, CauseKind::PortConflict, &set.to_string(), SCORE, own);
        found.detail = found
            .detail
            .with("address", &finding.key.subject)
            .with("pid", holder.process.pid)
            .with("comm", &holder.comm)
            .with("user", &holder.user);
        Some(found)
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{Case, check};

    #[test]
    fn a_stranger_on_the_port_is_the_reason_for_the_crash_loop() {
        check(
            "app ended 1 at 100 began 99; app gone; app restarting; 77 of batch holds 127.0.0.1:9000 of app",
            "service:app port_conflict 0.96",
        );
        let case = Case::new("app gone; 77 of batch holds 127.0.0.1:9000 of app");
        assert_eq!(case.causes[0].subject, "pids 77@5");
        assert_eq!(case.causes[0].explains.len(), 2);
    }
}
