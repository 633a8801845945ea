//! How much each source may send: a source that sends more is told to wait, the others notice nothing.
//!
//! A token bucket for each source. A body is let in as long as the bucket is not empty, and pays afterwards for what was in
//! it: nobody knows before, and a body larger than the bucket would never get in.

use std::collections::HashMap;
use std::time::Duration;

use wellkept_model::TimestampMs;

/// Most sources that are told apart; further ones share one bucket.
const SOURCES_MAX: usize = 4096;
/// How much a source may save up while it sends nothing.
const BURST: Duration = Duration::from_secs(10);

/// Buckets by source.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Samples per second and source; `None`: as many as come.
    per_second: Option<f64>,
    sources: HashMap<String, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Samples that may come; negative after a large body.
    tokens: f64,
    at: TimestampMs,
}

impl Rates {
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.map(f64::from), sources: HashMap::new() }
    }

    /// How long a source has to wait before it may send; `None` when it may.
    pub(crate) fn wait(&mut self, source: &str, now: TimestampMs) -> Option<Duration> {
        let per_second = self.per_second?;
        let bucket = self.bucket(source, now, per_second);
        (bucket.tokens <= 0.0)
            .then(|| Duration::from_secs_f64(((1.0 - bucket.tokens) / per_second).min(3600.0)))
    }

    /// Takes what a source has sent out of its bucket.
    #[expect(clippy::cast_precision_loss, reason = "a body has far fewer than 2^52 samples")]
    pub(crate) fn pay(&mut self, source: &str, samples: u64, now: TimestampMs) {
        if let Some(per_second) = self.per_second {
            self.bucket(source, now, per_second).tokens -= samples as f64;
        }
    }

    fn bucket(&mut self, source: &str, now: TimestampMs, per_second: f64) -> &mut Bucket {
        let full = per_second * BURST.as_secs_f64();
        if !self.sources.contains_key(source) && self.sources.len() >= SOURCES_MAX {
            // Those that could send at will are as good as new.
            let refilled = |b: &Bucket| b.tokens + now.since(b.at).as_secs_f64() * per_second;
            self.sources.retain(|_, b| refilled(b) < full);
        }
        let room = self.sources.len() < SOURCES_MAX || self.sources.contains_key(source);
        let source = if room { source } else { "" };
        let bucket = self.sources.entry(source.to_owned()).or_insert(Bucket { tokens: full, at: now });
        bucket.tokens = (bucket.tokens + now.since(bucket.at).as_secs_f64() * per_second).min(full);
        // A clock that stepped back begins to count anew.
        bucket.at = now;
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> TimestampMs {
        TimestampMs((seconds * 1000.0) as i64)
    }

    #[test]
    fn a_flood_waits_and_another_source_does_not() {
        let mut rates = Rates::new(Some(100));
        assert_eq!(rates.wait("bad", at(0.0)), None);
        rates.pay("bad", 1500, at(0.0));
        let wait = rates.wait("bad", at(0.0)).unwrap();
        assert!(wait > Duration::from_secs(5) && wait < Duration::from_millis(5100), "{wait:?}");
        assert_eq!(rates.wait("good", at(0.0)), None);
        assert_eq!(rates.wait("bad", at(5.1)), None);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let mut rates = Rates::new(None);
        rates.pay("a", u64::MAX, at(0.0));
        assert_eq!(rates.wait("a", at(0.0)), None);
        assert!(rates.sources.is_empty());
    }

    #[test]
    fn many_sources_take_bounded_memory_and_the_last_ones_share() {
        let mut rates = Rates::new(Some(1));
        for i in 0..3 * SOURCES_MAX {
            rates.pay(&i.to_string(), 100, at(0.0));
        }
        assert!(rates.sources.len() <= SOURCES_MAX + 1);
        assert!(rates.wait("one more", at(0.0)).is_some());
        // Those that have paid off make room.
        assert_eq!(rates.wait("a new one", at(100_000.0)), None);
    }

    #[test]
    fn a_clock_that_steps_back_lets_nobody_wait_longer_than_before() {
        let mut rates = Rates::new(Some(10));
        rates.pay("a", 110, at(100.0));
        assert!(rates.wait("a", at(50.0)).is_some());
        assert_eq!(rates.wait("a", at(52.0)), None);
    }
}
