//! A proxy sends requests to the wrong place.
//!
//! Discriminating test: nobody listens at the address, while everything that the proxy is declared to need is well. When
//! something below it is ill, that is the root, and the proxy is right to complain.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Its file was changed before.
const SCORE_CHANGED: f64 = 0.95;
/// It was not, as far as is known.
const SCORE: f64 = 0.8;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let failing = s.of_kind(FindingKind::UpstreamFailing).filter_map(|finding| {
        let (entity, address) = (&finding.key.entity, &finding.key.subject);
        let below = s.topology.leans_on(entity);
        let ill = s.findings.iter().any(|f| below.contains_key(&f.key.entity) && is_illness(f.key.kind));
        if ill || somebody_listens(s, address) {
            return None;
        }
        let changes = s.file_changes.iter().filter(|c| c.service == entity.name && c.now_sha256.is_some());
        let changed = changes.filter(|c| c.at <= finding.since).max_by_key(|c| c.at);
        let path = changed.map_or("", |c| c.path.as_str());
        let speaks = s.about(entity).filter(|f| {
            f.key.kind == FindingKind::UpstreamFailing
                || is_illness(f.key.kind)
                || f.key.kind == FindingKind::FileChanged && f.key.subject == path
        });
        let score = if path.is_empty() { SCORE } else { SCORE_CHANGED };
        let mut found = cause(entity, CauseKind::WrongUpstream, path, score, speaks);
        found.detail =
            found.detail.with("address", address).with("path", if path.is_empty() { "-" } else { path });
        Some(found)
    });
    failing.collect()
}

/// On this host: at the address itself, or at all addresses with its port.
fn somebody_listens(s: &Situation, address: &str) -> bool {
    let port = address.rsplit_once(':').map_or("80", |(_, port)| port);
    s.seen.listeners.iter().any(|l| {
        let any = |all: &str| l.address.strip_prefix(all) == Some(port);
        l.protocol == "tcp" && (l.address == address || any("0.0.0.0:") || any("[::]:"))
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::ListenerSeen;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str, listens: Option<&str>) -> Case {
        let mut case = Case::new(words);
        Case::find(
            &mut case.situation,
            EntityId::service("web"),
            FindingKind::UpstreamFailing,
            "127.0.0.1:9001",
        );
        let (protocol, uid, pid, holder) = ("tcp".to_owned(), 0, None, None);
        let listener = listens.map(|a| ListenerSeen { protocol, address: a.to_owned(), uid, pid, holder });
        case.situation.seen.listeners.extend(listener);
        case.again()
    }

    #[test]
    fn an_address_where_nobody_listens_is_wrong_when_all_that_is_needed_is_well() {
        let words = "web needs app; app runs since 1; web runs since 1; web changed at 100";
        let case = case(words, Some("127.0.0.1:9000"));
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:web wrong_upstream", "/srv/web/env")
        );
    }

    #[test]
    fn with_the_service_behind_it_gone_that_service_is_the_root() {
        let words = "web needs app; app ended 9s at 100 began 10; app gone; web runs since 1";
        let case = case(words, None);
        assert_eq!(case.first(), "service:app process_crash");
        assert!(!case.kinds().contains(&"wrong_upstream".to_owned()));
    }

    #[test]
    fn where_somebody_listens_the_address_is_not_wrong() {
        for address in ["127.0.0.1:9001", "0.0.0.0:9001", "[::]:9001"] {
            let case = case("web runs since 1", Some(address));
            assert!(!case.kinds().contains(&"wrong_upstream".to_owned()), "{address}");
        }
    }
}
