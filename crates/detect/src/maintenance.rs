//! Announced work: what it is expected to break is no finding, and neither is what follows from that.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::observe::Observation;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, TimestampMs};

/// How long after a component in maintenance was ill the checks of its dependants may fail because of it.
const AFTERMATH: Duration = Duration::from_secs(20);
/// Longest chain of dependencies that is followed.
const DEPTH_MAX: usize = 32;

/// Remembers when a component in maintenance was ill last.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    ill: BTreeMap<EntityId, TimestampMs>,
}

impl Announced {
    /// Leaves out findings about components whose maintenance is announced for now, and failing checks of those that
    /// lean on one of them while it is ill.
    pub(crate) fn leave_out(
        &mut self,
        keep: &Keep,
        seen: &Observation,
        now: TimestampMs,
        findings: Vec<Finding>,
    ) -> Vec<Finding> {
        let is_announced = |f: &Finding| seen.maintenance.iter().any(|w| w.covers(&f.key.entity));
        let (announced, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_announced);
        for finding in announced {
            self.ill.insert(finding.key.entity, now);
        }
        self.ill.retain(|_, at| now.since(*at) <= AFTERMATH);
        let follows = |f: &Finding| {
            matches!(
                f.key.kind,
                FindingKind::HealthFailing | FindingKind::HealthUnsteady | FindingKind::Unusual
            ) && f.key.entity.kind == EntityKind::Service
                && self.ill.keys().any(|ill| leans_on(keep, &f.key.entity.name, &ill.name, DEPTH_MAX))
        };
        if self.ill.is_empty() { rest } else { rest.into_iter().filter(|f| !follows(f)).collect() }
    }
}

fn leans_on(keep: &Keep, service: &str, on: &str, depth: usize) -> bool {
    let Some(declared) = keep.services.get(service).filter(|_| depth > 0) else { return false };
    declared.depends_on.iter().any(|d| d == on || leans_on(keep, d, on, depth - 1))
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended};
    use wellkept_model::FindingKind;
    use wellkept_model::maintenance::Window;
    use wellkept_model::observe::Exit;

    fn world(components: &[&str]) -> World {
        let mut w = World::new(&["app", "web", "db"]);
        w.keep.services.get_mut("web").expect("declared").depends_on = vec!["app".to_owned()];
        let components = components.iter().map(|c| (*c).to_owned()).collect();
        let (from, until) = (wellkept_model::TimestampMs(0), wellkept_model::TimestampMs(i64::MAX));
        w.seen.maintenance = vec![Window { from, until, components, reason: String::new(), drill: false }];
        w
    }

    #[test]
    fn trouble_of_a_component_in_maintenance_is_no_finding() {
        let mut w = world(&["app"]);
        w.down("app", ended(1, Exit::Code(0)));
        assert!(w.kinds().is_empty());
        w.down("db", ended(1, Exit::Signal(9)));
        assert_eq!(w.kinds(), [FindingKind::ProcessGone], "db was not announced");
    }

    #[test]
    fn checks_that_fail_because_of_it_are_none_either_and_others_are() {
        let mut w = world(&["app"]);
        w.up("web", 1);
        w.health("web", Some("status 502"), 3);
        assert_eq!(w.kinds(), [FindingKind::HealthFailing], "app is well: it is web's own");
        w.down("app", ended(1, Exit::Code(0)));
        assert!(w.kinds().is_empty());
        w.up("app", 2);
        w.advance(25_000);
        w.health("web", Some("status 502"), 20);
        w.kinds();
        w.advance(25_000);
        w.health("web", Some("status 502"), 40);
        assert_eq!(w.kinds(), [FindingKind::HealthFailing], "it goes on failing long after");
    }

    #[test]
    fn what_lasts_beyond_the_window_is_a_finding_with_its_old_onset() {
        let mut w = world(&["app"]);
        let began = w.now();
        w.down("app", ended(1, Exit::Signal(9)));
        assert!(w.kinds().is_empty());
        w.advance(60_000);
        w.seen.maintenance.clear();
        assert_eq!(w.findings()[0].since, began);
    }
}
