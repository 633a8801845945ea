//! Which labels and metrics have how many series: the first question when memory or disk grow.

use wellkept_model::{METRIC_NAME, TimestampMs};

use crate::store::Store;

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

type Values<'a> = Box<dyn Iterator<Item = (&'a str, u64)> + 'a>;

fn top<T>(mut all: Vec<T>, n: usize, size: impl Fn(&T) -> u64, name: impl Fn(&T) -> &str) -> Vec<T> {
    all.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| name(a).cmp(name(b))));
    all.truncate(n);
    all
}
