//! Packets are lost or delayed because of a queue, or a packet filter rule that drops a share, that nobody declared.
//!
//! Discriminating test against a rule that stops traffic: no undeclared rule drops whole flows.
//!
//! Discriminating test against a link that is only throttled: nothing is sent again, the packet filter was looked at and is as
//! declared, and all that differs are queues that shape traffic.
//!
//! Discriminating test against a link that is bad by itself: something is not as declared, *and* segments must be sent
//! again or somebody behind the network is ill.

use wellkept_model::{Cause, CauseKind, Finding, FindingKind, Severity};

use super::{cause, is_illness};
use crate::Situation;

const SCORE: f64 = 0.96;
/// Queueing disciplines that let only so much pass.
const SHAPERS: [&str; 4] = ["tbf", "htb", "hfsc", "cake"];

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let altered = s.of_kind(FindingKind::NetworkAltered).filter(|f| hurts(s, f) && !is_blocked(s, f));
    let lost = altered.map(|finding| {
        let kind = if only_shaped(s, finding) { CauseKind::Throttled } else { CauseKind::PacketLoss };
        let mut found = cause(&finding.key.entity, kind, "", SCORE, [finding]);
        found.detail = found.detail.with("altered", finding.text.arg("altered").unwrap_or("-"));
        found
    });
    lost.collect()
}

/// True when segments must be sent again, or somebody behind the network is ill.
pub(super) fn hurts(s: &Situation, finding: &Finding) -> bool {
    let behind = s.topology.dependants(&finding.key.entity);
    let suffers = s.findings.iter().any(|f| behind.contains_key(&f.key.entity) && is_illness(f.key.kind));
    finding.severity >= Severity::Warning || suffers
}

/// A rule that drops whole flows is a cause of its own.
fn is_blocked(s: &Situation, finding: &Finding) -> bool {
    s.seen.watched.networks.get(&finding.key.entity.name).is_some_and(|n| !n.blocking.is_empty())
}

fn only_shaped(s: &Situation, finding: &Finding) -> bool {
    let Some(seen) = s.seen.watched.networks.get(&finding.key.entity.name) else { return false };
    let filter_known = seen.rules_at.0 == 0 || seen.rules_at >= finding.since;
    let altered = finding.text.arg("altered").unwrap_or_default();
    let shapes = |what: &str| SHAPERS.iter().any(|q| what.starts_with(&format!("queue {q} of ")));
    seen.resent_count == 0 && filter_known && seen.tables.is_empty() && altered.split(", ").all(shapes)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, EntityKind, FindingKind, Severity};

    fn case(words: &str, severity: Severity) -> Case {
        let mut case = Case::new(words);
        let network = EntityId::new(EntityKind::Network, "back");
        Case::lean(&mut case.situation, "db", network.clone());
        Case::find(&mut case.situation, network, FindingKind::NetworkAltered, "");
        if let Some(last) = case.situation.findings.last_mut() {
            last.severity = severity;
        }
        case.again()
    }

    #[test]
    fn who_is_ill_behind_it_is_a_symptom() {
        let case = case("app needs db; app runs since 1; app unhealthy; db runs since 1", Severity::Info);
        assert_eq!((case.first().as_str(), case.causes.len()), ("network:back packet_loss", 1));
    }

    #[test]
    fn a_change_that_hurts_nobody_is_no_loss() {
        assert!(!case("db runs since 1", Severity::Info).kinds().contains(&"packet_loss".to_owned()));
    }

    #[test]
    fn a_queue_that_shapes_and_loses_nothing_throttles() {
        use wellkept_model::observe::{NetworkSeen, TableState};
        let kind = |altered: &str, resent_count, tables: bool| {
            let mut case =
                case("app needs db; app runs since 1; app unhealthy; db runs since 1", Severity::Info);
            if let Some(last) = case.situation.findings.last_mut() {
                last.text = last.text.clone().with("altered", altered);
            }
            let tables = tables.then(|| ("inet f".to_owned(), TableState::Undeclared)).into_iter().collect();
            let seen = NetworkSeen { resent_count, tables, ..NetworkSeen::default() };
            case.situation.seen.watched.networks.insert("back".into(), seen);
            case.again().kinds()[0].clone()
        };
        assert_eq!(kind("queue tbf of veth-db", 0, false), "throttled");
        assert_eq!(kind("queue tbf of veth-db", 4, false), "packet_loss");
        assert_eq!(kind("queue netem of veth-db", 0, false), "packet_loss");
        assert_eq!(kind("table inet f, queue tbf of veth-db", 0, true), "packet_loss");
    }
}
