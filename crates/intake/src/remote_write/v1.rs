//! `prometheus.WriteRequest`.
//!
//! Every sender writes the fields of a series in order, labels first. So the label fields are one run of bytes, and
//! that run is the key under which the sink may know the series. A series whose labels are scattered is legal protobuf
//! too: it is decoded the slow way and never gets a key.

use wellkept_model::{MetricKind, Sink, TimestampMs};

use super::count;
use crate::histogram::{self, Fault};
use crate::key::{Pairs, label, push_pair};
use crate::metadata::Raw;
use crate::proto::{Field, Reader};
use crate::{DecodeError, Limits, Refusal, Tally};

pub(super) fn decode<S: Sink + ?Sized>(
    message: &[u8],
    limits: &Limits,
    sink: &mut S,
) -> Result<Tally, DecodeError> {
    let mut request =
        Request { limits, pairs: Vec::new(), exemplar_pairs: Vec::new(), tally: Tally::default() };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => request.series(field.bytes()?, sink)?,
            3 => request.metadata(&field, sink)?,
            _ => {}
        }
    }
    Ok(request.tally)
}

struct Request<'a, 'l> {
    limits: &'l Limits,
    pairs: Pairs<'a>,
    exemplar_pairs: Pairs<'a>,
    tally: Tally,
}

impl<'a> Request<'a, '_> {
    #[inline]
    fn series<S: Sink + ?Sized>(&mut self, message: &'a [u8], sink: &mut S) -> Result<(), DecodeError> {
        let mut rest = Reader::new(message);
        let mut wire = rest.run_of(1)?;
        let mut samples = 0;
        let mut scan = rest;
        while let Some(field) = scan.next_field()? {
            match field.number {
                1 => wire = &[],
                _ => samples += 1,
            }
        }
        if wire.is_empty() || !sink.known(wire) {
            if let Err(why) = self.labels(message)? {
                self.tally.refuse(samples, why);
                return Ok(());
            }
            sink.series(wire, &self.pairs);
        }
        self.tally.series += 1;
        while let Some(field) = rest.next_field()? {
            match field.number {
                2 => self.float(&field, sink)?,
                3 => self.exemplar(&field, sink)?,
                4 => self.histogram(&field, sink)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Decodes all labels of a series, wherever they stand.
    fn labels(&mut self, message: &'a [u8]) -> Result<Result<(), Refusal>, DecodeError> {
        self.pairs.clear();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                let (name, value) = label(field.bytes()?)?;
                if let Err(why) = push_pair(&mut self.pairs, name, value, self.limits) {
                    return Ok(Err(why));
                }
            }
        }
        Ok(if self.pairs.is_empty() { Err(Refusal::NoLabels) } else { Ok(()) })
    }

    #[inline]
    fn float<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let (mut at, mut value) = (0, 0.0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => value = field.double()?,
                2 => at = field.int()?,
                _ => {}
            }
        }
        let so_far = self.tally.samples + self.tally.histograms;
        count(&mut self.tally.samples, so_far, self.limits)?;
        sink.float(TimestampMs(at), value);
        Ok(())
    }

    fn histogram<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let (at, created, histogram) = match histogram::remote_write(field.bytes()?, self.limits) {
            Ok(parts) => parts,
            Err(Fault::Body(error)) => return Err(error),
            Err(Fault::Histogram(why)) => {
                self.tally.refuse(1, why);
                return Ok(());
            }
        };
        let so_far = self.tally.samples + self.tally.histograms;
        count(&mut self.tally.histograms, so_far, self.limits)?;
        if let Some(created) = created {
            sink.created(created);
        }
        sink.histogram(at, histogram);
        Ok(())
    }

    fn exemplar<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let (mut at, mut value) = (0, 0.0);
        self.exemplar_pairs.clear();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => {
                    let (name, value) = label(field.bytes()?)?;
                    if let Err(why) = push_pair(&mut self.exemplar_pairs, name, value, self.limits) {
                        self.tally.refuse(1, why);
                        return Ok(());
                    }
                }
                2 => value = field.double()?,
                3 => at = field.int()?,
                _ => {}
            }
        }
        self.tally.exemplars += 1;
        sink.exemplar(TimestampMs(at), value, &self.exemplar_pairs);
        Ok(())
    }

    fn metadata<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let mut raw = Raw::default();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => raw.kind = metric_kind(field.uint()?),
                2 => raw.family = field.bytes()?,
                4 => raw.help = field.bytes()?,
                5 => raw.unit = field.bytes()?,
                _ => {}
            }
        }
        if let Some(metadata) = raw.checked(self.limits) {
            sink.metadata(metadata);
        }
        Ok(())
    }
}

/// Numbers of `MetricMetadata.MetricType`, the same in 1.0 and 2.0.
pub(super) fn metric_kind(number: u64) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}
