//! Which labels and metrics have how many series: the first question when memory or disk grow.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use wellkept_model::{METRIC_NAME, TimestampMs};

use crate::store::{State, Store};

/// One label name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCount {
    /// The name.
    pub name: String,
    /// Different values.
    pub values: usize,
    /// Series that have the label.
    pub series: u64,
    /// Bytes of all its values, each once.
    pub bytes: usize,
}

/// One metric name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricCount {
    /// The name.
    pub name: String,
    /// Series with that name.
    pub series: u64,
}

/// One label with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairCount {
    /// Name of the label.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Series that have both.
    pub series: u64,
}

/// Number of series in some stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesCount {
    /// Where the stretch begins.
    pub from: TimestampMs,
    /// Where it ends.
    pub to: TimestampMs,
    /// Series that have a sample in it; one that came from two targets counts twice.
    pub series: usize,
}

impl Store {
    /// The labels with the most different values, most first.
    #[must_use]
    pub fn top_labels(&self, n: usize) -> Vec<LabelCount> {
        let state = self.state();
        let count = |(name, values): (&str, Values<'_>)| {
            let mut label = LabelCount { name: name.to_owned(), values: 0, series: 0, bytes: 0 };
            for (value, series) in values {
                label.values += 1;
                label.series += series;
                label.bytes += value.len();
            }
            label
        };
        let all = state.registry.counts().map(|(name, values)| count((name, Box::new(values)))).collect();
        top(all, n, |l: &LabelCount| l.values as u64, |l| l.name.as_str())
    }

    /// The metrics with the most series, most first.
    #[must_use]
    pub fn top_metrics(&self, n: usize) -> Vec<MetricCount> {
        let state = self.state();
        let names =
            state.registry.counts().filter(|(name, _)| *name == METRIC_NAME).flat_map(|(_, values)| values);
        let all = names.map(|(name, series)| MetricCount { name: name.to_owned(), series }).collect();
        top(all, n, |m: &MetricCount| m.series, |m| m.name.as_str())
    }

    /// The label values with the most series, most first.
    #[must_use]
    pub fn top_pairs(&self, n: usize) -> Vec<PairCount> {
        let state = self.state();
        let mut all = Vec::new();
        for (name, values) in state.registry.counts() {
            let pairs = values.map(|(value, series)| PairCount {
                name: name.to_owned(),
                value: value.to_owned(),
                series,
            });
            all.extend(top(pairs.collect(), n, |p: &PairCount| p.series, |p| p.value.as_str()));
        }
        top(all, n, |p: &PairCount| p.series, |p| p.value.as_str())
    }

    /// How the number of series grew: one entry for each block of samples, oldest first, and one for the head.
    #[must_use]
    pub fn growth(&self) -> Vec<SeriesCount> {
        let state = self.state();
        let blocks = state.blocks.iter().filter(|b| b.header.resolution == 0).map(|b| SeriesCount {
            from: TimestampMs(b.header.min),
            to: TimestampMs(b.header.max),
            series: b.all_series().len(),
        });
        let mut all: Vec<SeriesCount> = blocks.collect();
        all.sort_by_key(|c| (c.to, c.from));
        if let Some((from, to)) = state.head.range {
            let series = state.head.groups().map(|g| g.ids.len()).sum();
            all.push(SeriesCount { from: TimestampMs(from), to: TimestampMs(to), series });
        }
        all
    }
}

/// Series of one metric, at two times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricGrowth {
    /// The metric's name.
    pub name: String,
    /// Series at the earlier time.
    pub before: u64,
    /// Series at the later time.
    pub now: u64,
}

impl Store {
    /// The metrics whose number of series changed most between two stretches of time, most first. A series counts when a
    /// block (or the head) that overlaps the stretch has it.
    #[must_use]
    pub fn metric_growth(
        &self,
        before: (TimestampMs, TimestampMs),
        now: (TimestampMs, TimestampMs),
        n: usize,
    ) -> Vec<MetricGrowth> {
        let state = self.state();
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for id in state.ids_in(before) {
            if let Some(labels) = state.registry.labels(id) {
                counts.entry(labels.name()).or_default().0 += 1;
            }
        }
        for id in state.ids_in(now) {
            if let Some(labels) = state.registry.labels(id) {
                counts.entry(labels.name()).or_default().1 += 1;
            }
        }
        let changed = counts.into_iter().filter(|(_, (before, now))| before != now);
        let all = changed.map(|(name, (before, now))| MetricGrowth { name: name.to_owned(), before, now });
        top(all.collect(), n, |m: &MetricGrowth| m.before.abs_diff(m.now), |m| m.name.as_str())
    }
}

impl State {
    fn ids_in(&self, (from, to): (TimestampMs, TimestampMs)) -> RoaringBitmap {
        let mut ids = RoaringBitmap::new();
        for block in self.blocks.iter().filter(|b| b.overlaps(from.0, to.0)) {
            ids.extend(block.all_series().iter().map(|s| s.id));
        }
        if self.head.range.is_some_and(|(first, last)| first <= to.0 && last >= from.0) {
            ids.extend(self.head.groups().flat_map(|g| g.ids.iter().copied()));
        }
        ids
    }
}

type Values<'a> = Box<dyn Iterator<Item = (&'a str, u64)> + 'a>;

fn top<T>(mut all: Vec<T>, n: usize, size: impl Fn(&T) -> u64, name: impl Fn(&T) -> &str) -> Vec<T> {
    all.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| name(a).cmp(name(b))));
    all.truncate(n);
    all
}
