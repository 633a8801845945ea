//! Loki's push: protobuf behind Snappy, and JSON in its present and its old form.
//!
//! Labels are taken as they are; Loki's structured metadata becomes fields. The answer to success is 204 without a body.

mod json;
mod labels;

use wellkept_intake::proto::{Field, Reader};
use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_model::{Labels, LogSink};

use crate::emit::{Arrival, Emitter, LabelMaker};
use crate::{DecodeError, Limits, Refusal, Tally, level};

/// How a push is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-protobuf`, always behind Snappy's block format.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    /// Reads the `Content-Type` header; protobuf when there is none, as Loki does.
    ///
    /// # Errors
    /// [`wellkept_intake::DecodeError::Header`], to be answered with 415.
    pub fn from_content_type(value: Option<&str>) -> Result<Self, DecodeError> {
        let text = value.unwrap_or("").trim();
        match text.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(wellkept_intake::DecodeError::Header {
                header: "Content-Type",
                value: crate::tally::readable(text),
                accepted: "application/x-protobuf, application/json",
            }
            .into()),
        }
    }
}

/// Decodes pushes and keeps its buffers.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    labels: LabelMaker,
    unpacker: Unpacker,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes one push as it came. `encoding`: what `Content-Encoding` says, which clients leave out for protobuf.
    ///
    /// # Errors
    /// [`DecodeError`]; what the sink was given of the push is to be thrown away then. Streams and entries that cannot be
    /// taken are counted in [`Tally::refused`]: to be answered with 400 and [`Tally::first_reason`], as Loki does.
    pub fn decode(
        &mut self,
        format: Format,
        encoding: Encoding,
        body: &[u8],
        arrival: &Arrival<'_>,
        sink: &mut dyn LogSink,
    ) -> Result<Tally, DecodeError> {
        let encoding = match (format, encoding) {
            (Format::Protobuf, Encoding::Identity) => Encoding::Snappy,
            (_, encoding) => encoding,
        };
        let body = self.unpacker.unpack(encoding, body, &self.limits.unpacking())?;
        let mut push = Push { emitter: Emitter::new(&self.limits, arrival, sink), labels: &mut self.labels };
        match format {
            Format::Protobuf => push.protobuf(body)?,
            Format::Json => json::decode(body, &mut push)?,
        }
        Ok(push.emitter.tally)
    }
}

/// A push while it is read.
struct Push<'l> {
    emitter: Emitter<'l>,
    labels: &'l mut LabelMaker,
}

impl Push<'_> {
    fn stream(&mut self, pairs: &[(&str, &str)]) -> Result<Labels, Refusal> {
        self.labels.make(pairs, self.emitter.arrival, self.emitter.limits)
    }

    fn entry(
        &mut self,
        labels: &Labels,
        at_ns: Option<i64>,
        text: &[u8],
        fields: &[(&str, &str)],
    ) -> Result<(), DecodeError> {
        let named = |(name, value): &(&str, &str)| match *name {
            "detected_level" | "level" | "severity" | "severity_text" => level::of_value(name, value),
            _ => None,
        };
        let level = fields.iter().find_map(named).or_else(|| level::of_word(labels.get("level")));
        self.emitter.line(labels, at_ns, level, text, fields)
    }

    /// `PushRequest`: streams in field 1.
    fn protobuf(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                self.protobuf_stream(&field)?;
            }
        }
        Ok(())
    }

    /// `StreamAdapter`: labels in field 1, entries in field 2.
    fn protobuf_stream(&mut self, stream: &Field<'_>) -> Result<(), DecodeError> {
        let mut text = &b""[..];
        let mut entries = 0;
        let mut reader = stream.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => text = field.bytes()?,
                2 => entries += 1,
                _ => {}
            }
        }
        let labels = labels::parse(text, self.emitter.limits).and_then(|pairs| {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (*n, v.as_ref())).collect();
            self.stream(&pairs)
        });
        let labels = match labels {
            Ok(labels) => labels,
            Err(why) => return self.emitter.refuse_many(entries, why),
        };
        let mut reader = stream.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 2 {
                self.protobuf_entry(&labels, &field)?;
            }
        }
        Ok(())
    }

    /// `EntryAdapter`: time in field 1, line in 2, structured metadata in 3.
    fn protobuf_entry(&mut self, labels: &Labels, entry: &Field<'_>) -> Result<(), DecodeError> {
        let mut at_ns = None;
        let mut text = &b""[..];
        let mut fields = Vec::new();
        let mut reader = entry.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => match instant(&field)? {
                    Some(instant) => at_ns = Some(instant),
                    None => return self.emitter.refuse(Refusal::Time { expected: "within 1678 to 2262" }),
                },
                2 => text = field.bytes()?,
                // One more than allowed is kept, so that whoever bounds the fields sees and counts it.
                3 if fields.len() <= self.emitter.limits.fields => match pair(&field)? {
                    Some(pair) => fields.push(pair),
                    None => return self.emitter.refuse(Refusal::NotUtf8),
                },
                _ => {}
            }
        }
        self.entry(labels, at_ns, text, &fields)
    }
}

/// `Timestamp`: seconds in field 1, nanoseconds in 2.
fn instant(field: &Field<'_>) -> Result<Option<i64>, DecodeError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => seconds = field.int()?,
            2 => nanos = field.int()?,
            _ => {}
        }
    }
    Ok(seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos)))
}

/// `LabelPairAdapter`: name in field 1, value in 2. Nothing when one of them is not text.
fn pair<'a>(field: &Field<'a>) -> Result<Option<(&'a str, &'a str)>, DecodeError> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok(std::str::from_utf8(name).ok().zip(std::str::from_utf8(value).ok()))
}

#[cfg(test)]
mod tests;
