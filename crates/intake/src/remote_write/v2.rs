//! `io.prometheus.write.v2.Request`: strings once per request, everything else refers to them.
//!
//! References differ from request to request, so they are no key. The key is put together from the symbols in the form
//! of 1.0, which is a copy of some 150 bytes and no look at them; a sink that serves both versions knows a series from
//! either. Metadata stands at every series here: it is handed on when it is new or has changed.

use wellkept_model::{METRIC_NAME, MetricKind, Sink, TimestampMs};

use super::{count, v1};
use crate::histogram::{self, Fault};
use crate::key::{Budget, KeyBuffer, Pairs, Symbol, announce, check_pair, push_pair};
use crate::metadata::{Raw, Seen};
use crate::proto::{Field, ProtoError, Reader, Value, Writer};
use crate::{DecodeError, Limits, Refusal, Tally};

/// Distinct strings in one request. The largest senders use some ten thousand.
const SYMBOLS_MAX: usize = 1 << 20;

pub(super) fn decode<S: Sink + ?Sized>(
    message: &[u8],
    limits: &Limits,
    key: &mut KeyBuffer,
    metadata_seen: &mut Seen,
    sink: &mut S,
) -> Result<Tally, DecodeError> {
    let symbols = symbols(message)?;
    let mut request = Request {
        limits,
        symbols,
        key,
        name: b"",
        pairs: Vec::new(),
        metadata_seen,
        metadata_last: None,
        budget: Budget::new(limits),
        tally: Tally::default(),
    };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        if field.number == 5 {
            request.series(field.bytes()?, sink)?;
        }
    }
    Ok(request.tally)
}

fn symbols(message: &[u8]) -> Result<Vec<Symbol<'_>>, DecodeError> {
    let mut symbols = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        if field.number == 4 {
            if symbols.len() >= SYMBOLS_MAX {
                return Err(DecodeError::TooManySymbols { limit: SYMBOLS_MAX });
            }
            let length = field.bytes()?.len();
            let tail = message.get(message.len() - reader.rest().len() - length..).unwrap_or_default();
            symbols.push(Symbol::new(tail, length).ok_or(ProtoError::Truncated)?);
        }
    }
    Ok(symbols)
}

/// What a metadata message refers to, besides the family's name: kind, help, unit.
type MetadataRefs = (u64, u64, u64);

