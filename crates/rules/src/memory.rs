//! Series in memory, for unit tests of rules.

use std::collections::BTreeMap;

use wellkept_model::{
    Batch, HistogramSample, Labels, Matcher, Sample, SeriesData, SeriesSource, SourceError, SourceLimits,
    TimestampMs,
};

use crate::ask::Point;

/// Puts a value into a series; what stood at that instant is replaced.
pub(crate) fn put(series: &mut SeriesData, at: TimestampMs, value: &Point) {
    let floats = series.samples.partition_point(|s| s.at < at);
    let histograms = series.histograms.partition_point(|h| h.at < at);
    if series.samples.get(floats).is_some_and(|s| s.at == at) {
        series.samples.remove(floats);
    }
    if series.histograms.get(histograms).is_some_and(|h| h.at == at) {
        series.histograms.remove(histograms);
    }
    match value {
        Point::Float(value) => series.samples.insert(floats, Sample { at, value: *value }),
        Point::Histogram(histogram) => {
            series.histograms.insert(histograms, HistogramSample { at, histogram: histogram.clone() });
        }
    }
}

/// A small store. Samples later than [`Memory::until`] are not seen, as if they had not been scraped yet.
#[derive(Debug)]
pub(crate) struct Memory {
    series: BTreeMap<Labels, SeriesData>,
    /// The last instant that is seen.
    pub(crate) until: TimestampMs,
}

impl Default for Memory {
    fn default() -> Self {
        Self { series: BTreeMap::new(), until: TimestampMs(i64::MAX) }
    }
}

impl Memory {
    /// Adds a value; of two at one instant the last wins.
    pub(crate) fn add(&mut self, labels: &Labels, at: TimestampMs, value: &Point) {
        match self.series.get_mut(labels) {
            Some(series) => put(series, at, value),
            None => {
                let mut series = SeriesData { labels: labels.clone(), ..SeriesData::default() };
                put(&mut series, at, value);
                self.series.insert(labels.clone(), series);
            }
        }
    }

    /// Adds what a group gave.
    pub(crate) fn write(&mut self, batch: &Batch) {
        for (labels, value) in &batch.samples {
            self.add(labels, batch.at, &Point::Float(*value));
        }
        for (labels, histogram) in &batch.histograms {
            self.add(labels, batch.at, &Point::Histogram(histogram.clone()));
        }
    }

    fn found<'s>(
        &'s self,
        matchers: &'s [Matcher],
        from: TimestampMs,
        to: TimestampMs,
    ) -> impl Iterator<Item = SeriesData> {
        let to = to.min(self.until);
        let all = self.series.values();
        all.filter(|s| matchers.iter().all(|m| m.matches(s.labels.get(m.name())))).filter_map(move |series| {
            let samples = inside(&series.samples, |s| s.at, from, to).to_vec();
            let histograms = inside(&series.histograms, |h| h.at, from, to).to_vec();
            let there = !samples.is_empty() || !histograms.is_empty();
            there.then(|| SeriesData { labels: series.labels.clone(), samples, histograms })
        })
    }
}

/// The part of a sorted list between two instants, both included.
fn inside<T>(all: &[T], at: impl Fn(&T) -> TimestampMs, from: TimestampMs, to: TimestampMs) -> &[T] {
    let first = all.partition_point(|x| at(x) < from);
    let end = all.partition_point(|x| at(x) <= to);
    all.get(first..end).unwrap_or_default()
}

impl SeriesSource for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let mut samples = 0;
        let mut all = Vec::new();
        for series in self.found(matchers, from, to) {
            samples += series.samples.len() + series.histograms.len();
            if samples > limits.samples {
                return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
            }
            all.push(series);
        }
        Ok(all)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        _limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(self.found(matchers, from, to).map(|s| s.labels).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_a_float_or_a_histogram_and_the_last_wins() {
        let mut series = SeriesData::default();
        let histogram = Point::Histogram(std::sync::Arc::default());
        for (at, value) in
            [(2, &Point::Float(1.0)), (1, &histogram), (2, &histogram), (1, &Point::Float(3.0))]
        {
            put(&mut series, TimestampMs(at), value);
        }
        assert_eq!((series.samples.len(), series.histograms.len()), (1, 1));
        assert_eq!((series.samples[0].at, series.histograms[0].at), (TimestampMs(1), TimestampMs(2)));
    }
}
