//! All connection slots of a database are taken. Sessions that one application has left idle in a transaction are the
//! reason that can be named; without such sessions it may as well be honest load.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::{cause, is_illness};
use crate::Situation;

/// An application that may be ended holds many of them for nothing.
const SCORE: f64 = 0.96;
/// They are used, by whomever: a guess that is left alone for a while, because idle sessions need time to be seen as such.
const SCORE_LOAD: f64 = 0.55;
/// A proxy counts what it dropped; that there are too many is sure, and why is for a person.
const SCORE_DROPPED: f64 = 0.85;
/// Share of the slots that idle sessions must hold to be the reason.
const SHARE_MIN: f64 = 0.3;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let full = s.of_kind(FindingKind::ConnectionsFull).map(|finding| {
        let entity = &finding.key.entity;
        let seen = s.seen.watched.databases.get(&entity.name);
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        let holders = seen.into_iter().flat_map(|d| {
            d.applications.iter().filter(|(_, a)| a.stale as f64 >= d.slots as f64 * SHARE_MIN && a.stale > 0)
        });
        let worst = holders.max_by_key(|(_, a)| a.stale);
        let own = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let is_counted = finding.key.subject == "dropped";
        let alone = if is_counted { SCORE_DROPPED } else { SCORE_LOAD };
        let (subject, score) = worst.map_or(("", alone), |(name, _)| (name.as_str(), SCORE));
        let mut found = cause(entity, CauseKind::ConnectionExhaustion, subject, score, own);
        if let Some((name, a)) = worst {
            found.detail = Text::new("cause.connection_exhaustion.by")
                .with("name", &entity.name)
                .with("application", name)
                .with("stale", a.stale);
        }
        found
    });
    full.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{ApplicationSeen, DatabaseSeen};
    use wellkept_model::{EntityId, FindingKind};

    fn case(stale: u64) -> Case {
        let mut case = Case::new("app needs db; app runs since 1; app unhealthy; db runs since 1");
        Case::find(&mut case.situation, EntityId::service("db"), FindingKind::ConnectionsFull, "");
        let app = ApplicationSeen { sessions: 25, stale, idle_ms: 9000 };
        let applications = [("report".to_owned(), app)].into();
        let seen = DatabaseSeen { used: 27, slots: 27, applications, ..DatabaseSeen::default() };
        case.situation.seen.watched.databases.insert("db".into(), seen);
        case.again()
    }

    #[test]
    fn who_holds_them_for_nothing_is_named_and_the_failing_dependant_is_a_symptom() {
        let case = case(25);
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:db connection_exhaustion", "report")
        );
        assert_eq!(case.causes[0].explains.len(), 2);
    }

    #[test]
    fn a_proxy_that_drops_connections_has_no_slot_left_and_one_that_cannot_reach_its_upstream_has() {
        let of = |kind, subject: &str| {
            let mut case = Case::new("web needs app; web runs since 1; web unhealthy; app runs since 1");
            Case::find(&mut case.situation, EntityId::service("web"), kind, subject);
            case.again().kinds()
        };
        assert_eq!(of(FindingKind::ConnectionsFull, "dropped")[0], "connection_exhaustion");
        assert!(
            !of(FindingKind::UpstreamFailing, "127.0.0.1:9").contains(&"connection_exhaustion".to_owned())
        );
    }

    #[test]
    fn honest_load_blames_nobody() {
        assert_eq!(case(0).causes[0].subject, "");
    }
}
