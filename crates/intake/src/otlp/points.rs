//! Metrics and their data points.

use wellkept_model::{Metadata, MetricKind, Sink, TimestampMs, stale_marker};

use super::Request;
use super::delta::DeltaProblem;
use super::distributions::EXEMPLARS_MAX;
use super::names::{self, Shape};
use crate::error::readable;
use crate::metadata::Raw;
use crate::number;
use crate::proto::{Field, ProtoError};
use crate::{DecodeError, Limits, Refusal};

/// Why a point was not taken: the request is damaged, or only this point is wrong.
pub(super) enum Fault {
    Body(DecodeError),
    Point(Refusal),
}

impl From<ProtoError> for Fault {
    fn from(error: ProtoError) -> Self {
        Self::Body(error.into())
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Body(error)
    }
}

impl From<Refusal> for Fault {
    fn from(why: Refusal) -> Self {
        Self::Point(why)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporality {
    Cumulative,
    Delta,
}

/// A metric as it was sent.
struct Sent<'a> {
    name: &'a [u8],
    help: &'a [u8],
    unit: &'a [u8],
    /// Gauge (5), sum (7), histogram (9), exponential histogram (10) or summary (11).
    data: Field<'a>,
    /// How many data points there are; at least one.
    points: u64,
    temporality: u64,
    monotonic: bool,
}

impl<'a> Sent<'a> {
    /// Nothing when there are no points.
    fn read(metric: &Field<'a>) -> Result<Option<Self>, ProtoError> {
        let (mut name, mut help, mut unit, mut data) = (&b""[..], &b""[..], &b""[..], None);
        let mut reader = metric.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => name = field.bytes()?,
                2 => help = field.bytes()?,
                3 => unit = field.bytes()?,
                5 | 7 | 9 | 10 | 11 => data = Some(field),
                _ => {}
            }
        }
        let Some(data) = data else { return Ok(None) };
        let mut sent = Self { name, help, unit, data, points: 0, temporality: 0, monotonic: false };
        let mut reader = data.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => sent.points += 1,
                2 => sent.temporality = field.uint()?,
                3 => sent.monotonic = field.uint()? != 0,
                _ => {}
            }
        }
        Ok((sent.points > 0).then_some(sent))
    }

    /// Name and unit.
    fn texts(&self, limits: &Limits) -> Result<(&'a str, &'a str), Refusal> {
        let most = limits.name_bytes;
        if self.name.len() > most || self.unit.len() > most {
            return Err(Refusal::NameTooLong { limit: most });
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Refusal::NotUtf8);
        Ok((text(self.name)?, text(self.unit)?))
    }

    fn shape(&self) -> (Shape, MetricKind) {
        match self.data.number {
            5 => (Shape::Gauge, MetricKind::Gauge),
            7 if self.monotonic => (Shape::Counter, MetricKind::Counter),
            7 => (Shape::Other, MetricKind::Gauge),
            11 => (Shape::Other, MetricKind::Summary),
            _ => (Shape::Other, MetricKind::Histogram),
        }
    }
}

/// A metric while its points are read.
pub(super) struct Metric<'a> {
    /// As it was sent, for messages.
    sent_name: &'a str,
    /// As the series are called.
    pub(super) name: String,
    temporality: Temporality,
}

impl Metric<'_> {
    pub(super) fn wrong(&self, problem: &'static str) -> Fault {
        Fault::Point(Refusal::Metric { metric: readable(self.sent_name), problem })
    }
}

/// What all kinds of points have.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) at: TimestampMs,
    pub(super) created: Option<TimestampMs>,
    /// The source says that it has no value for this time.
    pub(super) missing: bool,
}

impl Stamp {
    fn value(&self, value: f64) -> f64 {
        if self.missing { stale_marker() } else { value }
    }
}

