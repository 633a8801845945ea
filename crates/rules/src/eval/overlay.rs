//! A source with what the group has just given laid over it.

use wellkept_model::{
    Aggregate, Hints, Labels, Matcher, Selected, SeriesData, SeriesSource, SourceError, SourceLimits,
    TimestampMs,
};

use super::written::Written;
use crate::ask::Point;
use crate::memory::put;

/// The store as it will be when the batch has been written.
pub(crate) struct Overlay<'a> {
    pub(crate) base: &'a dyn SeriesSource,
    pub(crate) written: &'a Written,
}

impl Overlay<'_> {
    fn matching<'s>(
        &'s self,
        matchers: &'s [Matcher],
        from: TimestampMs,
        to: TimestampMs,
    ) -> impl Iterator<Item = (&'s Labels, &'s Point)> {
        let inside = (from..=to).contains(&self.written.at);
        inside.then(|| self.written.matching(matchers)).into_iter().flatten()
    }
}

impl SeriesSource for Overlay<'_> {
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
        let mut selected = self.base.select_hinted(matchers, from, to, hints, limits)?;
        let series = &mut selected.series;
        let stored = series.len();
        for (labels, value) in self.matching(matchers, from, to) {
            let counted = Point::Float(1.0);
            let value = if selected.aggregate == Aggregate::Count { &counted } else { value };
            let found = series.get(..stored).and_then(|s| s.binary_search_by(|s| s.labels.cmp(labels)).ok());
            match found.and_then(|i| series.get_mut(i)) {
                Some(there) => put(there, self.written.at, value),
                None => {
                    let mut fresh = SeriesData { labels: labels.clone(), ..SeriesData::default() };
                    put(&mut fresh, self.written.at, value);
                    series.push(fresh);
                }
            }
        }
        if series.len() > stored {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(selected)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        let mut labels = self.base.series(matchers, from, to, limits)?;
        labels.extend(self.matching(matchers, from, to).map(|(l, _)| l.clone()));
        labels.sort();
        labels.dedup();
        Ok(labels)
    }
}
