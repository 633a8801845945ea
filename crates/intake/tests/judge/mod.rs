//! A sink that holds a decoder to its word; the fuzz targets use it too.

pub mod bodies;
pub mod doors;

use std::collections::HashMap;

use wellkept_model::{Histogram, Metadata, Sink, TimestampMs};

/// Keys whose labels are compared; more are not remembered.
const KEYS_MAX: usize = 10_000;

/// Panics when a decoder breaks a rule of [`Sink`].
#[derive(Debug, Default)]
pub struct Judge {
    /// Floats and histograms that were handed on.
    pub samples: u64,
    current: bool,
    keys: HashMap<Vec<u8>, Vec<(String, String)>>,
    /// Whether keys are recognised, or only compared.
    pub recognises: bool,
}

impl Sink for Judge {
    fn known(&mut self, wire: &[u8]) -> bool {
        assert!(!wire.is_empty(), "an empty key names nothing");
        let known = self.recognises && self.keys.contains_key(wire);
        self.current |= known;
        known
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        assert!(!labels.is_empty() && labels.len() <= 256, "{} labels", labels.len());
        self.current = true;
        if wire.is_empty() || self.keys.len() >= KEYS_MAX {
            return;
        }
        let labels: Vec<_> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let before = self.keys.entry(wire.to_vec()).or_insert_with(|| labels.clone());
        assert_eq!(*before, labels, "one key, two series");
    }

    fn float(&mut self, _: TimestampMs, _: f64) {
        assert!(self.current, "a sample before any series");
        self.samples += 1;
    }

    fn histogram(&mut self, _: TimestampMs, h: Histogram) {
        assert!(self.current, "a histogram before any series");
        assert_eq!(h.positive_spans.iter().map(|s| s.length as usize).sum::<usize>(), h.positive.len());
        assert_eq!(h.negative_spans.iter().map(|s| s.length as usize).sum::<usize>(), h.negative.len());
        self.samples += 1;
    }

    fn exemplar(&mut self, _: TimestampMs, _: f64, _: &[(&str, &str)]) {
        assert!(self.current, "an exemplar before any series");
    }

    fn created(&mut self, _: TimestampMs) {
        assert!(self.current, "a beginning before any series");
    }

    fn metadata(&mut self, metadata: Metadata) {
        assert!(!metadata.family.is_empty());
    }
}
