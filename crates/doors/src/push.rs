//! One pushed body: decoded, grouped, stored, answered.

use std::sync::{Arc, Mutex, PoisonError};

use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_intake::{DecodeError, Limits, Names, Tally, influx, otlp, remote_write, text};
use wellkept_model::{Labels, Sink, TimestampMs};
use wellkept_tsdb::{Refusals, Store, StoreError};

use crate::side::{Bearers, Side};
use crate::{ExemplarStore, Guard, MetadataStore};

/// Decoders that wait with their buffers.
const DECODERS_MAX: usize = 4;
/// Sources whose differences OTLP adds up.
const DELTAS_MAX: usize = 100_000;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Remote write 1.0 and 2.0.
    RemoteWrite,
    /// Prometheus text.
    Text,
    /// OTLP metrics.
    Otlp,
    /// Influx lines.
    Influx,
}

/// One body with what its headers say.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// How to read it.
    pub format: Format,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Content-Encoding`.
    pub content_encoding: &'a str,
    /// Parameters of the URL.
    pub parameters: &'a [(String, String)],
    /// The content.
    pub bytes: &'a [u8],
    /// Time of samples that bring none.
    pub now: TimestampMs,
}

/// What the client is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Of the body.
    pub content_type: &'static str,
    /// Often empty.
    pub body: Vec<u8>,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples that were stored.
    pub stored: u64,
    /// Samples that were left out: of our own identity, too old, wrong in themselves, of a kind that cannot be stored.
    pub refused: u64,
    /// Bodies that could not be read.
    pub broken: u64,
}

/// All doors of one store.
pub struct Doors {
    store: Arc<Store>,
    identity: Labels,
    bearers: Bearers,
    /// Decoders with their buffers, for the next request.
    decoders: Mutex<Vec<remote_write::Decoder>>,
    metadata: MetadataStore,
    exemplars: ExemplarStore,
    deltas: Mutex<otlp::Deltas>,
    counts: Mutex<Counts>,
}

/// Why a body was not taken as a whole.
enum Failure {
    Decode(DecodeError),
    Store(StoreError),
}

/// What became of a body that was taken.
struct Taken {
    tally: Tally,
    stored: u64,
    refused: u64,
    /// Why the first ones were refused; empty when none were.
    why: String,
}

impl Taken {
    /// A sentence for the client about what was left out, if anything was.
    fn left_out(&self) -> Option<String> {
        let refused = self.refused;
        (refused > 0).then(|| format!("samples left out: {refused}, all others are stored; {}", self.why))
    }
}

/// The first reason for which samples were left out, in words.
fn why(tally: &Tally, foreign: u64, ahead: u64, store: &Refusals) -> String {
    if let Some(first) = &tally.first_refusal {
        return first.to_string();
    }
    let reasons = [
        (foreign, "a sample is under the identity of this host's own collection"),
        (ahead, "a sample is more than 10 minutes in the future"),
        (store.out_of_order, "a sample is too old: before the newest of its source by more than the window"),
        (store.invalid, "a series has labels that cannot be stored, or a histogram contradicts itself"),
        (store.over_limit, "there are more new series than a source, a target or the store may have"),
        (store.too_many_times, "a source has too many different times"),
    ];
    reasons.iter().find(|(n, _)| *n > 0).map_or_else(String::new, |(_, text)| (*text).to_owned())
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Doors {
    /// `identity`: the labels of this host's own series, which nobody may push.
    #[must_use]
    pub fn new(store: Arc<Store>, identity: Labels) -> Self {
        Self {
            store,
            identity,
            bearers: Bearers::default(),
            decoders: Mutex::default(),
            metadata: MetadataStore::default(),
            exemplars: ExemplarStore::default(),
            deltas: Mutex::new(otlp::Deltas::new(DELTAS_MAX)),
            counts: Mutex::default(),
        }
    }

    /// What sources told about their metrics.
    #[must_use]
    pub fn metadata(&self) -> &MetadataStore {
        &self.metadata
    }

    /// The latest exemplars.
    #[must_use]
    pub fn exemplars(&self) -> &ExemplarStore {
        &self.exemplars
    }

    /// Counts since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one body; when the answer is a good one, its samples are on disk. Blocking.
    #[must_use]
    pub fn push(&self, body: &Body<'_>) -> Pushed {
        let result = match body.format {
            Format::RemoteWrite => self.remote_write(body),
            Format::Text => self.text(body),
            Format::Otlp => self.otlp(body),
            Format::Influx => self.influx(body),
        };
        result.unwrap_or_else(|failure| self.failed(body.format, &failure))
    }

    /// Stores what `fill` gives to the sink; how many samples were stored and left out. `now`: what the clock says.
    ///
    /// # Errors
    /// Of the store.
    pub fn take(&self, now: TimestampMs, fill: impl FnOnce(&mut dyn Sink)) -> Result<(u64, u64), StoreError> {
        let taken = self.with_sink(Format::Text, now, |sink| {
            fill(sink);
            Ok(Tally::default())
        });
        match taken {
            Ok(taken) => Ok((taken.stored, taken.refused)),
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Decode(_)) => Ok((0, 0)),
        }
    }

    /// Decodes into the store; what was taken is on disk when this returns.
    fn with_sink(
        &self,
        format: Format,
        now: TimestampMs,
        decode: impl FnOnce(&mut dyn Sink) -> Result<Tally, DecodeError>,
    ) -> Result<Taken, Failure> {
        let mut appender = self.store.appender(format as u8, "");
        let mut side = Side::new(&mut appender, &self.bearers, &self.metadata, &self.exemplars);
        let mut guard = Guard::new(&mut side, &self.identity, now);
        let tally = decode(&mut guard)?;
        let (foreign, ahead) = (guard.refused as u64, guard.ahead as u64);
        let accepted = appender.finish_durable()?;
        let refused = tally.refused + foreign + ahead + accepted.refused.total();
        let why = why(&tally, foreign, ahead, &accepted.refused);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.stored += accepted.samples;
        counts.refused += refused;
        Ok(Taken { tally, stored: accepted.samples, refused, why })
    }

    fn remote_write(&self, body: &Body<'_>) -> Result<Pushed, Failure> {
        let version = remote_write::Version::from_content_type(some(body.content_type))?;
        let encoding = remote_write::encoding(some(body.content_encoding))?;
        let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = idle.unwrap_or_else(|| remote_write::Decoder::new(Limits::default()));
        let taken = self.with_sink(Format::RemoteWrite, body.now, |sink| {
            decoder.decode(version, encoding, body.bytes, sink)
        });
        let mut idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < DECODERS_MAX {
            idle.push(decoder);
        }
        drop(idle);
        let taken = taken?;
        // The store counts both kinds of samples together; their sum is exact.
        let histograms = taken.tally.histograms.min(taken.stored);
        let written = remote_write::Written {
            samples: taken.stored - histograms,
            histograms,
            exemplars: taken.tally.exemplars,
        };
        let headers = match version {
            remote_write::Version::V2 => written.headers().to_vec(),
            remote_write::Version::V1 => Vec::new(),
        };
        // Left-out samples would be left out again: the client shall go on, but be told.
        let answer = taken.left_out().map_or_else(done, |text| plain(400, text + "\n"));
        Ok(Pushed { headers, ..answer })
    }

    fn text(&self, body: &Body<'_>) -> Result<Pushed, Failure> {
        let mut unpacker = Unpacker::default();
        let limits = Limits::default();
        let bytes =
            unpacker.unpack(Encoding::from_header(some(body.content_encoding))?, body.bytes, &limits)?;
        let taken = self.with_sink(Format::Text, body.now, |sink| {
            let options = text::Options::import(body.now);
            text::Decoder::new(limits).decode(text::Format::Prometheus, bytes, &options, sink)
        })?;
        Ok(taken.left_out().map_or_else(done, |text| plain(400, text + "\n")))
    }

    fn influx(&self, body: &Body<'_>) -> Result<Pushed, Failure> {
        let parameter = |names: &[&str]| {
            let found = body.parameters.iter().find(|(n, _)| names.contains(&n.as_str()));
            found.map(|(_, v)| v.as_str())
        };
        let precision = influx::Precision::from_parameter(parameter(&["precision"]))?;
        let database = parameter(&["db", "bucket"]).unwrap_or_default();
        let limits = Limits::default();
        let mut unpacker = Unpacker::default();
        let bytes =
            unpacker.unpack(Encoding::from_header(some(body.content_encoding))?, body.bytes, &limits)?;
        let taken = self.with_sink(Format::Influx, body.now, |sink| {
            let mut decoder = influx::Decoder::new(limits, Names::AsSent);
            decoder.decode(bytes, precision, database, body.now, sink)
        })?;
        let told = |text: String| Pushed {
            content_type: "application/json",
            ..plain(400, serde_json::json!({"error": format!("partial write: {text}")}).to_string())
        };
        Ok(taken.left_out().map_or_else(done, told))
    }

    fn otlp(&self, body: &Body<'_>) -> Result<Pushed, Failure> {
        let format = otlp::Format::from_content_type(some(body.content_type))?;
        let limits = Limits::default();
        let mut unpacker = Unpacker::default();
        let bytes =
            unpacker.unpack(Encoding::from_header(some(body.content_encoding))?, body.bytes, &limits)?;
        let taken = self.with_sink(Format::Otlp, body.now, |sink| {
            let mut deltas = self.deltas.lock().unwrap_or_else(PoisonError::into_inner);
            let mut decoder = otlp::Decoder::new(limits, otlp::Options::default());
            decoder.decode(format, bytes, body.now, &mut deltas, sink)
        })?;
        Ok(Pushed {
            status: 200,
            content_type: format.content_type(),
            body: otlp::answer(format, taken.refused, &taken.why),
            headers: Vec::new(),
        })
    }

    fn failed(&self, format: Format, failure: &Failure) -> Pushed {
        match failure {
            Failure::Decode(error) => {
                self.counts.lock().unwrap_or_else(PoisonError::into_inner).broken += 1;
                let status = match error {
                    DecodeError::TooLarge { .. } => 413,
                    DecodeError::Header { .. } => 415,
                    _ => 400,
                };
                tracing::debug!(?format, %error, "a pushed body was refused");
                plain(status, format!("{error}\n"))
            }
            // Full or broken: the same body may be taken later.
            Failure::Store(error) => {
                tracing::warn!(?format, %error, "pushed samples could not be stored");
                plain(503, format!("{error}\n"))
            }
        }
    }
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn done() -> Pushed {
    Pushed { status: 204, ..Pushed::default() }
}

fn plain(status: u16, text: String) -> Pushed {
    Pushed { status, content_type: "text/plain; charset=utf-8", body: text.into_bytes(), headers: Vec::new() }
}

fn some(header: &str) -> Option<&str> {
    Some(header).filter(|h| !h.is_empty())
}
