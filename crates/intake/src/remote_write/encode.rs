//! The sender's half: series in, a compressed request out.
//!
//! Histograms go out with float counts, which every receiver of native histograms takes; the store has no others.

use std::collections::HashMap;

use wellkept_model::{
    Exemplar, Histogram, HistogramSample, Labels, Metadata, MetricKind, ResetHint, Sample, Span,
};

use super::Version;
use crate::proto::Writer;

/// What is to be sent of one series.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutgoingSeries<'a> {
    /// Its labels; `None` sends nothing.
    pub labels: Option<&'a Labels>,
    /// Floats, oldest first.
    pub samples: &'a [Sample],
    /// Native histograms, oldest first.
    pub histograms: &'a [HistogramSample],
    /// Exemplars of this series.
    pub exemplars: &'a [Exemplar],
    /// Metadata of its family. 2.0 puts it beside the series, 1.0 into messages of its own.
    pub metadata: Option<&'a Metadata>,
}

/// Makes requests and keeps its buffers.
pub struct Encoder {
    message: Vec<u8>,
    packed: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { message: Vec::new(), packed: Vec::new(), snappy: snap::raw::Encoder::new() }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("kept_bytes", &self.message.capacity()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// A request with these series, packed with Snappy; valid until the next call.
    ///
    /// `series` is walked over twice for 2.0. Nothing when the message would be larger than Snappy can hold (4 GiB).
    pub fn encode<'a, I>(&mut self, version: Version, series: I) -> Option<&[u8]>
    where
        I: IntoIterator<Item = OutgoingSeries<'a>>,
    {
        self.message.clear();
        match version {
            Version::V1 => v1(&mut self.message, series),
            Version::V2 => v2(&mut self.message, series),
        }
        self.packed.resize(snap::raw::max_compress_len(self.message.len()), 0);
        let length = self.snappy.compress(&self.message, &mut self.packed).ok()?;
        self.packed.get(..length)
    }

    /// The message of the last call before it was packed.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }
}

fn v1<'a>(out: &mut Vec<u8>, series: impl IntoIterator<Item = OutgoingSeries<'a>>) {
    let mut w = Writer::new(out);
    for one in series {
        if let Some(labels) = one.labels {
            w.message(1, |w| {
                labels.iter().for_each(|(n, v)| label(w, n, v));
                one.samples.iter().for_each(|s| float(w, 2, s));
                for e in one.exemplars {
                    w.message(3, |w| {
                        e.labels.iter().for_each(|(n, v)| label(w, n, v));
                        w.double(2, e.value);
                        w.int(3, e.at.0);
                    });
                }
                one.histograms.iter().for_each(|h| w.message(4, |w| histogram(w, h.at.0, &h.histogram)));
            });
        }
        if let Some(m) = one.metadata {
            w.message(3, |w| {
                w.uint(1, kind(m.kind));
                w.bytes(2, m.family.as_bytes());
                w.bytes(4, m.help.as_bytes());
                w.bytes(5, m.unit.as_bytes());
            });
        }
    }
}

/// Strings of a request in the order of their first use; the empty one is always the first.
struct Symbols<'a> {
    numbers: HashMap<&'a str, u64>,
    order: Vec<&'a str>,
}

impl<'a> Symbols<'a> {
    fn number(&mut self, text: &'a str) -> u64 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.order.push(text);
            self.order.len() as u64 - 1
        })
    }

    fn pairs(&mut self, labels: &'a Labels) -> Vec<u64> {
        labels.iter().flat_map(|(n, v)| [n, v]).map(|text| self.number(text)).collect()
    }
}

fn v2<'a>(out: &mut Vec<u8>, series: impl IntoIterator<Item = OutgoingSeries<'a>>) {
    let mut symbols = Symbols { numbers: HashMap::from([("", 0)]), order: vec![""] };
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body);
    for one in series {
        let Some(labels) = one.labels else { continue };
        let refs = symbols.pairs(labels);
        let exemplars: Vec<_> = one.exemplars.iter().map(|e| (symbols.pairs(&e.labels), e)).collect();
        let metadata = one.metadata.map(|m| (kind(m.kind), symbols.number(&m.help), symbols.number(&m.unit)));
        w.message(5, |w| {
            w.packed(1, refs);
            one.samples.iter().for_each(|s| float(w, 2, s));
            one.histograms.iter().for_each(|h| w.message(3, |w| histogram(w, h.at.0, &h.histogram)));
            for (refs, e) in exemplars {
                w.message(4, |w| {
                    w.packed(1, refs);
                    w.double(2, e.value);
                    w.int(3, e.at.0);
                });
            }
            if let Some((kind, help, unit)) = metadata {
                w.message(5, |w| {
                    w.uint(1, kind);
                    w.uint(3, help);
                    w.uint(4, unit);
                });
            }
        });
    }
    let mut w = Writer::new(out);
    symbols.order.iter().for_each(|text| w.bytes(4, text.as_bytes()));
    out.append(&mut body);
}

fn label(w: &mut Writer<'_>, name: &str, value: &str) {
    w.message(1, |w| {
        w.bytes(1, name.as_bytes());
        w.bytes(2, value.as_bytes());
    });
}

fn float(w: &mut Writer<'_>, number: u32, sample: &Sample) {
    w.message(number, |w| {
        w.double(1, sample.value);
        w.int(2, sample.at.0);
    });
}

fn histogram(w: &mut Writer<'_>, at_ms: i64, h: &Histogram) {
    w.double(2, h.count);
    w.double(3, h.sum);
    w.sint(4, i64::from(h.schema));
    w.double(5, h.zero_threshold);
    w.double(7, h.zero_count);
    spans(w, 8, &h.negative_spans);
    w.packed_doubles(10, &h.negative);
    spans(w, 11, &h.positive_spans);
    w.packed_doubles(13, &h.positive);
    w.uint(
        14,
        match h.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NoReset => 2,
            ResetHint::Gauge => 3,
        },
    );
    w.int(15, at_ms);
    w.packed_doubles(16, &h.custom_values);
}

fn spans(w: &mut Writer<'_>, number: u32, spans: &[Span]) {
    for span in spans {
        w.message(number, |w| {
            w.sint(1, i64::from(span.offset));
            w.uint(2, u64::from(span.length));
        });
    }
}

fn kind(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Unknown => 0,
        MetricKind::Counter => 1,
        MetricKind::Gauge => 2,
        MetricKind::Histogram => 3,
        MetricKind::GaugeHistogram => 4,
        MetricKind::Summary => 5,
        MetricKind::Info => 6,
        MetricKind::StateSet => 7,
    }
}
