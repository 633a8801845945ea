//! A cache drops entries that are still needed, or refuses new ones, because its limit is reached.
//!
//! A full cache that drops what nobody asks for is healthy: it must also find less than it usually does. What is usual
//! freezes while it is ill.

use std::collections::{BTreeMap, VecDeque};

use wellkept_model::keep::Keep;
use wellkept_model::observe::CacheSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at};
use crate::{Round, median};

/// Entries dropped in a minute that count.
const EVICTED_MIN: u64 = 20;
/// Questions in a minute that are needed to judge.
const ASKED_MIN: u64 = 20;
/// By how much the share of hits must have fallen.
const FALL: f64 = 0.15;
/// Looks that say what is usual.
const PAST_MAX: usize = 360;
const PAST_MIN: usize = 6;
/// Share of the limit from which a cache that drops nothing refuses new entries.
const FULL: f64 = 0.99;
/// How long it must last, milliseconds.
const HOLD_MS: u64 = 5_000;

/// Remembers how much each cache usually finds.
#[derive(Debug, Default)]
pub(crate) struct Evicting {
    past: BTreeMap<String, (TimestampMs, VecDeque<f64>)>,
}

impl Evicting {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        self.past.retain(|name, _| keep.watched.caches.contains_key(name));
        let caches = round.seen.watched.caches.iter().filter(|(_, seen)| seen.problem.is_none());
        let found = caches.filter_map(|(name, seen)| {
            let declared = keep.watched.caches.get(name)?;
            let (way, usual) = self.way(name, seen)?;
            let severity = if way == "refuses" { Severity::Critical } else { Severity::Warning };
            let (entity, kind) = (EntityId::service(name), FindingKind::CacheEvicting);
            let mut f = finding(entity, kind, way, severity, seen.at, round.now);
            f.text.key = format!("{}.{way}", f.text.key);
            f.text = f.text.with("count", seen.evicted).with("used", seen.used).with("limit", seen.limit);
            f.hold_ms = HOLD_MS;
            let text = Text::new("evidence.cache")
                .with("used", seen.used)
                .with("limit", seen.limit)
                .with("count", seen.evicted)
                .with("share", format!("{:.4}", hit_share(seen).unwrap_or(0.0)))
                .with("usual", format!("{usual:.4}"));
            f.evidence.push(seen_at(seen.at, text));
            if let Some(wanted) = declared.memory.filter(|wanted| *wanted > seen.limit && seen.limit > 0) {
                let text = Text::new("evidence.cache_limit").with("limit", seen.limit).with("wanted", wanted);
                f.evidence.push(seen_at(seen.limit_since.unwrap_or(seen.at), text));
            }
            Some(f)
        });
        found.collect()
    }

    /// In which way it is ill, with the share that it usually finds.
    fn way(&mut self, name: &str, seen: &CacheSeen) -> Option<(&'static str, f64)> {
        let (at, past) = self.past.entry(name.to_owned()).or_default();
        let usual = median(past.make_contiguous()).filter(|_| past.len() >= PAST_MIN);
        #[expect(clippy::cast_precision_loss, reason = "shares need no more than 53 bits")]
        let full = seen.limit > 0 && seen.used as f64 >= seen.limit as f64 * FULL;
        if full && seen.policy == "noeviction" {
            return Some(("refuses", usual.unwrap_or(0.0)));
        }
        let share = hit_share(seen)?;
        let fell = usual.filter(|u| u - share >= FALL && seen.evicted >= EVICTED_MIN && seen.limit > 0);
        if fell.is_none() && *at != seen.at {
            *at = seen.at;
            past.push_back(share);
            if past.len() > PAST_MAX {
                past.pop_front();
            }
        }
        fell.map(|usual| ("drops", usual))
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares need no more than 53 bits")]
fn hit_share(seen: &CacheSeen) -> Option<f64> {
    let asked = seen.hits + seen.misses;
    (asked >= ASKED_MIN).then(|| seen.hits as f64 / asked as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{World, cache};

    fn texts(w: &mut World, hits: u64, evicted: u64, policy: &str, used: u64) -> Vec<String> {
        w.advance(5_000);
        let (policy, limit, at) = (policy.to_owned(), 1000, w.now());
        let seen =
            CacheSeen { at, hits, misses: 100 - hits, evicted, policy, limit, used, ..CacheSeen::default() };
        w.seen.watched.caches.insert("cache".into(), seen);
        w.findings().into_iter().map(|f| f.text.key).collect()
    }

    fn world() -> World {
        let mut w = World::new(&["cache"]);
        w.up("cache", 1);
        w.keep.watched.caches.insert("cache".into(), cache("cache"));
        w
    }

    #[test]
    fn a_full_cache_that_finds_what_it_usually_finds_is_well() {
        let mut w = world();
        for _ in 0..10 {
            assert!(texts(&mut w, 90, 500, "allkeys-lru", 1000).is_empty());
        }
        assert!(texts(&mut w, 40, 0, "allkeys-lru", 500).is_empty(), "other questions, nothing dropped");
        for _ in 0..50 {
            assert_eq!(texts(&mut w, 40, 500, "allkeys-lru", 1000), ["finding.cache_evicting.drops"]);
        }
        assert!(texts(&mut w, 88, 500, "allkeys-lru", 1000).is_empty());
    }

    #[test]
    fn one_that_drops_nothing_refuses_what_is_new() {
        assert_eq!(texts(&mut world(), 90, 0, "noeviction", 999), ["finding.cache_evicting.refuses"]);
        assert!(texts(&mut world(), 90, 0, "noeviction", 900).is_empty());
    }
}
