//! The cache drops entries that are still needed, or refuses new ones, because its limit is reached.
//!
//! Neighbour: a queue in it that has grown takes the room; then that queue is the root, and this a symptom.

use wellkept_model::{Cause, CauseKind, FindingKind, Text};

use super::{cause, is_illness};
use crate::Situation;

/// The server counts what it drops, and finds less than it did.
const SCORE: f64 = 0.92;
/// The limit was lowered just before.
const SCORE_LOWERED: f64 = 0.96;
/// A queue in it has grown.
const SCORE_QUEUE: f64 = 0.5;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let evicting = s.of_kind(FindingKind::CacheEvicting).map(|finding| {
        let entity = &finding.key.entity;
        let seen = s.seen.watched.caches.get(&entity.name).cloned().unwrap_or_default();
        let lowered =
            seen.limit_since.is_some() && (seen.limit_before == 0 || seen.limit_before > seen.limit);
        let score = if s.has(entity, FindingKind::QueueLong) {
            SCORE_QUEUE
        } else if lowered {
            SCORE_LOWERED
        } else {
            SCORE
        };
        let speaks = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let mut found = cause(entity, CauseKind::CacheEviction, "", score, speaks);
        if finding.key.subject == "refuses" {
            found.detail = Text::new("cause.cache_eviction.refuses").with("name", &entity.name);
        }
        found.detail = found.detail.with("limit", seen.limit).with("count", seen.evicted);
        found
    });
    evicting.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::CacheSeen;
    use wellkept_model::{EntityId, FindingKind, TimestampMs};

    fn case(queue: bool, limit_before: Option<u64>) -> Case {
        Case::of(|s| {
            let cache = EntityId::service("cache");
            Case::find(s, cache.clone(), FindingKind::CacheEvicting, "drops");
            if queue {
                Case::find(s, cache, FindingKind::QueueLong, "jobs");
            }
            let limit_since = limit_before.map(|_| TimestampMs(100_000));
            let limit_before = limit_before.unwrap_or(0);
            let seen = CacheSeen { limit: 100, limit_since, limit_before, ..CacheSeen::default() };
            s.seen.watched.caches.insert("cache".into(), seen);
        })
    }

    #[test]
    fn a_limit_that_was_lowered_makes_it_more_certain() {
        assert_eq!(case(false, None).first(), "service:cache cache_eviction");
        assert!(case(false, Some(500)).causes[0].score > case(false, None).causes[0].score);
        assert_eq!(case(false, Some(50)).causes[0].score, case(false, None).causes[0].score);
    }

    #[test]
    fn a_queue_that_takes_the_room_is_the_root() {
        assert_eq!(case(true, None).kinds(), ["queue_full", "cache_eviction"]);
    }
}