impl<S: Sink + ?Sized> Request<'_, S> {
    pub(super) fn metric(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let Some(sent) = Sent::read(field)? else { return Ok(()) };
        let (name, unit) = match sent.texts(self.limits) {
            Ok(texts) => texts,
            Err(why) => {
                self.tally.refuse(sent.points, why);
                return Ok(());
            }
        };
        let (shape, kind) = sent.shape();
        let translated = names::metric(name, unit, shape, self.options.translation);
        let problem = match (sent.data.number, sent.temporality) {
            _ if translated.is_empty() => Some("its name has no character that Prometheus allows"),
            (7 | 9 | 10, 0) => Some("its aggregation temporality is missing; send cumulative or delta"),
            (10, 1) => Some("delta exponential histograms are not supported; send cumulative ones"),
            _ => None,
        };
        if let Some(problem) = problem {
            self.tally.refuse(sent.points, Refusal::Metric { metric: readable(name), problem });
            return Ok(());
        }
        let raw = Raw { family: translated.as_bytes(), kind, help: sent.help, unit: sent.unit };
        self.metadata_seen.hand_on(&raw, self.limits, self.sink, |_: &mut Metadata| {});
        let delta = matches!(sent.data.number, 7 | 9) && sent.temporality == 1;
        let temporality = if delta { Temporality::Delta } else { Temporality::Cumulative };
        self.points(&Metric { sent_name: name, name: translated, temporality }, &sent.data)
    }

    fn points(&mut self, metric: &Metric<'_>, data: &Field<'_>) -> Result<(), DecodeError> {
        let mut reader = data.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number != 1 {
                continue;
            }
            let attributes = match data.number {
                9 => 9,
                10 => 1,
                _ => 7,
            };
            let outcome = self.begin_point(&field, attributes).and_then(|()| match data.number {
                9 => self.histogram(metric, &field),
                10 => self.exponential(metric, &field),
                11 => self.summary(metric, &field),
                _ => self.number(metric, &field),
            });
            match outcome {
                Err(Fault::Point(why)) => self.tally.refuse(1, why),
                Err(Fault::Body(error)) => return Err(error),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Time, beginning and flags: fields 2 and 3 of every kind of point, and `flags`.
    pub(super) fn stamp(&mut self, point: &Field<'_>, flags: u32) -> Result<Stamp, ProtoError> {
        let mut stamp = Stamp { at: self.now, created: None, missing: false };
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => stamp.created = milliseconds(field.fixed64()?),
                3 => stamp.at = milliseconds(field.fixed64()?).unwrap_or(self.now),
                n if n == flags => stamp.missing = field.uint()? & 1 == 1,
                _ => {}
            }
        }
        self.newest = self.newest.max(Some(stamp.at));
        Ok(stamp)
    }

    /// One float of one of the metric's series, added up when it is a difference.
    pub(super) fn put(
        &mut self,
        metric: &Metric<'_>,
        suffix: &str,
        extra: Option<(&str, &str)>,
        stamp: &Stamp,
        value: f64,
    ) -> Result<(), Fault> {
        let mut value = stamp.value(value);
        if metric.temporality == Temporality::Delta {
            if stamp.missing {
                return Ok(());
            }
            self.delta_key(&metric.name, suffix, extra)?;
            value = self.deltas.add(&self.key, stamp.at, value).map_err(|problem| {
                metric.wrong(match problem {
                    DeltaProblem::NotNewer => "a delta that is not newer than the one before",
                    DeltaProblem::Full => "no place for another series of deltas; send cumulative ones",
                })
            })?;
        }
        self.series(&metric.name, suffix, extra)?;
        if let (Some(created), Temporality::Cumulative) = (stamp.created, metric.temporality) {
            self.sink.created(created);
        }
        Ok(self.float(stamp.at, value)?)
    }

    fn number(&mut self, metric: &Metric<'_>, point: &Field<'_>) -> Result<(), Fault> {
        let stamp = self.stamp(point, 8)?;
        let mut value = None;
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                4 => value = Some(field.double()?),
                6 => value = Some(field.fixed64()?.cast_signed() as f64),
                _ => {}
            }
        }
        match value {
            None if !stamp.missing => return Err(metric.wrong("a point has no value")),
            value => self.put(metric, "", None, &stamp, value.unwrap_or(0.0))?,
        }
        let mut left = EXEMPLARS_MAX;
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 5 && left > 0 {
                left -= 1;
                self.exemplar(&field)?;
            }
        }
        Ok(())
    }

    fn summary(&mut self, metric: &Metric<'_>, point: &Field<'_>) -> Result<(), Fault> {
        let stamp = self.stamp(point, 8)?;
        let (mut count, mut sum) = (0, 0.0);
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                4 => count = field.fixed64()?,
                5 => sum = field.double()?,
                6 => {
                    let (mut quantile, mut value) = (0.0, 0.0);
                    let mut reader = field.message()?;
                    while let Some(field) = reader.next_field()? {
                        match field.number {
                            1 => quantile = field.double()?,
                            2 => value = field.double()?,
                            _ => {}
                        }
                    }
                    let quantile = number::shortest(quantile);
                    self.put(metric, "", Some(("quantile", &quantile)), &stamp, value)?;
                }
                _ => {}
            }
        }
        self.put(metric, "_sum", None, &stamp, sum)?;
        self.put(metric, "_count", None, &stamp, count as f64)
    }
}

/// Nanoseconds since the epoch in milliseconds; 0 means "not told".
pub(super) fn milliseconds(nanos: u64) -> Option<TimestampMs> {
    (nanos != 0).then(|| TimestampMs((nanos / 1_000_000).cast_signed()))
}
