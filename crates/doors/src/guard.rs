//! What stands between a client and the store: nobody writes our own series from outside, and nobody the future.
//!
//! What this host measures about itself leads to findings and to acts. A client that could write under its identity
//! could make things up; so samples that carry exactly our own identity labels are refused and counted.

use wellkept_model::{Histogram, Labels, Metadata, Sink, TimestampMs};

/// How far a sample may be ahead of our clock, milliseconds: ten minutes, as in Prometheus.
///
/// Retention is counted from the newest sample, so one from the far future would have all others dropped.
const AHEAD_MAX_MS: i64 = 600_000;

/// A sink that leaves out what carries our own identity, and what is ahead of our clock.
pub struct Guard<'a, S> {
    inner: &'a mut S,
    identity: &'a Labels,
    /// Latest time that is taken.
    latest: TimestampMs,
    /// The current series is left out.
    skipping: bool,
    /// Samples that were left out because of our identity.
    pub refused: usize,
    /// Samples that were left out because they are too far ahead.
    pub ahead: usize,
    /// Samples that went through.
    pub passed: usize,
}

impl<'a, S: Sink> Guard<'a, S> {
    /// `identity`: the labels that all series of our own collection carry; `now`: what our clock says.
    #[must_use]
    pub fn new(inner: &'a mut S, identity: &'a Labels, now: TimestampMs) -> Self {
        let latest = TimestampMs(now.0.saturating_add(AHEAD_MAX_MS));
        Self { inner, identity, latest, skipping: false, refused: 0, ahead: 0, passed: 0 }
    }

    fn is_ours(&self, labels: &[(&str, &str)]) -> bool {
        // The last of two equal names holds, as in `Labels`.
        let value = |name: &str| labels.iter().rev().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
        !self.identity.is_empty() && self.identity.iter().all(|(name, v)| value(name) == v)
    }

    /// Counts a sample; true when it may pass.
    fn passes(&mut self, at: TimestampMs) -> bool {
        let ahead = at > self.latest;
        match (self.skipping, ahead) {
            (true, _) => self.refused += 1,
            (false, true) => self.ahead += 1,
            (false, false) => self.passed += 1,
        }
        !self.skipping && !ahead
    }
}

impl<S: Sink> Sink for Guard<'_, S> {
    fn known(&mut self, wire: &[u8]) -> bool {
        // Only series that went through are known behind us.
        let known = self.inner.known(wire);
        self.skipping &= !known;
        known
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.skipping = self.is_ours(labels);
        if !self.skipping {
            self.inner.series(wire, labels);
        }
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        if self.passes(at) {
            self.inner.float(at, value);
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        if self.passes(at) {
            self.inner.histogram(at, histogram);
        }
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        if !self.skipping && at <= self.latest {
            self.inner.exemplar(at, value, labels);
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.inner.metadata(metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers label sets by their bytes, and what came.
    #[derive(Default)]
    struct Notebook {
        wires: Vec<Vec<u8>>,
        said: Vec<String>,
    }

    impl Sink for Notebook {
        fn known(&mut self, wire: &[u8]) -> bool {
            self.wires.iter().any(|w| w == wire)
        }

        fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
            self.wires.push(wire.to_vec());
            self.said.push(format!("{labels:?}"));
        }

        fn float(&mut self, _: TimestampMs, value: f64) {
            self.said.push(value.to_string());
        }

        fn histogram(&mut self, _: TimestampMs, _: Histogram) {}
    }

    fn push(guard: &mut Guard<'_, Notebook>, wire: &[u8], labels: &[(&str, &str)], value: f64) {
        if !guard.known(wire) {
            guard.series(wire, labels);
        }
        guard.float(TimestampMs(1), value);
    }

    #[test]
    fn our_own_identity_cannot_be_pushed_under_any_order_or_name() {
        let (mut book, identity) =
            (Notebook::default(), Labels::new([("instance", "me"), ("job", "wellkept")]));
        let mut guard = Guard::new(&mut book, &identity, TimestampMs(0));
        for _ in 0..2 {
            push(&mut guard, b"1", &[("job", "wellkept"), ("__name__", "up"), ("instance", "me")], 1.0);
            push(&mut guard, b"2", &[("instance", "x"), ("instance", "me"), ("job", "wellkept")], 2.0);
            push(&mut guard, b"3", &[("instance", "me"), ("job", "other")], 3.0);
        }
        assert_eq!((guard.refused, guard.passed), (4, 2));
        assert_eq!(book.said.iter().filter(|s| *s == "3").count(), 2);
        assert_eq!(book.said.len(), 3, "{:?}", book.said);
    }

    #[test]
    fn without_an_identity_everything_goes_through() {
        let (mut book, identity) = (Notebook::default(), Labels::default());
        let mut guard = Guard::new(&mut book, &identity, TimestampMs(0));
        push(&mut guard, b"1", &[], 1.0);
        assert_eq!((guard.refused, guard.passed), (0, 1));
    }

    #[test]
    fn what_is_more_than_ten_minutes_ahead_is_left_out_and_counted() {
        let (mut book, identity) = (Notebook::default(), Labels::default());
        let now = TimestampMs(1_000_000);
        let mut guard = Guard::new(&mut book, &identity, now);
        guard.series(b"1", &[("__name__", "a")]);
        for (at, value) in [(0, 1.0), (1_600_000, 2.0), (1_600_001, 3.0), (i64::MAX, 4.0)] {
            guard.float(TimestampMs(at), value);
        }
        assert_eq!((guard.passed, guard.ahead, guard.refused), (2, 2, 0));
        assert_eq!(book.said[1..], ["1", "2"]);
    }
}
