//! Samples of one series while they are gathered from blocks, chunks and rows.

use wellkept_model::{Aggregate, HistogramSample, Labels, Sample, SeriesData, TimestampMs, is_stale};

use crate::rollup;

/// Samples of one series while they are gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) samples: Vec<Sample>,
    pub(crate) histograms: Vec<HistogramSample>,
    /// Consolidated rows that are not samples yet.
    pub(crate) rows: Vec<rollup::Row>,
    /// The first of them, when all are.
    first_row: Option<rollup::Row>,
    /// Some came out of order: pieces overlap.
    mixed: bool,
}

impl Gathered {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// Time of the first sample.
    pub(crate) fn first(&self) -> Option<i64> {
        let (float, histogram) =
            (self.samples.first().map(|s| s.at.0), self.histograms.first().map(|h| h.at.0));
        float.into_iter().chain(histogram).min()
    }

    /// Time of the last sample.
    pub(crate) fn last(&self) -> Option<i64> {
        self.samples.last().map(|s| s.at.0).max(self.histograms.last().map(|h| h.at.0))
    }

    /// Makes each sample count as one.
    pub(crate) fn count_each(&mut self) {
        self.samples.iter_mut().filter(|s| !is_stale(s.value)).for_each(|s| s.value = 1.0);
    }

    /// Samples that are all later.
    pub(crate) fn append(&mut self, later: Self) {
        self.samples.extend(later.samples);
        self.histograms.extend(later.histograms);
    }

    /// Samples that are all earlier.
    pub(crate) fn prepend(&mut self, mut earlier: Self, aggregate: Aggregate) {
        let first = self.first_row.zip(self.samples.first().copied());
        if let (Aggregate::Counter, Some((row, mine)), Some(last)) =
            (aggregate, first, earlier.samples.last().copied())
        {
            // Both ends of a counter made of rows are moved to where they meet.
            let shift = mine.value - row.growth_after(last.value) - last.value;
            earlier.samples.iter_mut().for_each(|s| s.value += shift);
        }
        earlier.append(std::mem::take(self));
        *self = earlier;
    }

    pub(crate) fn float(&mut self, at: i64, value: f64) {
        self.mixed |= self.samples.last().is_some_and(|s| s.at.0 >= at);
        self.samples.push(Sample { at: TimestampMs(at), value });
    }

    pub(crate) fn histogram(&mut self, sample: HistogramSample) {
        self.mixed |= self.histograms.last().is_some_and(|s| s.at >= sample.at);
        self.histograms.push(sample);
    }

    /// Puts the pieces in order; of equal times the last one holds.
    pub(crate) fn settle(&mut self, aggregate: Aggregate) {
        if !self.rows.is_empty() {
            let mut rows = std::mem::take(&mut self.rows);
            rows.sort_by_key(|r| r.at);
            keep_last(&mut rows, |r| TimestampMs(r.at));
            self.first_row = rows.first().copied();
            for (at, value) in rollup::values(&rows, aggregate) {
                self.float(at, value);
            }
        }
        if self.mixed {
            self.samples.sort_by_key(|s| s.at);
            keep_last(&mut self.samples, |s| s.at);
            self.histograms.sort_by_key(|s| s.at);
            keep_last(&mut self.histograms, |s| s.at);
        }
        if !self.samples.is_empty() && !self.histograms.is_empty() {
            let histograms = &self.histograms;
            self.samples.retain(|s| histograms.binary_search_by_key(&s.at, |h| h.at).is_err());
        }
    }

    pub(crate) fn into_series(self, labels: Labels) -> SeriesData {
        SeriesData { labels, samples: self.samples, histograms: self.histograms }
    }
}

fn keep_last<T>(items: &mut Vec<T>, key: impl Fn(&T) -> TimestampMs) {
    items.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}
