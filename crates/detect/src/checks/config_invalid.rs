//! The test of a service's configuration fails.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long it must last while the service goes on with what it has loaded, milliseconds: somebody may be writing.
const HOLD_MS: u64 = 1500;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let tests = round.seen.watched.configs.iter();
    let failing = tests.filter_map(|(service, seen)| {
        let failure = seen.failure.as_ref()?;
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::ConfigInvalid, "", Severity::Warning, seen.at, round.now);
        f.text = f.text.with("failure", failure);
        let runs = round.seen.services.get(service).is_some_and(|s| !s.processes.is_empty());
        f.hold_ms = if runs { HOLD_MS } else { 0 };
        f.evidence.push(seen_at(seen.at, Text::new("evidence.config_test_failed").with("failure", failure)));
        Some(f)
    });
    failing.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::observe::ConfigSeen;

    #[test]
    fn a_test_that_fails_counts_at_once_when_the_service_is_down() {
        let mut w = World::new(&["web"]);
        w.up("web", 1);
        let failure = Some("bad in /etc/x:3".to_owned());
        w.seen.watched.configs.insert("web".into(), ConfigSeen { failure, ..ConfigSeen::default() });
        let found = w.findings();
        assert_eq!((found[0].key.kind, found[0].hold_ms), (FindingKind::ConfigInvalid, 1500));
        w.seen.services.get_mut("web").unwrap().processes.clear();
        assert!(w.findings().iter().any(|f| f.key.kind == FindingKind::ConfigInvalid && f.hold_ms == 0));
    }

    #[test]
    fn a_deployment_whose_test_passes_is_no_finding() {
        let mut w = World::new(&["web"]);
        w.up("web", 1);
        w.seen.watched.configs.insert("web".into(), ConfigSeen::default());
        assert!(w.kinds().is_empty());
    }
}
