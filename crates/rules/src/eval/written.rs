//! What a group has given so far in one evaluation.

use std::collections::BTreeMap;

use wellkept_model::{Batch, Labels, TimestampMs, is_stale, stale_marker};

/// Samples of one instant, each series once.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) at: TimestampMs,
    pub(crate) values: BTreeMap<Labels, f64>,
}

impl Written {
    pub(crate) fn new(at: TimestampMs) -> Self {
        Self { at, values: BTreeMap::new() }
    }

    /// Adds a sample; a value wins over a stale marker. False when another rule gave another value.
    pub(crate) fn sample(&mut self, labels: &Labels, value: f64) -> bool {
        match self.values.get(labels) {
            Some(there) if !is_stale(*there) => there.to_bits() == value.to_bits(),
            _ => {
                self.values.insert(labels.clone(), value);
                true
            }
        }
    }

    /// Ends a series, unless another rule has given it a value.
    pub(crate) fn end(&mut self, labels: &Labels) {
        self.values.entry(labels.clone()).or_insert_with(stale_marker);
    }

    pub(crate) fn into_batch(self, target: Labels) -> Batch {
        Batch { at: self.at, target, samples: self.values.into_iter().collect(), histograms: Vec::new() }
    }
}
