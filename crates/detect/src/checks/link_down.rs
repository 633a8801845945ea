//! A declared link is switched off, has no carrier, or is not there.

use wellkept_model::observe::LinkSeen;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long a link must be off, milliseconds: setting an address may take it down for a moment.
const OFF_HOLD_MS: u64 = 1000;
/// How long it must be without a carrier: switches take their time.
const CARRIER_HOLD_MS: u64 = 3000;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let networks = round.seen.watched.networks.iter();
    let links =
        networks.flat_map(|(name, n)| n.links.iter().map(move |(link, seen)| (name, n.at, link, seen)));
    let found = links.filter_map(|(network, at, link, seen)| {
        let (word, hold) = state(seen)?;
        let entity = EntityId::new(EntityKind::Network, network);
        let mut f = finding(entity, FindingKind::LinkDown, link, Severity::Critical, at, round.now);
        f.text.key = format!("{}.{word}", f.text.key);
        f.text = f.text.with("link", link);
        f.hold_ms = hold;
        let text =
            Text::new(&format!("evidence.link_{word}")).with("link", link).with("count", seen.downs.len());
        f.evidence.push(seen_at(at, text));
        Some(f)
    });
    found.collect()
}

/// In which way it is down, and how long that must last.
fn state(link: &LinkSeen) -> Option<(&'static str, u64)> {
    match (link.exists, link.up, link.carrier) {
        (false, ..) => Some(("absent", CARRIER_HOLD_MS)),
        (true, false, _) => Some(("off", OFF_HOLD_MS)),
        (true, true, false) => Some(("no_carrier", CARRIER_HOLD_MS)),
        (true, true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::observe::{LinkSeen, NetworkSeen};

    fn hold(exists: bool, up: bool, carrier: bool) -> Option<(String, u64)> {
        let mut w = World::new(&[]);
        let link = LinkSeen { exists, up, carrier, ..LinkSeen::default() };
        let links = [("eth7".to_owned(), link)].into();
        w.seen.watched.networks.insert("n".into(), NetworkSeen { links, ..NetworkSeen::default() });
        w.findings().first().map(|f| (f.text.key.clone(), f.hold_ms))
    }

    #[test]
    fn a_link_is_down_in_three_ways_and_well_in_one() {
        assert_eq!(hold(true, false, false), Some(("finding.link_down.off".to_owned(), 1000)));
        assert_eq!(hold(true, true, false), Some(("finding.link_down.no_carrier".to_owned(), 3000)));
        assert_eq!(hold(false, false, false), Some(("finding.link_down.absent".to_owned(), 3000)));
        assert_eq!(hold(true, true, true), None);
    }
}
