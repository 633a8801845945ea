//! A queue has reached its declared limit, or one entry stays the next one and is not done with.

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long a queue must be full, milliseconds: a burst is what queues are for.
const FULL_HOLD_MS: u64 = 10_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (service, cache) in round.seen.watched.caches.iter().filter(|(_, s)| s.problem.is_none()) {
        let Some(declared) = keep.watched.caches.get(service) else { continue };
        for (key, seen) in &cache.queues {
            let Some(queue) = declared.queues.get(key) else { continue };
            let of = |kind, severity, since| {
                let f = finding(EntityId::service(service), kind, key, severity, since, round.now);
                let text = f.text.clone().with("queue", key).with("length", seen.length);
                Finding { text, ..f }
            };
            if seen.length >= queue.limit {
                let mut f = of(FindingKind::QueueLong, Severity::Warning, cache.at);
                f.hold_ms = FULL_HOLD_MS;
                let text = Text::new("evidence.queue_length").with("queue", key).with("length", seen.length);
                f.evidence.push(seen_at(cache.at, text.with("limit", queue.limit)));
                found.push(f);
            }
            let stays = cache.at.since(seen.head_since);
            if !seen.head.is_empty() && stays >= queue.stuck {
                let mut f = of(FindingKind::QueueStuck, Severity::Warning, seen.head_since);
                f.text = f.text.with("ms", stays.as_millis());
                let text = Text::new("evidence.queue_head")
                    .with("queue", key)
                    .with("entry", &seen.head)
                    .with("bytes", seen.head_bytes)
                    .with("ms", stays.as_millis())
                    .with("count", seen.came_back);
                f.evidence.push(seen_at(cache.at, text));
                found.push(f);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, cache};
    use wellkept_model::FindingKind;
    use wellkept_model::TimestampMs;
    use wellkept_model::observe::{CacheSeen, QueueSeen};

    fn kinds(length: u64, head: &str, since: i64) -> Vec<FindingKind> {
        let mut w = World::new(&["cache"]);
        w.up("cache", 1);
        w.keep.watched.caches.insert("cache".into(), cache("cache"));
        let head_since = TimestampMs(since);
        let queue = QueueSeen { length, head: head.into(), head_since, ..QueueSeen::default() };
        let queues = [("jobs".to_owned(), queue)].into();
        let seen = CacheSeen { at: TimestampMs(1_000_000), queues, ..CacheSeen::default() };
        w.seen.watched.caches.insert("cache".into(), seen);
        w.kinds()
    }

    #[test]
    fn a_long_queue_that_moves_is_not_stuck_and_a_stuck_one_need_not_be_long() {
        assert!(kinds(99, "a", 999_000).is_empty());
        assert_eq!(kinds(100, "a", 999_000), [FindingKind::QueueLong]);
        assert_eq!(kinds(1, "a", 960_000), [FindingKind::QueueStuck]);
        assert!(kinds(1, "", 960_000).is_empty(), "nobody can tell which entry it is");
    }
}
