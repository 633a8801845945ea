//! The packet filter or a queue of a network is not as declared. It is worth an incident only while segments must be sent
//! again there: a rule that somebody added for a reason of his own does no harm.

use wellkept_model::keep::Keep;
use wellkept_model::observe::NetworkSeen;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Segments sent again in the last seconds, and their share, that count as loss.
const RESENT_COUNT_MIN: u64 = 3;
const RESENT_MIN: f64 = 0.03;
/// How long it must last, milliseconds.
const HOLD_MS: u64 = 500;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.networks.iter().filter_map(|(name, seen)| {
        let altered = altered(keep, name, seen);
        if altered.is_empty() {
            return None;
        }
        let severity = if loses(seen) { Severity::Warning } else { Severity::Info };
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
        Some(f)
    });
    found.collect()
}

fn loses(seen: &NetworkSeen) -> bool {
    seen.resent_count >= RESENT_COUNT_MIN && seen.resent >= RESENT_MIN
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
    fn loss_without_anything_altered_is_not_blamed_on_the_filter() {
        let mut w = World::new(&[]);
        let seen = NetworkSeen { resent: 0.5, resent_count: 50, ..NetworkSeen::default() };
        w.seen.watched.networks.insert("n".into(), seen);
        assert!(w.kinds().is_empty());
    }
}
