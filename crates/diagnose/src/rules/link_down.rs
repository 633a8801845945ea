//! A network link is down.
//!
//! A link without a carrier while another one is switched off is most likely its other end, so it sinks below that one.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::cause;
use crate::Situation;

/// Somebody switched it off.
const SCORE_OFF: f64 = 0.97;
/// It has no carrier, or is not there.
const SCORE: f64 = 0.8;
/// It has no carrier, and another link is off.
const SCORE_OTHER_END: f64 = 0.4;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let is_off = |f: &wellkept_model::Finding| {
        let network = s.seen.watched.networks.get(&f.key.entity.name);
        network.and_then(|n| n.links.get(&f.key.subject)).is_some_and(|l| l.exists && !l.up)
    };
    let any_off = s.seen.watched.networks.values().flat_map(|n| n.links.values()).any(|l| l.exists && !l.up);
    let down = s.of_kind(FindingKind::LinkDown).map(|finding| {
        let score = match (is_off(finding), any_off) {
            (true, _) => SCORE_OFF,
            (false, true) => SCORE_OTHER_END,
            (false, false) => SCORE,
        };
        let link = &finding.key.subject;
        let mut found = cause(&finding.key.entity, CauseKind::LinkDown, link, score, [finding]);
        found.detail = Text::new("cause.link_down").with("name", &finding.key.entity.name).with("link", link);
        found
    });
    down.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{LinkSeen, NetworkSeen};
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    #[test]
    fn the_end_that_is_off_is_the_root_and_what_lies_behind_it_a_symptom() {
        let mut case =
            Case::new("app needs db; app runs since 1; app unhealthy; db runs since 1; db unhealthy");
        for (network, link, up) in [("main", "a", true), ("back", "b", false)] {
            let entity = EntityId::new(EntityKind::Network, network);
            Case::lean(&mut case.situation, "db", entity.clone());
            Case::find(&mut case.situation, entity, FindingKind::LinkDown, link);
            let seen = LinkSeen { exists: true, up, ..LinkSeen::default() };
            let links = [(link.to_owned(), seen)].into();
            let seen = NetworkSeen { links, ..NetworkSeen::default() };
            case.situation.seen.watched.networks.insert(network.to_owned(), seen);
        }
        let case = case.again();
        assert_eq!((case.first().as_str(), case.causes[0].subject.as_str()), ("network:back link_down", "b"));
        assert_eq!(case.causes[0].entity.component(), "network");
        assert!(case.causes[1].score < 0.6);
        assert_eq!(case.kinds(), ["link_down", "link_down"]);
    }
}
