//! Packets are lost or delayed because of a packet filter rule or a queue that nobody declared.
//!
//! Discriminating test against a link that is bad by itself: something is not as declared, *and* segments must be sent
//! again or somebody behind the network is ill.

use wellkept_model::{Cause, CauseKind, FindingKind, Severity};

use super::{cause, is_illness};
use crate::Situation;

const SCORE: f64 = 0.96;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let altered = s.of_kind(FindingKind::NetworkAltered).filter_map(|finding| {
        let entity = &finding.key.entity;
        let behind = s.topology.dependants(entity);
        let suffers = s.findings.iter().any(|f| behind.contains_key(&f.key.entity) && is_illness(f.key.kind));
        if finding.severity < Severity::Warning && !suffers {
            return None;
        }
        let mut found = cause(entity, CauseKind::PacketLoss, "", SCORE, [finding]);
        found.detail = found.detail.with("altered", finding.text.arg("altered").unwrap_or("-"));
        Some(found)
    });
    altered.collect()
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
}
