//! Series in memory, for unit tests of rules.

use std::collections::BTreeMap;

use wellkept_model::{
    Batch, Labels, Matcher, Sample, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs,
};

/// A small store. Samples later than [`Memory::until`] are not seen, as if they had not been scraped yet.
#[derive(Debug)]
pub(crate) struct Memory {
    series: BTreeMap<Labels, Vec<Sample>>,
    /// The last instant that is seen.
    pub(crate) until: TimestampMs,
}

impl Default for Memory {
    fn default() -> Self {
        Self { series: BTreeMap::new(), until: TimestampMs(i64::MAX) }
    }
}

impl Memory {
    /// Adds a sample; of two at one instant the last wins.
    pub(crate) fn add(&mut self, labels: &Labels, sample: Sample) {
        let samples = match self.series.get_mut(labels) {
            Some(samples) => samples,
            None => self.series.entry(labels.clone()).or_default(),
        };
        let place = samples.partition_point(|s| s.at < sample.at);
        match samples.get_mut(place) {
            Some(same) if same.at == sample.at => *same = sample,
            _ => samples.insert(place, sample),
        }
    }

    /// Adds what a group gave.
    pub(crate) fn write(&mut self, batch: &Batch) {
        for (labels, value) in &batch.samples {
            self.add(labels, Sample { at: batch.at, value: *value });
        }
    }

    fn found<'s>(
        &'s self,
        matchers: &'s [Matcher],
        from: TimestampMs,
        to: TimestampMs,
    ) -> impl Iterator<Item = (&'s Labels, &'s [Sample])> {
        let to = to.min(self.until);
        self.series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(m.name()))))
            .filter_map(move |(labels, samples)| {
                let first = samples.partition_point(|s| s.at < from);
                let end = samples.partition_point(|s| s.at <= to);
                let inside = samples.get(first..end).filter(|s| !s.is_empty())?;
                Some((labels, inside))
            })
    }
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
        for (labels, inside) in self.found(matchers, from, to) {
            samples += inside.len();
            if samples > limits.samples {
                return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
            }
            all.push(SeriesData::floats(labels.clone(), inside.to_vec()));
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
        Ok(self.found(matchers, from, to).map(|(labels, _)| labels.clone()).collect())
    }
}