struct Request<'a, 'l> {
    limits: &'l Limits,
    symbols: Vec<Symbol<'a>>,
    key: &'l mut KeyBuffer,
    /// The current series' metric name.
    name: &'a [u8],
    pairs: Pairs<'a>,
    metadata_seen: &'l mut Seen,
    metadata_last: Option<(&'a [u8], MetadataRefs)>,
    budget: Budget,
    tally: Tally,
}

impl<'a> Request<'a, '_> {
    fn series<S: Sink + ?Sized>(&mut self, message: &'a [u8], sink: &mut S) -> Result<(), DecodeError> {
        let mut samples = 0;
        let mut created = 0;
        let mut scan = Reader::new(message);
        while let Some(field) = scan.next_field()? {
            match field.number {
                2..=4 => samples += 1,
                6 => created = field.int()?,
                _ => {}
            }
        }
        if let Err(why) = self.identify(message, sink)? {
            self.tally.refuse(samples, why);
            return Ok(());
        }
        self.tally.series += 1;
        if created != 0 {
            sink.created(TimestampMs(created));
        }
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => self.float(&field, sink)?,
                3 => self.histogram(&field, sink)?,
                4 => self.exemplar(&field, sink)?,
                5 => self.metadata(&field, sink)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the series the sink's current one.
    fn identify<S: Sink + ?Sized>(
        &mut self,
        message: &'a [u8],
        sink: &mut S,
    ) -> Result<Result<(), Refusal>, DecodeError> {
        self.key.clear();
        self.name = b"";
        let (key, name, limits) = (&mut *self.key, &mut self.name, self.limits);
        let outcome = each_label(&self.symbols, message, |i, label, value| {
            check_pair(i, label.bytes(), value.bytes(), limits)?;
            if label.bytes() == METRIC_NAME.as_bytes() {
                *name = value.bytes();
            }
            key.push(label, value);
            Ok(())
        })?;
        if let Err(why) = outcome {
            return Ok(Err(why));
        }
        self.budget.spend(self.key.key().len())?;
        Ok(announce(self.key.key(), self.limits, sink))
    }

    fn float<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let (mut at, mut value, mut created) = (0, 0.0, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => value = field.double()?,
                2 => at = field.int()?,
                3 => created = field.int()?,
                _ => {}
            }
        }
        let so_far = self.tally.samples + self.tally.histograms;
        count(&mut self.tally.samples, so_far, self.limits)?;
        if created != 0 {
            sink.created(TimestampMs(created));
        }
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
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => value = field.double()?,
                3 => at = field.int()?,
                _ => {}
            }
        }
        self.pairs.clear();
        let (pairs, limits) = (&mut self.pairs, self.limits);
        let outcome = each_label(&self.symbols, field.bytes()?, |_, name, value| {
            push_pair(pairs, name.bytes(), value.bytes(), limits)
        })?;
        if let Err(why) = outcome {
            self.tally.refuse(1, why);
            return Ok(());
        }
        self.tally.exemplars += 1;
        sink.exemplar(TimestampMs(at), value, &self.pairs);
        Ok(())
    }

    fn metadata<S: Sink + ?Sized>(&mut self, field: &Field<'a>, sink: &mut S) -> Result<(), DecodeError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => kind = field.uint()?,
                3 => help = field.uint()?,
                4 => unit = field.uint()?,
                _ => {}
            }
        }
        let refs = (kind, help, unit);
        if refs == (0, 0, 0) || self.metadata_last == Some((self.name, refs)) {
            return Ok(());
        }
        self.metadata_last = Some((self.name, refs));
        let symbol = |i: u64| usize::try_from(i).ok().and_then(|i| self.symbols.get(i)).map(|s| s.bytes());
        let (Some(help), Some(unit)) = (symbol(help), symbol(unit)) else {
            self.tally.refuse(1, Refusal::UnknownSymbol);
            return Ok(());
        };
        let kind = v1::metric_kind(kind);
        let raw = Raw { family: family(self.name, kind), kind, help, unit };
        self.metadata_seen.hand_on(&raw, self.limits, sink, |_| {});
        Ok(())
    }
}

/// Visits the labels of a series or an exemplar, counted from 0: both have their references in field 1, name, value,
/// name, value. The outer error is the body's, the inner one the series'.
#[inline]
fn each_label<'a>(
    symbols: &[Symbol<'a>],
    message: &'a [u8],
    mut each: impl FnMut(usize, Symbol<'a>, Symbol<'a>) -> Result<(), Refusal>,
) -> Result<Result<(), Refusal>, DecodeError> {
    let mut pending = None;
    let mut labels = 0;
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        if field.number != 1 {
            continue;
        }
        // Packed numbers are a sequence without tags; one that stands alone is made a sequence of one.
        let mut alone = Vec::new();
        let mut packed = match field.value {
            Value::Bytes(packed) => Reader::new(packed),
            _ => {
                Writer::new(&mut alone).varint(field.uint()?);
                Reader::new(&alone)
            }
        };
        while !packed.rest().is_empty() {
            let index = usize::try_from(packed.varint()?).unwrap_or(usize::MAX);
            let Some(symbol) = symbols.get(index).copied() else { return Ok(Err(Refusal::UnknownSymbol)) };
            let Some(name) = pending.take() else {
                pending = Some(symbol);
                continue;
            };
            if let Err(why) = each(labels, name, symbol) {
                return Ok(Err(why));
            }
            labels += 1;
        }
    }
    Ok(if pending.is_some() { Err(Refusal::OddReferences) } else { Ok(()) })
}

/// The family that a series of this name and kind belongs to: classic histograms and summaries are several series.
fn family(name: &[u8], kind: MetricKind) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        MetricKind::Histogram => &[b"_bucket", b"_sum", b"_count"],
        MetricKind::GaugeHistogram => &[b"_bucket", b"_gsum", b"_gcount"],
        MetricKind::Summary => &[b"_sum", b"_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|s| name.strip_suffix(*s)).unwrap_or(name)
}
