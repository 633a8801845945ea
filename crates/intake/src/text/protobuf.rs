//! `io.prometheus.client.MetricFamily` messages, each after its length: the only scraped format with native histograms.
//!
//! A metric here is several series: quantiles, buckets, sum and count. The key of each is put together in the form of
//! a remote write 1.0 series; the metric's own labels have that form on the wire already.

use wellkept_model::{METRIC_NAME, Metadata, MetricKind, ResetHint, Sink, TimestampMs};

use super::Options;
use crate::histogram::{Fault, Parts, doubles};
use crate::key::{Budget, Pairs, announce, label, push_label, push_pair};
use crate::metadata::{Raw, Seen};
use crate::proto::{Field, ProtoError, Reader, Writer};
use crate::{DecodeError, Limits, Tally, number};

pub(super) fn decode<S: Sink + ?Sized>(
    page: &[u8],
    options: &Options,
    limits: &Limits,
    key: &mut Vec<u8>,
    metadata_seen: &mut Seen,
    sink: &mut S,
) -> Result<Tally, DecodeError> {
    let budget = Budget::new(limits);
    let mut families =
        Families { options, limits, key, labels: Vec::new(), budget, tally: Tally::default(), sink };
    let mut reader = Reader::new(page);
    while let Some(message) = reader.delimited()? {
        families.family(message, metadata_seen)?;
    }
    Ok(families.tally)
}

struct Families<'l, S: ?Sized> {
    options: &'l Options,
    limits: &'l Limits,
    key: &'l mut Vec<u8>,
    /// The current metric's label fields: all its series have them.
    labels: Vec<u8>,
    budget: Budget,
    tally: Tally,
    sink: &'l mut S,
}

/// One metric of a family.
#[derive(Clone, Copy)]
struct Metric<'a> {
    family: &'a [u8],
    at: TimestampMs,
}

/// A classic bucket, not yet written down.
#[derive(Default)]
struct Bucket<'a> {
    count: f64,
    bound: f64,
    exemplar: Option<Field<'a>>,
}

