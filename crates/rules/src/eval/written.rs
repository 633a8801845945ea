//! What a group has given so far in one evaluation.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::{Batch, Labels, METRIC_NAME, MatchOp, Matcher, TimestampMs, is_stale, stale_marker};

/// Samples of one instant, each series once.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) at: TimestampMs,
    values: BTreeMap<Labels, f64>,
    /// Names of the metrics in `values`: most selectors ask for others and need not look.
    names: BTreeSet<String>,
}

impl Written {
    pub(crate) fn new(at: TimestampMs) -> Self {
        Self { at, values: BTreeMap::new(), names: BTreeSet::new() }
    }

    /// Adds a sample; a value wins over a stale marker. False when another rule gave another value.
    pub(crate) fn sample(&mut self, labels: &Labels, value: f64) -> bool {
        match self.values.get(labels) {
            Some(there) if !is_stale(*there) => there.to_bits() == value.to_bits(),
            _ => {
                self.insert(labels, value);
                true
            }
        }
    }

    /// Ends a series, unless another rule has given it a value.
    pub(crate) fn end(&mut self, labels: &Labels) {
        if !self.values.contains_key(labels) {
            self.insert(labels, stale_marker());
        }
    }

    fn insert(&mut self, labels: &Labels, value: f64) {
        if !self.names.contains(labels.name()) {
            self.names.insert(labels.name().to_owned());
        }
        self.values.insert(labels.clone(), value);
    }

    /// The samples that a selection gives.
    pub(crate) fn matching<'s>(&'s self, matchers: &'s [Matcher]) -> impl Iterator<Item = (&'s Labels, f64)> {
        let elsewhere = matchers
            .iter()
            .any(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !self.names.contains(m.value()));
        let all = self.values.iter().filter(move |_| !elsewhere);
        all.filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(m.name()))))
            .map(|(l, v)| (l, *v))
    }

    pub(crate) fn into_batch(self, target: Labels) -> Batch {
        Batch { at: self.at, target, samples: self.values.into_iter().collect(), histograms: Vec::new() }
    }
}
