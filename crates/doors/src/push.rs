//! One pushed body: decoded, grouped, stored, answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_intake::{DecodeError, Limits, Names, Tally, influx, otlp, remote_write, text};
use wellkept_model::{Labels, Sink, TimestampMs};
use wellkept_tsdb::{Store, StoreError};

use crate::rates::Rates;
use crate::side::{Bearers, Side};
use crate::taken::{Taken, why};
use crate::tap::{Tap, Tee};
use crate::{ExemplarStore, Guard, MetadataStore};

/// Decoders that wait with their buffers.
const DECODERS_MAX: usize = 4;
/// Sources whose differences OTLP adds up.
const DELTAS_MAX: usize = 100_000;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Remote write 1.0 and 2.0.
    RemoteWrite,
    /// Prometheus text.
    Text,
    /// OTLP metrics.
    Otlp,
    /// Influx lines.
    Influx,
    /// What a target was asked for.
    Scrape,
    /// Graphite lines.
    Graphite,
    /// StatsD.
    Statsd,
}

impl Format {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RemoteWrite => "remote_write",
            Self::Text => "import",
            Self::Otlp => "otlp",
            Self::Influx => "influx",
            Self::Scrape => "scrape",
            Self::Graphite => "graphite",
            Self::Statsd => "statsd",
        }
    }
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
    /// Who sends: a limit that is met stops this source alone.
    pub source: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// Time of samples that bring none.
    pub now: TimestampMs,
}

impl Body<'_> {
    fn from(&self) -> From<'_> {
        From { format: self.format, source: self.source, now: self.now }
    }
}

/// Where samples come from.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// How they came.
    pub format: Format,
    /// Who sent them.
    pub source: &'a str,
    /// When.
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
    /// Bodies that were sent back because their source had sent too much.
    pub limited: u64,
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
    counts: Mutex<BTreeMap<Format, Counts>>,
    rates: Mutex<Rates>,
    tap: OnceLock<Arc<dyn Tap>>,
}

/// Why a body was not taken as a whole.
enum Failure {
    Decode(DecodeError),
    Store(StoreError),
}

impl std::convert::From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl std::convert::From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Doors {
    /// `identity`: the labels of this host's own series, which nobody may push.
    #[must_use]
    ///
    /// `per_second`: samples that one source may push in a second; as many as come when not said.
    pub fn new(store: Arc<Store>, identity: Labels, per_second: Option<u32>) -> Self {
        Self {
            store,
            identity,
            bearers: Bearers::default(),
            decoders: Mutex::default(),
            metadata: MetadataStore::default(),
            exemplars: ExemplarStore::default(),
            deltas: Mutex::new(otlp::Deltas::new(DELTAS_MAX)),
            counts: Mutex::default(),
            rates: Mutex::new(Rates::new(per_second)),
            tap: OnceLock::new(),
        }
    }

    /// Gives what is pushed from now on to `tap`, too. The first one stays.
    pub fn set_tap(&self, tap: Arc<dyn Tap>) {
        // A second one would be a mistake of the program's own wiring, and changes nothing.
        let _ = self.tap.set(tap);
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

    /// Counts since the start, by format.
    #[must_use]
    pub fn counts(&self) -> Vec<(Format, Counts)> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(f, c)| (*f, *c)).collect()
    }

    fn count(&self, format: Format, count: impl FnOnce(&mut Counts)) {
        count(self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(format).or_default());
    }

    /// How long a source has to wait; `None` when it may send.
    fn wait(&self, format: Format, source: &str, now: TimestampMs) -> Option<Duration> {
        let wait = self.rates.lock().unwrap_or_else(PoisonError::into_inner).wait(source, now);
        if wait.is_some() {
            self.count(format, |c| c.limited += 1);
        }
        wait
    }

    /// Takes one body; when the answer is a good one, its samples are on disk. Blocking.
    #[must_use]
    pub fn push(&self, body: &Body<'_>) -> Pushed {
        if let Some(wait) = self.wait(body.format, body.source, body.now) {
            let seconds = wait.as_secs_f64().ceil();
            let told = format!("this source sends more samples than it may; try again after {seconds} s\n");
            return Pushed { headers: vec![("retry-after", seconds.to_string())], ..plain(429, told) };
        }
        let result = match body.format {
            Format::RemoteWrite => self.remote_write(body),
            Format::Text => self.text(body),
            Format::Otlp => self.otlp(body),
            Format::Influx => self.influx(body),
            Format::Scrape | Format::Graphite | Format::Statsd => {
                Ok(plain(415, "this format has a door of its own\n".to_owned()))
            }
        };
        result.unwrap_or_else(|failure| self.failed(body.format, &failure))
    }

    /// Stores what `fill` gives to the sink, unless this source has sent too much; how many samples were stored and left out.
    ///
    /// # Errors
    /// Of the store.
    pub fn take(&self, from: &From<'_>, fill: impl FnOnce(&mut dyn Sink)) -> Result<(u64, u64), StoreError> {
        // What we ask for ourselves has limits of its own.
        if from.format != Format::Scrape && self.wait(from.format, from.source, from.now).is_some() {
            return Ok((0, 0));
        }
        let taken = self.with_sink(from, |sink| {
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
        from: &From<'_>,
        decode: impl FnOnce(&mut dyn Sink) -> Result<Tally, DecodeError>,
    ) -> Result<Taken, Failure> {
        let mut appender = self.store.appender(from.format as u8, from.source);
        let mut side = Side::new(&mut appender, &self.bearers, &self.metadata, &self.exemplars);
        // What targets gave is sent on by who scraped them.
        let tap = self.tap.get().filter(|tap| from.format != Format::Scrape && tap.is_open());
        let (tally, foreign, ahead, tapped) = if tap.is_some() {
            let mut tee = Tee::new(&mut side);
            let mut guard = Guard::new(&mut tee, &self.identity, from.now);
            let tally = decode(&mut guard)?;
            let (foreign, ahead) = (guard.refused as u64, guard.ahead as u64);
            (tally, foreign, ahead, tee.series)
        } else {
            let mut guard = Guard::new(&mut side, &self.identity, from.now);
            let tally = decode(&mut guard)?;
            (tally, guard.refused as u64, guard.ahead as u64, Vec::new())
        };
        let accepted = appender.finish_durable()?;
        if let Some(tap) = tap {
            tap.take(tapped);
        }
        let refused = tally.refused + foreign + ahead + accepted.refused.total();
        let why = why(&tally, foreign, ahead, &accepted.refused);
        self.count(from.format, |c| {
            c.stored += accepted.samples;
            c.refused += refused;
        });
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).pay(
            from.source,
            accepted.samples + refused,
            from.now,
        );
        Ok(Taken { tally, stored: accepted.samples, refused, why })
    }

    fn remote_write(&self, body: &Body<'_>) -> Result<Pushed, Failure> {
        let version = remote_write::Version::from_content_type(some(body.content_type))?;
        let encoding = remote_write::encoding(some(body.content_encoding))?;
        let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = idle.unwrap_or_else(|| remote_write::Decoder::new(Limits::default()));
        let taken = self.with_sink(&body.from(), |sink| decoder.decode(version, encoding, body.bytes, sink));
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
        let taken = self.with_sink(&body.from(), |sink| {
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
        let taken = self.with_sink(&body.from(), |sink| {
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
        let taken = self.with_sink(&body.from(), |sink| {
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
                self.count(format, |c| c.broken += 1);
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
