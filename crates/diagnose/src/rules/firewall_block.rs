//! A rule of the packet filter that nobody declared stops traffic that somebody needs.
//!
//! Discriminating tests. Against packets that are lost on their way: the filter was compared rule by rule, and a rule that is
//! not declared drops whole flows; one that drops a share of the packets only, a queue, and a bad link lose packets. Against
//! a service that is down: something of the filter is not as declared, *and* somebody behind it is ill or segments must be
//! sent again; a rule that hurts nobody is nobody's fault.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, packet_loss};
use crate::Situation;

/// The rule was read, and who is behind it suffers.
const SCORE: f64 = 0.97;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let altered = s.of_kind(FindingKind::NetworkAltered).filter(|f| packet_loss::hurts(s, f));
    let blocked = altered.filter_map(|finding| {
        let entity = &finding.key.entity;
        let rule = s.seen.watched.networks.get(&entity.name)?.blocking.first()?;
        let mut found = cause(entity, CauseKind::FirewallBlock, "", SCORE, [finding]);
        found.detail = found.detail.with("rule", rule);
        Some(found)
    });
    blocked.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{NetworkSeen, TableState};
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    fn case(words: &str, blocking: &[&str]) -> Case {
        let mut case = Case::new(words);
        let network = EntityId::new(EntityKind::Network, "back");
        Case::lean(&mut case.situation, "db", network.clone());
        Case::find(&mut case.situation, network, FindingKind::NetworkAltered, "");
        if let Some(last) = case.situation.findings.last_mut() {
            last.severity = wellkept_model::Severity::Info;
        }
        let tables = [("inet f".to_owned(), TableState::Undeclared)].into();
        let blocking = blocking.iter().map(|&r| r.to_owned()).collect();
        let seen = NetworkSeen { tables, blocking, ..NetworkSeen::default() };
        case.situation.seen.watched.networks.insert("back".into(), seen);
        case.again()
    }

    const ILL: &str = "app needs db; app runs since 1; app unhealthy; db runs since 1; db unhealthy";

    #[test]
    fn a_rule_that_stops_wanted_traffic_is_the_root_of_who_is_ill_behind_it() {
        let case = case(ILL, &["inet f: tcp dport 5432 drop"]);
        assert_eq!(case.first(), "network:back firewall_block");
        assert_eq!(case.causes[0].explains.len(), 3);
        assert_eq!(case.causes[0].detail.arg("rule"), Some("inet f: tcp dport 5432 drop"));
        assert!(!case.kinds().contains(&"packet_loss".to_owned()));
    }

    #[test]
    fn without_a_rule_that_drops_whole_flows_packets_are_lost() {
        let kinds = case(ILL, &[]).kinds();
        assert_eq!(kinds[0], "packet_loss");
        assert!(!kinds.contains(&"firewall_block".to_owned()));
    }

    #[test]
    fn a_rule_that_hurts_nobody_is_no_fault() {
        assert!(
            !case("db runs since 1", &["inet f: tcp dport 9 drop"])
                .kinds()
                .contains(&"firewall_block".to_owned())
        );
    }
}
