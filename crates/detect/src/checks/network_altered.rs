//! The packet filter or a queue of a network is not as declared. It is worth an incident only while segments must be sent
//! again there: a rule that somebody added for a reason of his own does no harm.

use wellkept_model::keep::{Keep, Probe};
use wellkept_model::observe::{HealthSeen, NetworkSeen};
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Segments sent again in the last seconds, and their share, that count as loss.
const RESENT_COUNT_MIN: u64 = 3;
const RESENT_MIN: f64 = 0.03;
/// A connection inside a host or a data centre takes a fraction of this, milliseconds.
const CONNECT_MS: u64 = 150;
/// How long it must last, milliseconds.
const HOLD_MS: u64 = 500;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.networks.iter().filter_map(|(name, seen)| {
        let altered = altered(keep, name, seen);
        if altered.is_empty() {
            return None;
        }
        let severity = if loses(seen) || connects_slowly(keep, name, round) {
            Severity::Warning
        } else {
            Severity::Info
        };
        let entity = EntityId::new(EntityKind::Network, name);
        let mut f = finding(entity, FindingKind::NetworkAltered, "", severity, seen.at, round.now);
        f.text = f.text.with("altered", altered.join(", "));
        f.hold_ms = HOLD_MS;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 100")]
        let percent = (seen.resent * 100.0).round() as u64;
        let text =
            Text::new("evidence.segments_resent").with("count", seen.resent_count).with("percent", percent);
        f.evidence.push(seen_at(seen.at, text));
        f.evidence.extend(
            altered
                .iter()
                .map(|what| seen_at(seen.at, Text::new("evidence.not_as_declared").with("what", what))),
        );
        f.evidence.extend(
            seen.blocking
                .iter()
                .map(|rule| seen_at(seen.rules_at, Text::new("evidence.rule_blocks").with("rule", rule))),
        );
        Some(f)
    });
    found.collect()
}

fn loses(seen: &NetworkSeen) -> bool {
    seen.resent_count >= RESENT_COUNT_MIN && seen.resent >= RESENT_MIN
}

/// Connecting to a service behind the network fails or takes as long as a repeated first segment: seen before enough
/// segments are sent again to be counted.
fn connects_slowly(keep: &Keep, name: &str, round: &Round<'_>) -> bool {
    let carried = keep.watched.networks.get(name).into_iter().flat_map(|n| &n.carries);
    carried.into_iter().filter_map(|s| keep.services.get(s)).any(|service| {
        let connects = service.health.iter().filter(|h| matches!(h.probe, Probe::Tcp { .. }));
        connects.into_iter().any(|check| {
            let of = |h: &&HealthSeen| h.service == service.name && h.check == check.name;
            let last = round.seen.health.iter().find(of);
            last.is_some_and(|h| h.failure.is_some() || h.took_ms >= CONNECT_MS)
        })
    })
}

/// What is not as declared, in words for people.
fn altered(keep: &Keep, name: &str, seen: &NetworkSeen) -> Vec<String> {
    let tables = seen.tables.keys().map(|t| format!("table {t}"));
    let declared = keep.watched.networks.get(name);
    let queues = declared.into_iter().flat_map(|n| &n.links).filter_map(|(link, queue)| {
        let (want, there) = (queue.as_ref()?, seen.links.get(link)?);
        let differs = there.exists && there.queue != *want;
        differs.then(|| format!("queue {} of {link}", there.queue))
    });
    tables.chain(queues).collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::Severity;
    use wellkept_model::observe::{NetworkSeen, TableState};

    #[test]
    fn a_rule_that_loses_nothing_is_only_worth_knowing() {
        let mut w = World::new(&[]);
        for (resent_count, resent, severity) in
            [(0, 0.0, Severity::Info), (2, 0.5, Severity::Info), (30, 0.2, Severity::Warning)]
        {
            let tables = [("inet f".to_owned(), TableState::Undeclared)].into();
            let seen = NetworkSeen { tables, resent, resent_count, ..NetworkSeen::default() };
            w.seen.watched.networks.insert("n".into(), seen);
            assert_eq!(w.findings()[0].severity, severity);
        }
    }

    #[test]
    fn a_slow_connection_to_what_lies_behind_it_is_harm() {
        let mut w = World::new(&["db"]);
        w.up("db", 1);
        let mut network = crate::checks::testing::network("n");
        network.carries = vec!["db".to_owned()];
        w.keep.watched.networks.insert("n".into(), network);
        let tables = [("inet f".to_owned(), TableState::Undeclared)].into();
        w.seen.watched.networks.insert("n".into(), NetworkSeen { tables, ..NetworkSeen::default() });
        for (took_ms, severity) in [(3, Severity::Info), (1003, Severity::Warning)] {
            w.health("db", None, 1);
            w.seen.health[0].took_ms = took_ms;
            assert_eq!(w.findings()[0].severity, severity, "{took_ms}");
        }
    }

    #[test]
    fn loss_without_anything_altered_is_not_blamed_on_the_filter() {
        let mut w = World::new(&[]);
        let seen = NetworkSeen { resent: 0.5, resent_count: 50, ..NetworkSeen::default() };
        w.seen.watched.networks.insert("n".into(), seen);
        assert!(w.kinds().is_empty());
    }
}
