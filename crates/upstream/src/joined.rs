//! Two sources as one: what this host keeps itself, and what the user's server has.

use std::sync::Arc;

use wellkept_model::{
    Aggregate, Hints, Labels, MatchOp, Matcher, Selected, SeriesData, SeriesSource, SourceError,
    SourceLimits, TimestampMs, is_stale,
};

/// Our own store joined with another source. A selection that names our own identity by `=` is answered from our store
/// alone, so that the view of this host stays when the other source is away; any other one needs both.
pub struct Joined {
    own: Arc<dyn SeriesSource>,
    identity: Labels,
    other: Arc<dyn SeriesSource>,
}

impl Joined {
    /// `identity`: the labels that all series of our own collection carry.
    #[must_use]
    pub fn new(own: Arc<dyn SeriesSource>, identity: Labels, other: Arc<dyn SeriesSource>) -> Self {
        Self { own, identity, other }
    }

    fn is_own(&self, matchers: &[Matcher]) -> bool {
        let named = |name: &str, value: &str| {
            matchers.iter().any(|m| m.op() == MatchOp::Equal && m.name() == name && m.value() == value)
        };
        !self.identity.is_empty() && self.identity.iter().all(|(n, v)| named(n, v))
    }
}

impl SeriesSource for Joined {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        Ok(self.select_hinted(matchers, from, to, &Hints::default(), limits)?.series)
    }

    fn select_hinted(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        hints: &Hints,
        limits: &SourceLimits,
    ) -> Result<Selected, SourceError> {
        let mut out = self.own.select_hinted(matchers, from, to, hints, limits)?;
        if self.is_own(matchers) {
            return Ok(out);
        }
        let taken: usize = out.series.iter().map(|s| s.samples.len()).sum();
        let rest = left(limits, out.series.len(), taken);
        let mut other = self.other.select(matchers, from, to, &rest)?;
        if out.aggregate == Aggregate::Count {
            // The other server's samples are all as they came.
            let samples = other.iter_mut().flat_map(|s| &mut s.samples);
            samples.filter(|s| !is_stale(s.value)).for_each(|s| s.value = 1.0);
        }
        out.series.extend(other);
        // Stable: of a series that both have, ours comes first and is kept.
        out.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        out.series.dedup_by(|later, kept| later.labels == kept.labels);
        Ok(out)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        let mut out = self.own.series(matchers, from, to, limits)?;
        if self.is_own(matchers) {
            return Ok(out);
        }
        out.extend(self.other.series(matchers, from, to, &left(limits, out.len(), 0))?);
        out.sort();
        out.dedup();
        Ok(out)
    }
}

/// What the second source may still give.
fn left(limits: &SourceLimits, series: usize, samples: usize) -> SourceLimits {
    SourceLimits {
        series: limits.series.saturating_sub(series),
        samples: limits.samples.saturating_sub(samples),
        time: limits.time,
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("identity", &self.identity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::Sample;

    use super::*;

    struct Fixed(Result<Vec<SeriesData>, ()>);

    impl SeriesSource for Fixed {
        fn select(
            &self,
            _: &[Matcher],
            _: TimestampMs,
            _: TimestampMs,
            limits: &SourceLimits,
        ) -> Result<Vec<SeriesData>, SourceError> {
            let all = self.0.clone().map_err(|()| SourceError::TooMuch { what: "milliseconds", limit: 1 })?;
            if all.len() > limits.series {
                return Err(SourceError::TooMuch { what: "series", limit: limits.series });
            }
            Ok(all)
        }

        fn series(
            &self,
            m: &[Matcher],
            from: TimestampMs,
            to: TimestampMs,
            limits: &SourceLimits,
        ) -> Result<Vec<Labels>, SourceError> {
            Ok(self.select(m, from, to, limits)?.into_iter().map(|s| s.labels).collect())
        }
    }

    fn series(name: &str, value: f64) -> SeriesData {
        SeriesData::floats(Labels::metric(name, []), vec![Sample { at: TimestampMs(1), value }])
    }

    fn joined(other: Result<Vec<SeriesData>, ()>) -> Joined {
        let own = Fixed(Ok(vec![series("b", 1.0)]));
        Joined::new(Arc::new(own), Labels::new([("instance", "me")]), Arc::new(Fixed(other)))
    }

    fn select(source: &Joined, matchers: &[Matcher], series: usize) -> Result<Vec<SeriesData>, SourceError> {
        let limits = SourceLimits { series, ..SourceLimits::default() };
        source.select(matchers, TimestampMs(0), TimestampMs(9), &limits)
    }

    #[test]
    fn both_are_given_in_order_and_ours_wins() {
        let source = joined(Ok(vec![series("a", 2.0), series("b", 2.0)]));
        let got = select(&source, &[], 10).unwrap();
        assert_eq!(got, [series("a", 2.0), series("b", 1.0)]);
        let names = source.series(&[], TimestampMs(0), TimestampMs(9), &SourceLimits::default()).unwrap();
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn our_own_series_are_there_while_the_other_is_away() {
        let source = joined(Err(()));
        let own = [Matcher::new("instance", MatchOp::Equal, "me").unwrap()];
        assert_eq!(select(&source, &own, 10).unwrap().len(), 1);
        assert!(select(&source, &[], 10).is_err(), "half an answer would be a wrong one");
    }

    #[test]
    fn the_limits_hold_for_both_together() {
        let source = joined(Ok(vec![series("a", 2.0), series("c", 2.0)]));
        assert!(select(&source, &[], 3).is_ok());
        assert!(select(&source, &[], 2).is_err());
    }
}
