//! The main process of a service is in the stopped state (T): it exists and does nothing.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must last, milliseconds: job control stops programs for moments.
const HOLD_MS: u64 = 1000;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let stopped = round.seen.services.iter().filter_map(|(name, s)| {
        let main = s.processes.first().filter(|p| p.state == 'T')?;
        let entity = EntityId::service(name);
        let mut f =
            finding(entity, FindingKind::ProcessStopped, "", Severity::Critical, main.state_since, round.now);
        f.hold_ms = HOLD_MS;
        f.evidence.push(seen_at(main.state_since, Text::new("evidence.state_t").with("pid", main.pid)));
        Some(f)
    });
    stopped.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    #[test]
    fn only_the_stopped_state_counts() {
        let mut w = World::new(&["app"]);
        w.up("app", 5);
        assert!(w.kinds().is_empty());
        w.seen.services.get_mut("app").unwrap().processes[0].state = 'T';
        assert_eq!(w.kinds(), [FindingKind::ProcessStopped]);
    }
}
