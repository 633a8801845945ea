//! A queue has reached its limit: more comes in than is taken out.
//!
//! Neighbours: one entry that stops it, or a service that takes entries and is ill itself; each is the root then.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// It was counted, and those who take entries are well.
const SCORE: f64 = 0.88;
/// Somebody who takes entries is ill, or one entry is stuck.
const SCORE_SYMPTOM: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let long = s.of_kind(FindingKind::QueueLong).map(|finding| {
        let (entity, key) = (&finding.key.entity, &finding.key.subject);
        let takers = s.topology.dependants(entity);
        let ill = s.findings.iter().any(|f| takers.contains_key(&f.key.entity) && is_illness(f.key.kind));
        let stuck = s.about(entity).any(|f| f.key.kind == FindingKind::QueueStuck && f.key.subject == *key);
        let score = if ill || stuck { SCORE_SYMPTOM } else { SCORE };
        let speaks = s.about(entity).filter(|f| {
            f.key == finding.key || f.key.kind == FindingKind::CacheEvicting && f.key.subject == "refuses"
        });
        let mut found = cause(entity, CauseKind::QueueFull, key, score, speaks);
        let cache = s.seen.watched.caches.get(&entity.name);
        let length = cache.and_then(|c| c.queues.get(key)).map_or(0, |q| q.length);
        found.detail = found.detail.with("queue", key).with("length", length);
        found
    });
    long.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    fn case(words: &str) -> Case {
        let mut case = Case::new(words);
        Case::find(&mut case.situation, EntityId::service("cache"), FindingKind::QueueLong, "jobs");
        case.again()
    }

    #[test]
    fn with_all_who_take_from_it_well_it_is_the_load() {
        assert_eq!(case("worker needs cache; worker runs since 1").first(), "service:cache queue_full");
    }

    #[test]
    fn with_a_worker_that_is_stopped_the_worker_is_the_root() {
        let words = "worker needs cache; worker runs since 1; worker stopped";
        assert_eq!(case(words).first(), "service:worker process_stopped");
    }
}
