//! The borders of this crate: who reads answers, who writes requests, and who takes what was scraped.
//!
//! These are traits because their implementations live in crates that this one does not know: formats in a pure crate
//! beside the model, stores above.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wellkept_model::{
    Batch, Exemplar, Histogram, HistogramSample, Labels, Metadata, Sample, Sink, TimestampMs,
};

use crate::config::WireVersion;

/// A future that a trait object can return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One answer of a target.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Without compression.
    pub body: &'a [u8],
    /// One of those that were asked for, such as `text/plain;version=0.0.4`; see
    /// [`crate::config::Protocol::media_type`].
    pub media_type: &'static str,
    /// Time of samples that have none of their own.
    pub at: TimestampMs,
    /// Whether the classic buckets of a native histogram are wanted beside it.
    pub classic_too: bool,
}

/// Reads what one target answers, scrape after scrape; it may keep buffers.
pub trait Parser: Send + 'static {
    /// Gives every sample of the page to `sink`.
    ///
    /// What has reached the sink before an error is thrown away by the caller.
    ///
    /// # Errors
    /// In words, when the body is not of that format.
    fn parse(&mut self, page: &Page<'_>, sink: &mut dyn Sink) -> Result<(), String>;
}

/// One series with what is to be sent of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outgoing {
    /// Its labels.
    pub labels: Labels,
    /// Floats in order of time.
    pub samples: Vec<Sample>,
    /// Native histograms in order of time.
    pub histograms: Vec<HistogramSample>,
}

/// Makes a parser for a target.
pub type NewParser = Arc<dyn Fn() -> Box<dyn Parser> + Send + Sync>;

/// Writes remote write requests for one receiver; it may keep buffers.
pub trait Encoder: Send + 'static {
    /// The body of one request, compressed with snappy's block format as the protocol wants it; `None` when these
    /// series cannot be sent.
    fn encode(&mut self, version: WireVersion, series: &[Outgoing]) -> Option<Vec<u8>>;
}

/// Makes an encoder for a receiver.
pub type NewEncoder = Arc<dyn Fn() -> Box<dyn Encoder> + Send + Sync>;

/// What one scrape gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scraped {
    /// All that belongs to the instant of the scrape: samples, the automatic series (`up` and others), and stale
    /// markers for series that have gone. Every series at most once.
    pub batch: Batch,
    /// Samples that came with a time of their own, which the configuration honors.
    pub stamped: Vec<(Labels, Sample)>,
    /// The same for native histograms.
    pub stamped_histograms: Vec<(Labels, HistogramSample)>,
    /// Exemplars.
    pub exemplars: Vec<Exemplar>,
    /// Metric families that are new or are described differently than in the scrape before.
    pub metadata: Vec<Metadata>,
}

impl Scraped {
    /// Number of samples of all kinds.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.batch.samples.len()
            + self.batch.histograms.len()
            + self.stamped.len()
            + self.stamped_histograms.len()
    }

    /// Gives all of it to a sink, series by series.
    pub fn feed(&self, sink: &mut dyn Sink) {
        let series = |sink: &mut dyn Sink, labels: &Labels| {
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            sink.series(&[], &pairs);
        };
        for (labels, value) in &self.batch.samples {
            series(sink, labels);
            sink.float(self.batch.at, *value);
        }
        for (labels, histogram) in &self.batch.histograms {
            series(sink, labels);
            sink.histogram(self.batch.at, Histogram::clone(histogram));
        }
        for (labels, sample) in &self.stamped {
            series(sink, labels);
            sink.float(sample.at, sample.value);
        }
        for (labels, sample) in &self.stamped_histograms {
            series(sink, labels);
            sink.histogram(sample.at, Histogram::clone(&sample.histogram));
        }
        for exemplar in &self.exemplars {
            series(sink, &exemplar.series);
            let pairs: Vec<(&str, &str)> = exemplar.labels.iter().collect();
            sink.exemplar(exemplar.at, exemplar.value, &pairs);
        }
        self.metadata.iter().for_each(|m| sink.metadata(m.clone()));
    }
}

/// Takes what was scraped.
pub trait Outlet: Send + Sync + 'static {
    /// Stores it. The target waits for this before it is scraped again, so that a slow store slows its sources.
    fn put(&self, scraped: Scraped) -> Pending<'_, Result<(), String>>;
}
