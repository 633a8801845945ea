//! Sessions wait for a lock that one session holds. Who is at the end of the chain is the root; those between wait too.
//!
//! Neighbours: a deadlock has no end of its chain, and the server ends it by itself; connection slots that run out because
//! those who wait pile up are a symptom of this.

use wellkept_model::{Cause, CauseKind, FindingKind, Means, Text};

use super::{cause, is_illness};
use crate::Situation;

/// The holder does nothing and keeps its transaction open.
const SCORE_IDLE: f64 = 0.97;
/// The holder works: it may be about to end.
const SCORE_BUSY: f64 = 0.85;
/// Nobody stands at the end of the chain any more.
const SCORE_GONE: f64 = 0.5;
/// Share of the connection slots that those who wait must take to be why none is left.
const SHARE_MIN: f64 = 0.3;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let held = s.of_kind(FindingKind::LocksHeld).map(|finding| {
        let entity = &finding.key.entity;
        let seen = s.seen.watched.databases.get(&entity.name);
        let holder = seen.and_then(|d| d.care.holders.iter().max_by_key(|h| h.waiting));
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        let fills = seen.zip(holder).is_some_and(|(d, h)| h.waiting as f64 >= d.slots as f64 * SHARE_MIN);
        let speaks = s.about(entity).filter(|f| {
            f.key == finding.key
                || is_illness(f.key.kind)
                || fills && f.key.kind == FindingKind::ConnectionsFull
        });
        let score = holder.map_or(SCORE_GONE, |h| if h.idle { SCORE_IDLE } else { SCORE_BUSY });
        let subject = holder.filter(|h| h.client && !h.application.is_empty());
        let subject = subject.map(|h| Means::Blockers(h.application.clone()).to_string()).unwrap_or_default();
        let mut found = cause(entity, CauseKind::LockContention, &subject, score, speaks);
        let Some(holder) = holder else { return found };
        found.detail = Text::new("cause.lock_contention.by")
            .with("name", &entity.name)
            .with("id", holder.id)
            .with("application", if holder.application.is_empty() { "-" } else { &holder.application })
            .with("waiting", holder.waiting)
            .with("ms", holder.held_ms);
        found
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen, HolderOfLock};
    use wellkept_model::{EntityId, FindingKind};

    fn case(idle: bool, waiting: u64) -> Case {
        let mut case = Case::new("app needs db; app runs since 1; app unhealthy; db runs since 1");
        let db = EntityId::service("db");
        Case::find(&mut case.situation, db.clone(), FindingKind::LocksHeld, "");
        Case::find(&mut case.situation, db, FindingKind::ConnectionsFull, "");
        let application = "report".to_owned();
        let holder =
            HolderOfLock { id: 7, application, idle, client: true, waiting, ..HolderOfLock::default() };
        let care = DatabaseCareSeen { holders: vec![holder], ..DatabaseCareSeen::default() };
        let seen = DatabaseSeen { used: 27, slots: 27, care, ..DatabaseSeen::default() };
        case.situation.seen.watched.databases.insert("db".into(), seen);
        case.again()
    }

    #[test]
    fn who_is_at_the_end_of_the_chain_is_named_and_full_slots_are_a_symptom() {
        let case = case(true, 20);
        let first = &case.causes[0];
        assert_eq!(
            (case.first().as_str(), first.subject.as_str()),
            ("service:db lock_contention", "blockers report")
        );
        assert_eq!(first.explains.len(), 3);
    }

    #[test]
    fn few_who_wait_do_not_fill_a_server() {
        assert!(case(true, 2).causes[0].explains.iter().all(|k| k.kind != FindingKind::ConnectionsFull));
    }

    #[test]
    fn a_holder_that_works_is_less_certain_than_one_that_sleeps() {
        assert!(case(false, 20).causes[0].score < case(true, 20).causes[0].score);
    }

    #[test]
    fn deadlocks_alone_are_no_contention() {
        let case = Case::of(|s| Case::find(s, EntityId::service("db"), FindingKind::DeadlocksOften, ""));
        assert!(!case.kinds().contains(&"lock_contention".to_owned()));
    }
}
