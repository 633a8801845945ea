//! OTLP metrics over HTTP, protobuf and JSON: `ExportMetricsServiceRequest`.
//!
//! Names, labels and shapes come out as Prometheus' own OTLP receiver makes them: `job` and `instance` from the
//! resource, its other attributes in `target_info`, classic histograms as `_bucket`, `_sum` and `_count`, exponential
//! ones as native histograms. JSON is rewritten as protobuf while it is parsed, so there is one decoder, and no tree of
//! the request is ever built.
//!
//! **Delta temporality.** A store of cumulative series cannot take differences as they are. Sums and classic histograms
//! are added up in [`Deltas`], which the caller owns, shares between requests and bounds. Exponential histograms with
//! delta temporality are refused by name: adding those up needs their buckets kept as well.

mod answer;
mod attributes;
mod delta;
mod distributions;
mod exponential;
mod json;
mod names;
mod points;
mod series;
pub mod values;
#[cfg(test)]
mod tests;

pub use answer::answer;
pub use delta::Deltas;
pub use names::Translation;

use wellkept_model::{Sink, TimestampMs};

use crate::key::Budget;
use crate::metadata::Seen;
use crate::proto::{Field, Reader};
use crate::{DecodeError, Limits, Tally};
use attributes::LabelSet;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    /// Reads the `Content-Type` header; the answer has the same.
    ///
    /// # Errors
    /// [`DecodeError::Header`], to be answered with 415.
    pub fn from_content_type(value: Option<&str>) -> Result<Self, DecodeError> {
        let text = value.unwrap_or("").trim();
        match text.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(DecodeError::Header {
                header: "Content-Type",
                value: crate::error::readable(text),
                accepted: "application/x-protobuf, application/json",
            }),
        }
    }

    /// The `Content-Type` header of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// How metrics become series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What happens to names.
    pub translation: Translation,
    /// Resource attributes that become labels of every series of the resource.
    pub promote_resource_attributes: Vec<String>,
    /// Whether the scope's name, version and attributes become labels `otel_scope_…`.
    pub scope_labels: bool,
}

/// Decodes one request after the other and keeps its buffers.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    options: Options,
    transcoded: Vec<u8>,
    metadata_seen: Seen,
}

impl Decoder {
    /// A decoder with these limits and options.
    #[must_use]
    pub fn new(limits: Limits, options: Options) -> Self {
        Self { limits, options, ..Self::default() }
    }

    /// Decodes one request, already decompressed. `now` is for points that carry no time; `deltas` adds up what came
    /// as differences.
    ///
    /// # Errors
    /// [`DecodeError`]: to be answered with 400 (413 for [`DecodeError::TooLarge`]), and what the sink was given of
    /// the request is to be thrown away. Single points that cannot be taken are counted in [`Tally::refused`]; the
    /// client learns of them from [`answer`].
    pub fn decode<S: Sink + ?Sized>(
        &mut self,
        format: Format,
        body: &[u8],
        now: TimestampMs,
        deltas: &mut Deltas,
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        let outcome = self.decode_request(format, body, now, deltas, sink);
        if outcome.is_err() {
            self.forget_metadata();
        }
        outcome
    }

    /// Hands all metadata on again from now on, as if nothing had been seen. To be called when what the sink was given
    /// could not be stored; after an error of [`Self::decode`] it happens by itself.
    pub fn forget_metadata(&mut self) {
        self.metadata_seen.forget();
    }

    fn decode_request<S: Sink + ?Sized>(
        &mut self,
        format: Format,
        body: &[u8],
        now: TimestampMs,
        deltas: &mut Deltas,
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        if body.len() > self.limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        let message = match format {
            Format::Protobuf => body,
            Format::Json => {
                json::transcode(body, &mut self.transcoded)?;
                &self.transcoded
            }
        };
        let mut request = Request {
            limits: &self.limits,
            options: &self.options,
            metadata_seen: &mut self.metadata_seen,
            now,
            deltas,
            sink,
            resource: LabelSet::default(),
            promoted: LabelSet::default(),
            identity: LabelSet::default(),
            scope: LabelSet::default(),
            context: Vec::new(),
            attributes: Vec::new(),
            labels: LabelSet::default(),
            labels_ready: false,
            key: Vec::new(),
            newest: None,
            budget: Budget::new(&self.limits),
            tally: Tally::default(),
        };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                request.resource(&field)?;
            }
        }
        let tally = request.tally;
        self.transcoded.clear();
        self.transcoded.shrink_to(1 << 20);
        Ok(tally)
    }
}

/// A request while it is read.
struct Request<'l, S: ?Sized> {
    limits: &'l Limits,
    options: &'l Options,
    metadata_seen: &'l mut Seen,
    now: TimestampMs,
    deltas: &'l mut Deltas,
    sink: &'l mut S,
    /// Attributes of the current resource, under their own names.
    resource: LabelSet,
    /// Those of them that every series of the resource gets.
    promoted: LabelSet,
    /// `job` and `instance` of the current resource.
    identity: LabelSet,
    /// Labels that the current scope adds.
    scope: LabelSet,
    /// What the current point inherits, and its own attributes, as parts of a key.
    context: Vec<u8>,
    attributes: Vec<u8>,
    /// Labels of the current point, once they are needed.
    labels: LabelSet,
    labels_ready: bool,
    key: Vec<u8>,
    /// Time of the newest point of the current resource.
    newest: Option<TimestampMs>,
    budget: Budget,
    tally: Tally,
}

impl<S: Sink + ?Sized> Request<'_, S> {
    fn resource(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.resource.clear();
        self.newest = None;
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                self.resource.read(&field, 1, self.limits)?;
            }
        }
        self.promoted.promote(
            &self.resource,
            &self.options.promote_resource_attributes,
            self.options.translation,
        );
        self.identity.identify(&self.resource);
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 2 {
                self.scope(&field)?;
            }
        }
        self.target_info()
    }

    fn scope(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.scope.clear();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 1 && self.options.scope_labels {
                self.scope.read_scope(&field, self.options.translation, self.limits)?;
            }
        }
        self.begin_scope();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 2 {
                self.metric(&field)?;
            }
        }
        Ok(())
    }

    /// One sample of `target_info` per resource, at the time of its newest point: what else is known of the source.
    fn target_info(&mut self) -> Result<(), DecodeError> {
        let Some(at) = self.newest else { return Ok(()) };
        self.labels.clear();
        self.labels.rest_of_resource(&self.resource, self.options.translation);
        if self.labels.is_empty() || self.identity.is_empty() {
            return Ok(());
        }
        self.labels.inherit(&LabelSet::default(), &LabelSet::default(), &self.identity);
        match self.target_info_series()? {
            Ok(()) => self.float(at, 1.0),
            Err(why) => {
                self.tally.refuse(1, why);
                Ok(())
            }
        }
    }

    fn float(&mut self, at: TimestampMs, value: f64) -> Result<(), DecodeError> {
        self.check_samples()?;
        self.tally.samples += 1;
        self.sink.float(at, value);
        Ok(())
    }

    fn check_samples(&self) -> Result<(), DecodeError> {
        if self.tally.samples + self.tally.histograms >= self.limits.samples as u64 {
            return Err(DecodeError::TooManySamples { limit: self.limits.samples });
        }
        Ok(())
    }
}
