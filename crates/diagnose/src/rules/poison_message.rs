//! One message fails again and again and stops the queue.
//!
//! Discriminating tests: it was taken and came back, or those who take entries end again and again while it is the next one.
//! A queue that nobody takes from at all is no proof against the entry that happens to be the next.

use wellkept_model::{Cause, CauseKind, EntityId, FindingKind, TimestampMs};

use super::{cause, is_illness};
use crate::Situation;

/// It came back.
const SCORE: f64 = 0.96;
/// Those who take it end again and again.
const SCORE_ENDS: f64 = 0.93;
/// How often it must have come back.
const BACK_MIN: u32 = 2;
/// How often one who takes entries must have been started meanwhile.
const STARTS_MIN: usize = 2;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let stuck = s.of_kind(FindingKind::QueueStuck).filter_map(|finding| {
        let (entity, key) = (&finding.key.entity, &finding.key.subject);
        let seen = s.seen.watched.caches.get(&entity.name)?.queues.get(key)?;
        let takers = s.topology.dependants(entity);
        let ends = takers.keys().any(|taker| ends_often(s, taker, seen.head_since));
        let score = match (seen.came_back >= BACK_MIN, ends) {
            (true, _) => SCORE,
            (false, true) => SCORE_ENDS,
            (false, false) => return None,
        };
        let speaks = s.findings.iter().filter(|f| {
            let own = f.key.entity == *entity;
            own && (f.key == finding.key || f.key.kind == FindingKind::QueueLong && f.key.subject == *key)
                || takers.contains_key(&f.key.entity) && is_illness(f.key.kind)
        });
        let mut found = cause(entity, CauseKind::PoisonMessage, key, score, speaks);
        found.detail =
            found.detail.with("queue", key).with("entry", &seen.head).with("count", seen.came_back);
        Some(found)
    });
    stuck.collect()
}

fn ends_often(s: &Situation, taker: &EntityId, since: TimestampMs) -> bool {
    let starts = s.service(taker).map_or(0, |t| t.starts.iter().filter(|at| **at >= since).count());
    s.has(taker, FindingKind::RestartingOften) || starts >= STARTS_MIN
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{CacheSeen, QueueSeen};
    use wellkept_model::{EntityId, FindingKind, TimestampMs};

    fn case(words: &str, came_back: u32) -> Case {
        let mut case = Case::new(&format!("worker needs cache; cache runs since 1; {words}"));
        let cache = EntityId::service("cache");
        Case::find(&mut case.situation, cache.clone(), FindingKind::QueueStuck, "jobs");
        Case::find(&mut case.situation, cache, FindingKind::QueueLong, "jobs");
        let head_since = TimestampMs(50_000);
        let queue = QueueSeen { head: "0a".into(), head_since, came_back, ..QueueSeen::default() };
        let queues = [("jobs".to_owned(), queue)].into();
        case.situation
            .seen
            .watched
            .caches
            .insert("cache".into(), CacheSeen { queues, ..CacheSeen::default() });
        case.again()
    }

    #[test]
    fn an_entry_that_comes_back_is_the_root_of_a_full_queue() {
        let case = case("worker runs since 1", 2);
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:cache poison_message", "jobs")
        );
        assert_eq!(case.causes[0].explains.len(), 2);
    }

    #[test]
    fn a_worker_that_ends_again_and_again_over_it_is_a_symptom() {
        let words = "worker ended 1 at 104 began 103; worker gone; worker restarting";
        let case = case(words, 0);
        assert_eq!(case.first(), "service:cache poison_message");
        assert!(case.causes[0].explains.iter().any(|k| k.kind == FindingKind::RestartingOften));
    }

    #[test]
    fn a_worker_that_is_simply_gone_is_the_root_itself() {
        let case = case("worker ended 0 at 40 began 10; worker gone", 0);
        assert_eq!(case.first(), "service:worker process_down");
    }
}
