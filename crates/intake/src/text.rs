//! Pages of metrics: Prometheus' text format 0.0.4, OpenMetrics 1.0 text, and Prometheus' protobuf format.
//!
//! The text formats are read line by line without copies. The bytes of `name{labels}` are the key by which a sink may
//! know a series; only when it does not, they are taken apart. A page that is scraped stands or falls as a whole; an
//! import leaves out what it cannot read (see [`BadLines`]).
//!
//! Two things follow Prometheus 3 rather than the letter of the formats: `le` and `quantile` of histograms and
//! summaries become canonical numbers (`1` becomes `1.0`), so that the formats agree; and samples need not fit the
//! suffixes of their family's kind. `_created` lines are series like any other.

mod format;
mod comment;
mod labels;
mod line;
mod protobuf;
#[cfg(test)]
mod tests;

pub use format::{ACCEPT, ACCEPT_ENCODING, ACCEPT_NATIVE, Format};

use wellkept_model::{MetricKind, Sink, TimestampMs};

use crate::metadata::{Raw, Seen};
use crate::{DecodeError, Limits, Refusal, Tally};

/// What happens to a line that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BadLines {
    /// The page is refused, with the line's number. Right for scraping.
    #[default]
    Fail,
    /// The line is left out and counted. Right for imports.
    Skip,
}

/// How a page is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Time of samples that carry none.
    pub now: TimestampMs,
    /// Whether times on the page count; otherwise every sample is of `now`.
    pub honor_timestamps: bool,
    /// What happens to a line that cannot be read.
    pub bad_lines: BadLines,
    /// Whether the classic buckets of a native histogram are wanted beside it (protobuf only).
    pub classic_too: bool,
}

impl Options {
    /// For a scrape at `now`.
    #[must_use]
    pub fn scrape(now: TimestampMs) -> Self {
        Self { now, honor_timestamps: true, bad_lines: BadLines::Fail, classic_too: false }
    }

    /// For `/api/v1/import/prometheus` at `now`.
    #[must_use]
    pub fn import(now: TimestampMs) -> Self {
        Self { bad_lines: BadLines::Skip, ..Self::scrape(now) }
    }
}

/// Decodes one page after the other and keeps its buffers. One per target or worker.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    key: Vec<u8>,
    block: labels::Block,
    metadata_seen: Seen,
}

/// Why a line cannot be read, and what would be accepted.
type Problem = &'static str;

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes one page, already decompressed.
    ///
    /// # Errors
    /// [`DecodeError::Line`] for text, [`DecodeError::Proto`] for protobuf, [`DecodeError::TooLarge`],
    /// [`DecodeError::TooManySamples`]. What the sink was given of the page is to be thrown away.
    pub fn decode<S: Sink + ?Sized>(
        &mut self,
        format: Format,
        page: &[u8],
        options: &Options,
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        let outcome = self.decode_page(format, page, options, sink);
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

    fn decode_page<S: Sink + ?Sized>(
        &mut self,
        format: Format,
        page: &[u8],
        options: &Options,
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        if page.len() > self.limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        if format == Format::Protobuf {
            return protobuf::decode(
                page,
                options,
                &self.limits,
                &mut self.key,
                &mut self.metadata_seen,
                sink,
            );
        }
        let mut page = Page {
            decoder: self,
            options,
            open_metrics: format == Format::OpenMetrics,
            family: Raw::default(),
            kind: MetricKind::Unknown,
            tally: Tally::default(),
            rest: page,
        };
        page.read(sink)?;
        Ok(page.tally)
    }
}

/// A page while it is read.
struct Page<'a, 'd> {
    decoder: &'d mut Decoder,
    options: &'d Options,
    open_metrics: bool,
    /// What the comments have said of the current family.
    family: Raw<'a>,
    /// Kind of the last family that told one; decides what `le` and `quantile` mean.
    kind: MetricKind,
    tally: Tally,
    rest: &'a [u8],
}

impl<'a> Page<'a, '_> {
    fn read<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), DecodeError> {
        let mut number = 0;
        let mut ended = false;
        while !self.rest.is_empty() {
            number += 1;
            let line = self.take_line();
            if self.open_metrics && line == b"# EOF" {
                ended = true;
                break;
            }
            match self.line(line, sink) {
                Ok(()) => {}
                Err(problem) if self.options.bad_lines == BadLines::Fail => {
                    return Err(DecodeError::Line { line: number, problem });
                }
                Err(problem) => self.tally.refuse(1, Refusal::Line { line: number, problem }),
            }
            if self.tally.samples > self.decoder.limits.samples as u64 {
                return Err(DecodeError::TooManySamples { limit: self.decoder.limits.samples });
            }
        }
        self.finish_family(sink);
        if self.open_metrics && self.options.bad_lines == BadLines::Fail {
            if !ended {
                return Err(DecodeError::Line {
                    line: number,
                    problem: "the page does not end with `# EOF`",
                });
            }
            if !self.rest.is_empty() {
                return Err(DecodeError::Line { line: number + 1, problem: "nothing may follow `# EOF`" });
            }
        }
        Ok(())
    }

    fn take_line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest.get(1..).unwrap_or_default();
        if self.open_metrics { line } else { line.strip_suffix(b"\r").unwrap_or(line) }
    }

    fn line<S: Sink + ?Sized>(&mut self, line: &'a [u8], sink: &mut S) -> Result<(), Problem> {
        if line.len() > self.decoder.limits.line_bytes {
            return Err("the line is too long");
        }
        let line = if self.open_metrics { line } else { line::skip_blanks(line) };
        match line {
            [] if self.open_metrics => Err("OpenMetrics has no empty lines"),
            [] => Ok(()),
            [b'#', comment @ ..] => self.comment(comment, sink),
            _ => self.sample(line, sink),
        }
    }

    fn sample<S: Sink + ?Sized>(&mut self, line: &'a [u8], sink: &mut S) -> Result<(), Problem> {
        let (wire, rest) = line::split_key(line)?;
        let sample = line::Sample::parse(rest, self.open_metrics)?;
        let decoder = &mut *self.decoder;
        let bounds = labels::Bounds::of(self.kind);
        // The same bytes mean another series where bounds are made canonical: the key says so.
        let key = if bounds == labels::Bounds::AsSent {
            wire
        } else {
            decoder.key.clear();
            decoder.key.extend_from_slice(wire);
            decoder.key.extend_from_slice(bounds.mark());
            &decoder.key
        };
        if !sink.known(key) {
            decoder.block.parse(wire, true, bounds, &decoder.limits)?;
            sink.series(key, &decoder.block.pairs(wire)?);
        }
        let stamp = sample.at.filter(|_| self.options.honor_timestamps).unwrap_or(self.options.now);
        sink.float(stamp, sample.value);
        self.tally.samples += 1;
        self.tally.series += 1;
        if let Some(exemplar) = sample.exemplar {
            decoder.block.parse(exemplar.labels, false, labels::Bounds::AsSent, &decoder.limits)?;
            let at = exemplar.at.unwrap_or(stamp);
            sink.exemplar(at, exemplar.value, &decoder.block.pairs(exemplar.labels)?);
            self.tally.exemplars += 1;
        }
        Ok(())
    }
}