impl<S: Sink + ?Sized> Families<'_, S> {
    fn family(&mut self, message: &[u8], metadata_seen: &mut Seen) -> Result<(), DecodeError> {
        let mut raw = Raw { kind: MetricKind::Counter, ..Raw::default() };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => raw.family = field.bytes()?,
                2 => raw.help = field.bytes()?,
                3 => raw.kind = kind(field.uint()?),
                5 => raw.unit = field.bytes()?,
                _ => {}
            }
        }
        metadata_seen.hand_on(&raw, self.limits, self.sink, |_: &mut Metadata| {});
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            if field.number == 4 {
                self.metric(field.bytes()?, &raw)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, message: &[u8], raw: &Raw<'_>) -> Result<(), DecodeError> {
        let mut at = self.options.now;
        let mut content = None;
        self.labels.clear();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => Writer::new(&mut self.labels).bytes(1, field.bytes()?),
                6 if self.options.honor_timestamps => at = TimestampMs(field.int()?),
                2..=5 | 7 => content = Some(field),
                _ => {}
            }
        }
        let metric = Metric { family: raw.family, at };
        let outcome = match content {
            Some(field) if field.number == 4 => self.summary(&metric, field.message()?),
            Some(field) if field.number == 7 => self.histogram(&metric, field.message()?, raw.kind),
            Some(field) => self.single(&metric, &field),
            None => Ok(()),
        };
        match outcome {
            Err(Fault::Histogram(why)) => self.tally.refuse(1, why),
            Err(Fault::Body(error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Counter, gauge, untyped: a value in field 1; a counter has an exemplar in 2 and its beginning in 3.
    fn single(&mut self, metric: &Metric<'_>, content: &Field<'_>) -> Result<(), Fault> {
        let (mut value, mut exemplar, mut created) = (0.0, None, None);
        let counter = content.number == 3;
        let mut reader = content.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => value = field.double()?,
                2 if counter => exemplar = Some(field),
                3 if counter => created = time(&field)?,
                _ => {}
            }
        }
        self.series(metric, "", None)?;
        if let Some(at) = created {
            self.sink.created(at);
        }
        self.float(metric.at, value)?;
        exemplar.map_or(Ok(()), |field| self.exemplar(&field, metric.at))
    }

    fn summary(&mut self, metric: &Metric<'_>, content: Reader<'_>) -> Result<(), Fault> {
        let (mut count, mut sum) = (0.0, 0.0);
        let mut reader = content;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => count = field.uint()? as f64,
                2 => sum = field.double()?,
                3 => {
                    let (mut quantile, mut value) = (0.0, 0.0);
                    let mut reader = field.message()?;
                    while let Some(field) = reader.next_field()? {
                        match field.number {
                            1 => quantile = field.double()?,
                            2 => value = field.double()?,
                            _ => {}
                        }
                    }
                    self.series(metric, "", Some(("quantile", quantile)))?;
                    self.float(metric.at, value)?;
                }
                _ => {}
            }
        }
        self.sum_and_count(metric, sum, count)
    }

    fn histogram(&mut self, metric: &Metric<'_>, content: Reader<'_>, kind: MetricKind) -> Result<(), Fault> {
        let mut parts = Parts::default();
        let (mut native, mut classic, mut created) = (false, false, None);
        let mut reader = content;
        while let Some(field) = reader.next_field()? {
            let h = &mut parts.histogram;
            native |= matches!(field.number, 6..=14);
            match field.number {
                1 if h.count == 0.0 => h.count = field.uint()? as f64,
                2 => h.sum = field.double()?,
                3 => classic = true,
                4 if field.double()? > 0.0 => h.count = field.double()?,
                5 => h.schema = field.sint32()?,
                6 => h.zero_threshold = field.double()?,
                7 if h.zero_count == 0.0 => h.zero_count = field.uint()? as f64,
                8 if field.double()? > 0.0 => h.zero_count = field.double()?,
                9 => Parts::span(&mut h.negative_spans, &field, self.limits)?,
                10 => parts.negative_deltas(&field, self.limits)?,
                11 => doubles(&mut h.negative, &field, self.limits)?,
                12 => Parts::span(&mut h.positive_spans, &field, self.limits)?,
                13 => parts.positive_deltas(&field, self.limits)?,
                14 => doubles(&mut h.positive, &field, self.limits)?,
                15 => created = time(&field)?,
                _ => {}
            }
        }
        if kind == MetricKind::GaugeHistogram {
            parts.histogram.reset_hint = ResetHint::Gauge;
        }
        let (sum, count) = (parts.histogram.sum, parts.histogram.count);
        if !native || (classic && self.options.classic_too) {
            self.classic(metric, content, sum, count)?;
        }
        if native {
            let histogram = parts.finish().map_err(Fault::Histogram)?;
            self.series(metric, "", None)?;
            if let Some(at) = created {
                self.sink.created(at);
            }
            self.count_sample(true)?;
            self.sink.histogram(metric.at, histogram);
            self.native_exemplars(metric, content)?;
        }
        Ok(())
    }

    fn classic(
        &mut self,
        metric: &Metric<'_>,
        content: Reader<'_>,
        sum: f64,
        count: f64,
    ) -> Result<(), Fault> {
        let mut infinite = false;
        let mut reader = content;
        while let Some(field) = reader.next_field()? {
            if field.number == 3 {
                let bucket = bucket(&field)?;
                infinite |= bucket.bound == f64::INFINITY;
                self.bucket(metric, &bucket)?;
            }
        }
        if !infinite {
            self.bucket(metric, &Bucket { count, bound: f64::INFINITY, exemplar: None })?;
        }
        self.sum_and_count(metric, sum, count)
    }

    fn bucket(&mut self, metric: &Metric<'_>, bucket: &Bucket<'_>) -> Result<(), Fault> {
        self.series(metric, "_bucket", Some(("le", bucket.bound)))?;
        self.float(metric.at, bucket.count)?;
        bucket.exemplar.map_or(Ok(()), |field| self.exemplar(&field, metric.at))
    }

    /// Exemplars of a native histogram stand beside its buckets, or in the classic buckets of older clients.
    fn native_exemplars(&mut self, metric: &Metric<'_>, content: Reader<'_>) -> Result<(), Fault> {
        let mut reader = content;
        while let Some(field) = reader.next_field()? {
            match field.number {
                16 => self.exemplar(&field, metric.at)?,
                3 => {
                    if let Some(exemplar) = bucket(&field)?.exemplar {
                        self.exemplar(&exemplar, metric.at)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sum_and_count(&mut self, metric: &Metric<'_>, sum: f64, count: f64) -> Result<(), Fault> {
        self.series(metric, "_sum", None)?;
        self.float(metric.at, sum)?;
        self.series(metric, "_count", None)?;
        self.float(metric.at, count)
    }

    /// Makes a series of the metric the sink's current one.
    fn series(&mut self, metric: &Metric<'_>, suffix: &str, extra: Option<(&str, f64)>) -> Result<(), Fault> {
        self.key.clear();
        Writer::new(self.key).message(1, |w| {
            w.bytes(1, METRIC_NAME.as_bytes());
            w.bytes_of(2, &[metric.family, suffix.as_bytes()]);
        });
        self.key.extend_from_slice(&self.labels);
        if let Some((name, value)) = extra {
            push_label(self.key, name.as_bytes(), number::canonical(value).as_bytes());
        }
        self.budget.spend(self.key.len()).map_err(Fault::Body)?;
        announce(self.key, self.limits, self.sink).map_err(Fault::Histogram)?;
        self.tally.series += 1;
        Ok(())
    }

    fn float(&mut self, at: TimestampMs, value: f64) -> Result<(), Fault> {
        self.count_sample(false)?;
        self.sink.float(at, value);
        Ok(())
    }

    fn count_sample(&mut self, histogram: bool) -> Result<(), Fault> {
        if self.tally.samples + self.tally.histograms >= self.limits.samples as u64 {
            return Err(Fault::Body(DecodeError::TooManySamples { limit: self.limits.samples }));
        }
        let counter = if histogram { &mut self.tally.histograms } else { &mut self.tally.samples };
        *counter += 1;
        Ok(())
    }

    fn exemplar(&mut self, field: &Field<'_>, fallback: TimestampMs) -> Result<(), Fault> {
        let (mut at, mut value) = (fallback, 0.0);
        let mut pairs = Pairs::new();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => {
                    let (name, value) = label(field.bytes()?)?;
                    if let Err(why) = push_pair(&mut pairs, name, value, self.limits) {
                        self.tally.refuse(1, why);
                        return Ok(());
                    }
                }
                2 => value = field.double()?,
                3 => at = time(&field)?.unwrap_or(fallback),
                _ => {}
            }
        }
        self.tally.exemplars += 1;
        self.sink.exemplar(at, value, &pairs);
        Ok(())
    }
}

fn bucket<'a>(field: &Field<'a>) -> Result<Bucket<'a>, ProtoError> {
    let mut bucket = Bucket::default();
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 if bucket.count == 0.0 => bucket.count = field.uint()? as f64,
            2 => bucket.bound = field.double()?,
            3 => bucket.exemplar = Some(field),
            4 if field.double()? > 0.0 => bucket.count = field.double()?,
            _ => {}
        }
    }
    Ok(bucket)
}

/// `google.protobuf.Timestamp`; nothing when it is the epoch itself, which stands for "not set".
fn time(field: &Field<'_>) -> Result<Option<TimestampMs>, ProtoError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => seconds = field.int()?,
            2 => nanos = field.int()?,
            _ => {}
        }
    }
    let ms = seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000);
    Ok((ms != 0).then_some(TimestampMs(ms)))
}

fn kind(number: u64) -> MetricKind {
    match number {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Summary,
        4 => MetricKind::Histogram,
        5 => MetricKind::GaugeHistogram,
        _ => MetricKind::Unknown,
    }
}
