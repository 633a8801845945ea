//! How many lines each source may bring: a token bucket per source, with what it drops counted.
//!
//! One source that floods empties its own bucket only. The number of sources is bounded: those beyond share one bucket,
//! so that inventing sources brings nothing.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

const NS: f64 = 1e9;

/// How much one source may bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Lines per second in the long run.
    pub per_second: f64,
    /// Lines at once.
    pub burst: f64,
}

/// Buckets by source.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    sources_max: usize,
    buckets: HashMap<K, Bucket>,
    others: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_ns: i64,
    dropped: u64,
}

impl Bucket {
    fn full(rate: Rate, now_ns: i64) -> Self {
        Self { tokens: rate.burst, at_ns: now_ns, dropped: 0 }
    }

    fn allows(&mut self, lines: u64, rate: Rate, now_ns: i64) -> bool {
        let passed = now_ns.saturating_sub(self.at_ns).max(0);
        self.at_ns = now_ns;
        self.tokens = (self.tokens + passed as f64 / NS * rate.per_second).min(rate.burst);
        let lines_f = lines as f64;
        // More lines at once than a bucket ever holds must pass some time: then they leave it in debt.
        if self.tokens >= lines_f.min(rate.burst) {
            self.tokens -= lines_f;
            return true;
        }
        self.dropped = self.dropped.saturating_add(lines);
        false
    }
}

impl<K: Hash + Eq> Limiter<K> {
    /// A limiter for at most `sources_max` sources with buckets of their own.
    #[must_use]
    pub fn new(rate: Rate, sources_max: usize) -> Self {
        let others = Bucket { tokens: rate.burst, at_ns: i64::MIN, dropped: 0 };
        Self { rate, sources_max, buckets: HashMap::new(), others }
    }

    /// Whether `lines` more of a source may pass at `now_ns`; those that may not are counted.
    pub fn allows<Q>(&mut self, source: &Q, lines: u64, now_ns: i64) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(bucket) = self.buckets.get_mut(source) {
            return bucket.allows(lines, self.rate, now_ns);
        }
        if self.buckets.len() >= self.sources_max {
            self.forget_idle(now_ns);
        }
        if self.buckets.len() >= self.sources_max {
            return self.others.allows(lines, self.rate, now_ns);
        }
        let mut bucket = Bucket::full(self.rate, now_ns);
        let allowed = bucket.allows(lines, self.rate, now_ns);
        self.buckets.insert(source.to_owned(), bucket);
        allowed
    }

    /// Lets go of sources whose bucket is full again and that dropped nothing.
    fn forget_idle(&mut self, now_ns: i64) {
        let rate = self.rate;
        self.buckets.retain(|_, bucket| {
            let passed = now_ns.saturating_sub(bucket.at_ns).max(0) as f64 / NS;
            bucket.dropped > 0 || bucket.tokens + passed * rate.per_second < rate.burst
        });
    }

    /// Sources that were cut short since the last call, with the number of their dropped lines; `None` is all those
    /// without a bucket of their own.
    pub fn take_dropped(&mut self) -> Vec<(Option<K>, u64)>
    where
        K: Clone,
    {
        let named = self.buckets.iter_mut().filter(|(_, b)| b.dropped > 0);
        let mut dropped: Vec<_> =
            named.map(|(source, b)| (Some(source.clone()), std::mem::take(&mut b.dropped))).collect();
        let others = std::mem::take(&mut self.others.dropped);
        dropped.extend((others > 0).then_some((None, others)));
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn limiter(sources_max: usize) -> Limiter<String> {
        Limiter::new(Rate { per_second: 10.0, burst: 20.0 }, sources_max)
    }

    #[test]
    fn a_flood_is_cut_and_counted_and_others_are_unharmed() {
        let mut limiter = limiter(10);
        let passed = (0..1000).filter(|_| limiter.allows("loud", 1, 0)).count();
        assert_eq!(passed, 20);
        assert!(limiter.allows("quiet", 1, 0));
        let later = (0..1000).filter(|_| limiter.allows("loud", 1, SECOND)).count();
        assert_eq!(later, 10);
        assert_eq!(limiter.take_dropped(), [(Some("loud".to_owned()), 1970)]);
        assert!(limiter.take_dropped().is_empty());
    }

    #[test]
    fn sources_beyond_the_bound_share_a_bucket_until_others_are_idle() {
        let mut limiter = limiter(2);
        assert!(limiter.allows("a", 20, 0) && limiter.allows("b", 20, 0));
        let passed = (0..100).filter(|i| limiter.allows(&format!("x{i}"), 1, 0)).count();
        assert_eq!(passed, 20);
        assert_eq!(limiter.take_dropped(), [(None, 80)]);
        assert!(limiter.allows("y", 20, 2 * SECOND), "a and b are full again and forgotten");
        assert!(limiter.buckets.len() <= 2);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_for_nothing() {
        let mut limiter = limiter(2);
        assert!(limiter.allows("a", 20, 100 * SECOND));
        assert!(!limiter.allows("a", 1, 0));
        assert!(limiter.allows("a", 10, SECOND));
        assert!(!limiter.allows("a", 1, SECOND));
    }

    #[test]
    fn more_than_a_bucket_at_once_passes_and_leaves_a_debt() {
        let mut limiter = limiter(2);
        assert!(limiter.allows("a", 40, 0));
        assert!(!limiter.allows("a", 1, SECOND));
        assert!(limiter.allows("a", 1, 3 * SECOND));
    }
}
