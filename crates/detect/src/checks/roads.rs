//! The ways through a network are not as they should be: routes, sizes of packets, quality of links, addresses.

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long a route may be gone or a size another one, milliseconds: setting up a network takes steps.
const HOLD_MS: u64 = 2_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, seen) in &round.seen.watched.networks {
        let roads = &seen.roads;
        let mut tell = |kind, subject: &str, severity, evidence: Text, args: &[(&str, &str)]| {
            let entity = EntityId::new(EntityKind::Network, name);
            let mut f = finding(entity, kind, subject, severity, roads.at, round.now);
            f.text = args.iter().fold(f.text, |text, (key, value)| text.with(key, value));
            f.hold_ms = HOLD_MS;
            f.evidence.push(seen_at(roads.at, evidence));
            found.push(f);
        };
        for route in &roads.routes_missing {
            let text = Text::new("evidence.route_missing").with("route", route);
            tell(FindingKind::RouteMissing, route, Severity::Critical, text, &[("route", route)]);
        }
        for (link, mtu) in &roads.mtu {
            let want = keep.watched.networks.get(name).and_then(|n| n.wanted.mtu.get(link));
            let (mtu, want) = (mtu.to_string(), want.map_or_else(String::new, u32::to_string));
            let text = Text::new("evidence.mtu").with("link", link).with("mtu", &mtu).with("want", want);
            tell(FindingKind::MtuWrong, link, Severity::Warning, text, &[("link", link), ("mtu", &mtu)]);
        }
        for (link, what) in &roads.degraded {
            let text = Text::new("evidence.link_degraded").with("link", link).with("what", what);
            tell(FindingKind::LinkDegraded, link, Severity::Warning, text, &[("link", link)]);
        }
        for (address, what) in &roads.conflicts {
            let text = Text::new("evidence.address_conflicting").with("address", address).with("what", what);
            tell(FindingKind::AddressConflicting, address, Severity::Critical, text, &[("address", address)]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::observe::{NetworkSeen, RoadsSeen};

    #[test]
    fn each_way_that_is_not_as_it_should_be_is_one_finding() {
        let mut w = World::new(&[]);
        let pair = |a: &str, b: &str| [(a.to_owned(), b.to_owned())].into();
        let roads = RoadsSeen {
            routes_missing: vec!["10.1.0.0/16 via 10.0.0.1".into()],
            mtu: [("eth0".to_owned(), 1400)].into(),
            degraded: pair("eth1", "100 Mbit/s instead of 1000"),
            conflicts: pair("10.0.0.7", "x"),
            ..RoadsSeen::default()
        };
        w.seen.watched.networks.insert("n".into(), NetworkSeen { roads, ..NetworkSeen::default() });
        let kinds: Vec<String> =
            w.findings().iter().map(|f| format!("{} {}", f.key.kind.word(), f.key.subject)).collect();
        assert_eq!(
            kinds,
            [
                "route_missing 10.1.0.0/16 via 10.0.0.1",
                "mtu_wrong eth0",
                "link_degraded eth1",
                "address_conflicting 10.0.0.7",
            ]
        );
        w.seen.watched.networks.insert("n".into(), NetworkSeen::default());
        assert!(w.findings().is_empty());
    }
}
