//! What a group has given so far in one evaluation.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::Point;

use wellkept_model::{Batch, Labels, METRIC_NAME, MatchOp, Matcher, TimestampMs, is_stale, stale_marker};

/// Samples of one instant, each series once.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) at: TimestampMs,
    values: BTreeMap<Labels, Point>,
    /// Names of the metrics in `values`: most selectors ask for others and need not look.
    names: BTreeSet<String>,
}

impl Written {
    pub(crate) fn new(at: TimestampMs) -> Self {
        Self { at, values: BTreeMap::new(), names: BTreeSet::new() }
    }

    /// Adds a sample; a value wins over a stale marker. False when another rule gave another value.
    pub(crate) fn sample(&mut self, labels: &Labels, value: Point) -> bool {
        match self.values.get(labels) {
            Some(Point::Float(there)) if !is_stale(*there) => {
                matches!(value, Point::Float(v) if v.to_bits() == there.to_bits())
            }
            Some(there @ Point::Histogram(_)) => *there == value,
            _ => {
                self.insert(labels, value);
                true
            }
        }
    }

    /// Ends a series, unless another rule has given it a value.
    pub(crate) fn end(&mut self, labels: &Labels) {
        if !self.values.contains_key(labels) {
            self.insert(labels, Point::Float(stale_marker()));
        }
    }

    fn insert(&mut self, labels: &Labels, value: Point) {
        if !self.names.contains(labels.name()) {
            self.names.insert(labels.name().to_owned());
        }
        self.values.insert(labels.clone(), value);
    }

    /// The samples that a selection gives.
    pub(crate) fn matching<'s>(
        &'s self,
        matchers: &'s [Matcher],
    ) -> impl Iterator<Item = (&'s Labels, &'s Point)> {
        let elsewhere = matchers
            .iter()
            .any(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !self.names.contains(m.value()));
        let all = self.values.iter().filter(move |_| !elsewhere);
        all.filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(m.name()))))
    }

    pub(crate) fn into_batch(self, target: Labels) -> Batch {
        let mut batch = Batch { at: self.at, target, ..Batch::default() };
        for (labels, value) in self.values {
            match value {
                Point::Float(value) => batch.samples.push((labels, value)),
                Point::Histogram(histogram) => batch.histograms.push((labels, histogram)),
            }
        }
        batch
    }
}
