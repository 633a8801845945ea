//! A process creates children without end, until the control group has no numbers left.
//!
//! Discriminating test against a service that is merely too big for its limit: most of the processes are of one
//! program in one session, and none of them belongs to a declared service.

use wellkept_model::{Cause, CauseKind, EntityId, EntityKind, Finding, FindingKind, ProcessSet};

use super::{cause, is_illness};
use crate::Situation;

/// They stand in the process table.
const SCORE: f64 = 0.96;
/// Share of the group's limit that one session must have.
const SHARE: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let exhausted: Vec<&Finding> = s.of_kind(FindingKind::PidsExhausted).collect();
    let mut found: Vec<Cause> = Vec::new();
    for finding in &exhausted {
        let Some(limits) = s.service(&finding.key.entity).map(|seen| &seen.limits) else { continue };
        let (Some(limit), Some(table)) = (limits.pids, &s.seen.local.table) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "process numbers stay below 2^22")]
        let enough = limit as f64 * SHARE;
        let crowd = table.crowds.iter().find(|c| {
            !c.of_service
                && f64::from(c.count) >= enough
                && limits.pids_group.as_deref() == Some(c.group.as_str())
        });
        let Some(crowd) = crowd else { continue };
        let entity =
            EntityId::new(EntityKind::Process, format!("{} [session {}]", crowd.comm, crowd.session));
        if found.iter().any(|c| c.entity == entity) {
            continue;
        }
        let set = ProcessSet::Session { id: crowd.session, uid: crowd.uid };
        // Whoever shares the group suffers: nothing new can be started there.
        let suffers = |f: &&Finding| {
            f.key.kind == FindingKind::PidsExhausted
                || is_illness(f.key.kind) && exhausted.iter().any(|e| e.key.entity == f.key.entity)
        };
        let speaks = s.findings.iter().filter(suffers);
        let mut one = cause(&entity, CauseKind::RunawayFork, &set.to_string(), SCORE, speaks);
        one.detail = one
            .detail
            .with("comm", &crowd.comm)
            .with("count", crowd.count)
            .with("user", &crowd.user)
            .with("session", crowd.session);
        found.push(one);
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;

    #[test]
    fn the_session_that_took_all_numbers_is_named() {
        let case = Case::new("app runs since 1; app has no pids of 300; 280 report of batch in session 42");
        assert_eq!(
            case.first(),
            "process:report_[session_42] runaway_fork"
                .replace('_', " ")
                .replace("runaway fork", "runaway_fork")
        );
        assert_eq!(case.causes[0].entity.component(), "report");
        assert_eq!(case.causes[0].subject, "session 42 uid 1001");
    }

    #[test]
    fn a_service_that_has_outgrown_its_limit_is_no_runaway() {
        let case = Case::new("app runs since 1; app has no pids of 300; 40 report of batch in session 42");
        assert_eq!(case.first(), "service:app unknown");
    }
}
