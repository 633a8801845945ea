//! A sink for tests: writes down what it is given, and knows a series again by its key.

use std::collections::HashMap;

use wellkept_model::{Histogram, Labels, Metadata, Sink, TimestampMs};

/// What a decoder said, in order.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// `series time value`, and `series time histogram …`, one per sample.
    pub(crate) samples: Vec<String>,
    pub(crate) histograms: Vec<(Labels, TimestampMs, Histogram)>,
    pub(crate) exemplars: Vec<String>,
    pub(crate) created: Vec<String>,
    pub(crate) metadata: Vec<Metadata>,
    /// How often a series was known by its key.
    pub(crate) known: usize,
    keys: HashMap<Vec<u8>, Labels>,
    current: Labels,
}

impl Sink for Recorder {
    fn known(&mut self, wire: &[u8]) -> bool {
        let Some(labels) = self.keys.get(wire) else { return false };
        self.current = labels.clone();
        self.known += 1;
        true
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.current = Labels::new(labels.iter().copied());
        if !wire.is_empty() {
            self.keys.insert(wire.to_vec(), self.current.clone());
        }
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        let value = if wellkept_model::is_stale(value) { "stale".to_owned() } else { value.to_string() };
        self.samples.push(format!("{} {at} {value}", self.current));
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        self.histograms.push((self.current.clone(), at, histogram));
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        self.exemplars.push(format!("{} {at} {value} {}", self.current, Labels::new(labels.iter().copied())));
    }

    fn created(&mut self, at: TimestampMs) {
        self.created.push(format!("{} {at}", self.current));
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.metadata.push(metadata);
    }
}
