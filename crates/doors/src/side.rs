//! What comes beside the samples: metadata, and exemplars with the labels of their series.
//!
//! A series that the store knows by its bytes comes without labels, but an exemplar needs them. So the first exemplar of
//! such a series is lost, and from then on the series is asked for its labels each time. Few series have exemplars.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use wellkept_model::{Exemplar, Histogram, Labels, Metadata, Sink, TimestampMs};

use crate::{ExemplarStore, MetadataStore};

/// Most series whose exemplars are taken.
const SERIES_MAX: usize = 100_000;

/// Series that bring exemplars, by their bytes on the wire.
#[derive(Debug, Default)]
pub(crate) struct Bearers {
    any: AtomicBool,
    wires: Mutex<HashMap<Box<[u8]>, ()>>,
}

impl Bearers {
    fn has(&self, wire: &[u8]) -> bool {
        self.any.load(Ordering::Relaxed)
            && self.wires.lock().unwrap_or_else(PoisonError::into_inner).contains_key(wire)
    }

    fn add(&self, wire: &[u8]) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        if wires.len() < SERIES_MAX {
            wires.insert(wire.into(), ());
            self.any.store(true, Ordering::Relaxed);
        }
    }
}

/// Passes samples on and keeps what comes beside them.
pub(crate) struct Side<'a, S> {
    pub(crate) inner: &'a mut S,
    pub(crate) bearers: &'a Bearers,
    pub(crate) metadata: &'a MetadataStore,
    pub(crate) exemplars: &'a ExemplarStore,
    /// Labels of the current series, when they are known here.
    labels: Option<Labels>,
    wire: Vec<u8>,
}

impl<'a, S: Sink> Side<'a, S> {
    pub(crate) fn new(
        inner: &'a mut S,
        bearers: &'a Bearers,
        metadata: &'a MetadataStore,
        exemplars: &'a ExemplarStore,
    ) -> Self {
        Self { inner, bearers, metadata, exemplars, labels: None, wire: Vec::new() }
    }
}

impl<S: Sink> Sink for Side<'_, S> {
    fn known(&mut self, wire: &[u8]) -> bool {
        if self.bearers.has(wire) || !self.inner.known(wire) {
            return false;
        }
        self.labels = None;
        self.wire.clear();
        self.wire.extend_from_slice(wire);
        true
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.inner.series(wire, labels);
        self.labels = Some(Labels::new(labels.iter().copied()));
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        self.inner.float(at, value);
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        self.inner.histogram(at, histogram);
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        match &self.labels {
            Some(series) => {
                let labels = Labels::new(labels.iter().copied());
                self.exemplars.put(Exemplar { series: series.clone(), labels, value, at });
            }
            None => self.bearers.add(&self.wire),
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.metadata.put(metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows every series by its bytes.
    struct KnowsAll;

    impl Sink for KnowsAll {
        fn known(&mut self, _: &[u8]) -> bool {
            true
        }

        fn series(&mut self, _: &[u8], _: &[(&str, &str)]) {}

        fn float(&mut self, _: TimestampMs, _: f64) {}

        fn histogram(&mut self, _: TimestampMs, _: Histogram) {}
    }

    #[test]
    fn a_series_with_exemplars_is_asked_for_its_labels_from_the_second_time_on() {
        let (bearers, metadata, exemplars) =
            (Bearers::default(), MetadataStore::default(), ExemplarStore::default());
        for round in 0..3 {
            let mut all = KnowsAll;
            let mut side = Side::new(&mut all, &bearers, &metadata, &exemplars);
            assert!(side.known(b"without"));
            assert_eq!(side.known(b"with"), round == 0);
            if round > 0 {
                side.series(b"with", &[("__name__", "a")]);
            }
            side.exemplar(TimestampMs(round), 1.0, &[("trace_id", "t")]);
        }
        let any = wellkept_model::Matcher::new("__name__", wellkept_model::MatchOp::Equal, "a").unwrap();
        let view = exemplars.view(&[vec![any]], TimestampMs(0), TimestampMs(9));
        assert_eq!(view[0]["exemplars"].as_array().map(Vec::len), Some(2));
    }
}
