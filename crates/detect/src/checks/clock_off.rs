//! A service shows another time than the host.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Looks in a row that must be off.
const LOOKS_MIN: u32 = 2;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let off = round.seen.watched.clocks.iter().filter(|(_, c)| c.off_in_a_row >= LOOKS_MIN);
    let found = off.map(|(service, seen)| {
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::ClockOff, "", Severity::Critical, seen.at, round.now);
        let seconds = seen.offset_ms.div_euclid(1000);
        f.text = f.text.with("seconds", seconds);
        f.evidence.push(seen_at(seen.at, Text::new("evidence.clock_offset").with("seconds", seconds)));
        f
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::observe::ClockSeen;

    #[test]
    fn one_odd_answer_is_no_finding() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        for (looks, kinds) in [(1, vec![]), (2, vec![FindingKind::ClockOff])] {
            let seen = ClockSeen { offset_ms: 600_000, off_in_a_row: looks, ..ClockSeen::default() };
            w.seen.watched.clocks.insert("app".into(), seen);
            assert_eq!(w.kinds(), kinds);
        }
    }
}
