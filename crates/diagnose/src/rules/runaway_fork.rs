//! A process creates children without end, until its control group or the whole host has no numbers left.
//!
//! Discriminating test against a service that is merely too big for its limit: most of the processes are of one
//! program, in one session or of one user, and none of them belongs to a declared service.

use std::path::Path;

use wellkept_model::local::{CrowdSeen, ProcessTableSeen, SwarmSeen};
use wellkept_model::{Cause, CauseKind, EntityId, EntityKind, Finding, FindingKind, ProcessSet, Text};

use super::{cause, is_illness};
use crate::Situation;

/// They stand in the process table.
const SCORE: f64 = 0.96;
/// Share of the limit that one storm must have.
const SHARE: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let exhausted: Vec<&Finding> = s.of_kind(FindingKind::PidsExhausted).collect();
    let Some(table) = &s.seen.local.table else { return Vec::new() };
    let mut found: Vec<Cause> = Vec::new();
    for finding in &exhausted {
        let Some(storm) = scope(s, finding).and_then(|scope| scope.storm(table)) else { continue };
        let entity = storm.entity();
        if found.iter().any(|c| c.entity == entity) {
            continue;
        }
        // Whoever shares the group suffers: nothing new can be started there.
        let suffers = |f: &&Finding| {
            f.key.kind == FindingKind::PidsExhausted
                || is_illness(f.key.kind) && exhausted.iter().any(|e| e.key.entity == f.key.entity)
        };
        let speaks = s.findings.iter().filter(suffers);
        let mut one = cause(&entity, CauseKind::RunawayFork, &storm.set().to_string(), SCORE, speaks);
        one.detail = storm.describe(one.detail);
        found.push(one);
    }
    found
}

/// Where numbers have run out.
struct Scope<'a> {
    limit: u64,
    group: &'a str,
}

fn scope<'a>(s: &'a Situation, finding: &Finding) -> Option<Scope<'a>> {
    if finding.key.entity.kind == EntityKind::Host {
        return Some(Scope { limit: s.seen.local.tasks?.limit, group: "/" });
    }
    let limits = &s.service(&finding.key.entity)?.limits;
    Some(Scope { limit: limits.pids?, group: limits.pids_group.as_deref()? })
}

impl Scope<'_> {
    /// One session has them, or one user in many sessions.
    fn storm<'t>(&self, table: &'t ProcessTableSeen) -> Option<Storm<'t>> {
        #[expect(clippy::cast_precision_loss, reason = "process numbers stay below 2^22")]
        let enough = |count: u32| f64::from(count) >= self.limit as f64 * SHARE;
        let inside = |group: &str| Path::new(group).starts_with(self.group);
        let crowd = table.crowds.iter().find(|c| !c.of_service && enough(c.count) && inside(&c.group));
        let swarm = || table.swarms.iter().find(|w| !w.of_service && enough(w.count) && inside(&w.group));
        crowd.map(Storm::Crowd).or_else(|| swarm().map(Storm::Swarm))
    }
}

enum Storm<'a> {
    Crowd(&'a CrowdSeen),
    Swarm(&'a SwarmSeen),
}

impl Storm<'_> {
    fn entity(&self) -> EntityId {
        let name = match self {
            Self::Crowd(c) => format!("{} [session {}]", c.comm, c.session),
            Self::Swarm(w) => format!("{} [user {}]", w.comm, w.user),
        };
        EntityId::new(EntityKind::Process, name)
    }

    /// A group that holds nothing else is ended as a whole: frozen, it cannot outrun anybody.
    fn set(&self) -> ProcessSet {
        match self {
            Self::Crowd(c) => ProcessSet::Session { id: c.session, uid: c.uid },
            Self::Swarm(w) if w.alone => ProcessSet::Cgroup(w.group.clone()),
            Self::Swarm(w) => ProcessSet::Since { uid: w.uid, ticks: w.first_ticks, group: w.group.clone() },
        }
    }

    fn describe(&self, mut detail: Text) -> Text {
        let (comm, count, user) = match self {
            Self::Crowd(c) => {
                detail = detail.with("session", c.session);
                (&c.comm, c.count, &c.user)
            }
            Self::Swarm(w) => {
                detail.key = "cause.runaway_fork.swarm".to_owned();
                (&w.comm, w.count, &w.user)
            }
        };
        detail.with("comm", comm).with("count", count).with("user", user)
    }
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

    #[test]
    fn a_storm_whose_children_leave_the_session_is_named_by_its_user() {
        let case =
            Case::new("app runs since 1; app has no pids of 300; 280 report of batch since 5000 in /x");
        assert_eq!(case.first(), "process:report [user batch] runaway_fork");
        assert_eq!(case.causes[0].subject, "uid 1001 since 5000 in /x");
        let case = Case::new("app runs since 1; app has no pids of 300; 40 report of batch since 5000 in /x");
        assert_eq!(case.first(), "service:app unknown");
        let case =
            Case::new("app runs since 1; app has no pids of 300; 280 report of batch since 5000 in /y");
        assert_eq!(case.first(), "service:app unknown", "its numbers are others");
    }

    #[test]
    fn a_group_of_its_own_below_the_limit_is_ended_as_a_whole() {
        let case =
            Case::new("app runs since 1; app has no pids of 300; 280 report of batch alone in /x/batch");
        assert_eq!(case.causes[0].subject, "cgroup /x/batch");
    }

    #[test]
    fn a_host_that_is_full_has_its_storm_named() {
        let case =
            Case::new("app runs since 1; host has no tasks of 4000; 3900 report of batch in session 42");
        assert_eq!(case.first(), "process:report [session 42] runaway_fork");
        let case =
            Case::new("app runs since 1; host has no tasks of 4000; 900 report of batch in session 42");
        assert_eq!(case.first(), "host:h unknown");
    }
}
