//! Pushed samples for others beside the store: receivers to which they are sent on.

use wellkept_model::{Histogram, HistogramSample, Labels, Metadata, Sample, SeriesData, Sink, TimestampMs};

/// Takes what was pushed, once it is stored.
pub trait Tap: Send + Sync {
    /// Whether anybody wants it: collecting it costs as much as storing it.
    fn is_open(&self) -> bool;

    /// Takes the samples of one body. Never waits.
    fn take(&self, series: Vec<SeriesData>);
}

/// A sink that collects what it passes on. It wants the labels of every series, also of those that the inner one knows by
/// their bytes.
pub(crate) struct Tee<'a, S> {
    inner: &'a mut S,
    pub(crate) series: Vec<SeriesData>,
}

impl<'a, S: Sink> Tee<'a, S> {
    pub(crate) fn new(inner: &'a mut S) -> Self {
        Self { inner, series: Vec::new() }
    }
}

impl<S: Sink> Sink for Tee<'_, S> {
    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        if !self.inner.known(wire) {
            self.inner.series(wire, labels);
        }
        let labels = Labels::new(labels.iter().copied());
        self.series.push(SeriesData { labels, ..SeriesData::default() });
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        if let Some(series) = self.series.last_mut() {
            series.samples.push(Sample { at, value });
        }
        self.inner.float(at, value);
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        if let Some(series) = self.series.last_mut() {
            series.histograms.push(HistogramSample { at, histogram: histogram.clone().into() });
        }
        self.inner.histogram(at, histogram);
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        self.inner.exemplar(at, value, labels);
    }

    fn created(&mut self, at: TimestampMs) {
        self.inner.created(at);
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.inner.metadata(metadata);
    }
}
