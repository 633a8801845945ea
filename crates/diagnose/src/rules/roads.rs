//! A route is gone, packets are cut to another size, a link is degraded, or an address is used twice.
//!
//! Discriminating tests: the kernel takes away the routes of a link that goes down, so then the link is the root; packets
//! that are lost because of a filter or a queue come with a network that was altered, and a bad link with errors of its
//! own.

use wellkept_model::{Cause, CauseKind, Finding, FindingKind};

use super::cause;
use crate::Situation;

/// Read from the kernel's tables.
const SCORE: f64 = 0.93;
/// Errors are counted by a driver; whose fault they are is open.
const SCORE_DEGRADED: f64 = 0.85;
/// A link that is down explains it.
const SCORE_SYMPTOM: f64 = 0.45;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let kinds = [
        (FindingKind::RouteMissing, CauseKind::RouteMissing, SCORE, "route"),
        (FindingKind::MtuWrong, CauseKind::MtuMismatch, SCORE, "link"),
        (FindingKind::LinkDegraded, CauseKind::LinkDegraded, SCORE_DEGRADED, "link"),
        (FindingKind::AddressConflicting, CauseKind::AddressConflict, SCORE, "address"),
    ];
    let mut found = Vec::new();
    for (of, kind, score, word) in kinds {
        found.extend(s.of_kind(of).map(|f| {
            let score = if is_down(s, f) { SCORE_SYMPTOM } else { score };
            let subject = &f.key.subject;
            let mut found = cause(&f.key.entity, kind, subject, score, [f]);
            let what = f.evidence.iter().find_map(|e| e.text.arg("what")).unwrap_or("-");
            found.detail = found.detail.with(word, subject).with("what", what);
            found
        }));
    }
    found
}

fn is_down(s: &Situation, finding: &Finding) -> bool {
    s.has(&finding.key.entity, FindingKind::LinkDown)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{LinkSeen, NetworkSeen};
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    fn case(findings: &[(FindingKind, &str)]) -> Case {
        let mut case = Case::new("app needs db; app runs since 1; app unhealthy; db runs since 1");
        let network = || EntityId::new(EntityKind::Network, "back");
        Case::lean(&mut case.situation, "db", network());
        findings
            .iter()
            .for_each(|(kind, subject)| Case::find(&mut case.situation, network(), *kind, subject));
        let link = LinkSeen { exists: true, up: false, ..LinkSeen::default() };
        let links = [("eth0".to_owned(), link)].into();
        let seen = NetworkSeen { links, ..NetworkSeen::default() };
        case.situation.seen.watched.networks.insert("back".into(), seen);
        case.again()
    }

    #[test]
    fn what_lies_behind_a_lost_route_is_a_symptom() {
        let case = case(&[(FindingKind::RouteMissing, "10.1.0.0/16 via 10.0.0.1")]);
        assert_eq!((case.first().as_str(), case.causes.len()), ("network:back route_missing", 1));
        assert_eq!(case.causes[0].explains.len(), 2);
    }

    #[test]
    fn a_link_that_is_down_takes_its_routes_with_it() {
        let case =
            case(&[(FindingKind::RouteMissing, "10.1.0.0/16 via 10.0.0.1"), (FindingKind::LinkDown, "eth0")]);
        assert_eq!(case.first(), "network:back link_down");
        assert!(case.causes[1].score < 0.6);
    }

    #[test]
    fn each_is_a_cause_of_its_own_and_none_is_packet_loss() {
        for (kind, subject, expected) in [
            (FindingKind::MtuWrong, "eth0", "mtu_mismatch"),
            (FindingKind::LinkDegraded, "eth0", "link_degraded"),
            (FindingKind::AddressConflicting, "10.0.0.7", "address_conflict"),
        ] {
            assert_eq!(case(&[(kind, subject)]).kinds(), [expected]);
        }
    }
}
