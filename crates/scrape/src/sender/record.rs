//! Series as bytes, for the queue on disk. The format is described in `docs/formats/send-queue.md`.
//!
//! What is read back may be damaged although its checksum fits (an old version, a bug), so every length is compared with
//! what is left before memory is given.

use std::sync::Arc;

use wellkept_model::{Histogram, HistogramSample, Labels, ResetHint, Sample, Span, TimestampMs};

use crate::seam::Outgoing;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record cannot be read")]
pub(super) struct Damaged;

/// Most series that a record is believed to hold.
const SERIES_MAX: u32 = 10_000_000;

/// Writes series one after the other.
pub(super) fn encode(series: &[Outgoing]) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, series.len());
    for one in series {
        count(&mut out, one.labels.len());
        for (name, value) in one.labels.iter() {
            text(&mut out, name);
            text(&mut out, value);
        }
        count(&mut out, one.samples.len());
        for sample in &one.samples {
            out.extend_from_slice(&sample.at.0.to_le_bytes());
            float(&mut out, sample.value);
        }
        count(&mut out, one.histograms.len());
        for sample in &one.histograms {
            out.extend_from_slice(&sample.at.0.to_le_bytes());
            histogram(&mut out, &sample.histogram);
        }
    }
    out
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Bit by bit, so that stale markers survive.
fn float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn histogram(out: &mut Vec<u8>, h: &Histogram) {
    out.extend_from_slice(&h.schema.to_le_bytes());
    for value in [h.zero_threshold, h.zero_count, h.count, h.sum] {
        float(out, value);
    }
    for spans in [&h.positive_spans, &h.negative_spans] {
        count(out, spans.len());
        for span in spans {
            out.extend_from_slice(&span.offset.to_le_bytes());
            out.extend_from_slice(&span.length.to_le_bytes());
        }
    }
    for values in [&h.positive, &h.negative, &h.custom_values] {
        count(out, values.len());
        values.iter().for_each(|v| float(out, *v));
    }
    out.push(match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NoReset => 2,
        ResetHint::Gauge => 3,
    });
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Outgoing>, Damaged> {
    let mut r = Reader(bytes);
    let series = r.count(12)?;
    if series > SERIES_MAX {
        return Err(Damaged);
    }
    let series = (0..series).map(|_| r.series()).collect::<Result<_, _>>()?;
    if r.0.is_empty() { Ok(series) } else { Err(Damaged) }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*head)
    }

    /// A number of things of which each takes at least `size` bytes.
    fn count(&mut self, size: usize) -> Result<u32, Damaged> {
        let count = u32::from_le_bytes(self.take()?);
        let needed = (count as usize).checked_mul(size).ok_or(Damaged)?;
        if needed > self.0.len() { Err(Damaged) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<&'b str, Damaged> {
        let len = self.count(1)? as usize;
        let (head, rest) = self.0.split_at_checked(len).ok_or(Damaged)?;
        self.0 = rest;
        std::str::from_utf8(head).map_err(|_| Damaged)
    }

    fn float(&mut self) -> Result<f64, Damaged> {
        Ok(f64::from_bits(u64::from_le_bytes(self.take()?)))
    }

    fn at(&mut self) -> Result<TimestampMs, Damaged> {
        Ok(TimestampMs(i64::from_le_bytes(self.take()?)))
    }

    fn series(&mut self) -> Result<Outgoing, Damaged> {
        let labels = self.count(8)?;
        let labels: Vec<_> =
            (0..labels).map(|_| Ok((self.text()?, self.text()?))).collect::<Result<_, _>>()?;
        let samples = self.count(16)?;
        let samples = (0..samples)
            .map(|_| Ok(Sample { at: self.at()?, value: self.float()? }))
            .collect::<Result<_, _>>()?;
        let histograms = self.count(8)?;
        let histograms = (0..histograms)
            .map(|_| Ok(HistogramSample { at: self.at()?, histogram: Arc::new(self.histogram()?) }))
            .collect::<Result<_, _>>()?;
        Ok(Outgoing { labels: Labels::new(labels), samples, histograms })
    }

    fn histogram(&mut self) -> Result<Histogram, Damaged> {
        Ok(Histogram {
            schema: i32::from_le_bytes(self.take()?),
            zero_threshold: self.float()?,
            zero_count: self.float()?,
            count: self.float()?,
            sum: self.float()?,
            positive_spans: self.spans()?,
            negative_spans: self.spans()?,
            positive: self.floats()?,
            negative: self.floats()?,
            custom_values: self.floats()?,
            reset_hint: match self.take::<1>()? {
                [0] => ResetHint::Unknown,
                [1] => ResetHint::Reset,
                [2] => ResetHint::NoReset,
                [3] => ResetHint::Gauge,
                _ => return Err(Damaged),
            },
        })
    }

    fn spans(&mut self) -> Result<Vec<Span>, Damaged> {
        let count = self.count(8)?;
        let span = |r: &mut Self| {
            Ok(Span { offset: i32::from_le_bytes(r.take()?), length: u32::from_le_bytes(r.take()?) })
        };
        (0..count).map(|_| span(self)).collect()
    }

    fn floats(&mut self) -> Result<Vec<f64>, Damaged> {
        let count = self.count(8)?;
        (0..count).map(|_| self.float()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Vec<Outgoing> {
        let histogram = Histogram {
            schema: 3,
            count: 7.0,
            sum: 1.5,
            positive_spans: vec![Span { offset: -2, length: 2 }],
            positive: vec![3.0, 4.0],
            custom_values: vec![0.5],
            reset_hint: ResetHint::Gauge,
            ..Histogram::default()
        };
        let at = TimestampMs(-5);
        let samples = vec![Sample { at, value: 1.0 }, Sample { at: TimestampMs(7), value: f64::INFINITY }];
        let histograms = vec![HistogramSample { at, histogram: Arc::new(histogram) }];
        vec![
            Outgoing { labels: Labels::metric("a", [("x", "é")]), samples, histograms: vec![] },
            Outgoing { labels: Labels::metric("h", []), samples: vec![], histograms },
        ]
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(decode(&encode(&example())), Ok(example()));
        let stale = vec![Outgoing {
            labels: Labels::metric("a", []),
            samples: vec![Sample { at: TimestampMs(1), value: wellkept_model::stale_marker() }],
            histograms: vec![],
        }];
        let read = decode(&encode(&stale)).expect("it was just written");
        assert!(wellkept_model::is_stale(read[0].samples[0].value));
    }

    #[test]
    fn a_cut_record_is_damaged_wherever_it_is_cut() {
        let bytes = encode(&example());
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), Err(Damaged), "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_floats_are_read_back(values in proptest::collection::vec((any::<i64>(), any::<f64>()), 0..20)) {
            let samples: Vec<Sample> =
                values.iter().map(|(at, value)| Sample { at: TimestampMs(*at), value: *value }).collect();
            let series = [Outgoing { labels: Labels::metric("a", []), samples, histograms: vec![] }];
            let read = decode(&encode(&series)).expect("it was just written");
            for (a, b) in read[0].samples.iter().zip(&series[0].samples) {
                prop_assert_eq!((a.at, a.value.to_bits()), (b.at, b.value.to_bits()));
            }
        }
    }
}
