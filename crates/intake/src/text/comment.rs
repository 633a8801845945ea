//! Lines that start with `#`: what a family is.

use wellkept_model::{Metadata, MetricKind, Sink};

use super::labels::unescape_into;
use super::{Page, Problem, line};
use crate::metadata::Raw;

impl<'a> Page<'a, '_> {
    /// `text` is the line without its `#`.
    pub(super) fn comment<S: Sink + ?Sized>(&mut self, text: &'a [u8], sink: &mut S) -> Result<(), Problem> {
        let Some((keyword, rest)) = split_word(text) else {
            return self.other_comment();
        };
        if !matches!(keyword, b"HELP" | b"TYPE" | b"UNIT") || (keyword == b"UNIT" && !self.open_metrics) {
            return self.other_comment();
        }
        let (family, rest) = family(rest)?;
        if family != self.family.family {
            self.finish_family(sink);
            self.family = Raw { family, ..Raw::default() };
            self.kind = MetricKind::Unknown;
        }
        match keyword {
            b"TYPE" => {
                self.kind = kind(rest.trim_ascii_end(), self.open_metrics)?;
                self.family.kind = self.kind;
            }
            b"HELP" => self.family.help = rest,
            _ => {
                check_unit(family, rest)?;
                self.family.unit = rest;
            }
        }
        Ok(())
    }

    fn other_comment(&self) -> Result<(), Problem> {
        if self.open_metrics {
            Err("OpenMetrics has no comments but HELP, TYPE, UNIT and EOF")
        } else {
            Ok(())
        }
    }

    /// Hands on what was said of the family that has ended.
    pub(super) fn finish_family<S: Sink + ?Sized>(&mut self, sink: &mut S) {
        if self.family.family.is_empty() {
            return;
        }
        let suffix = match self.family.kind {
            MetricKind::Counter if self.open_metrics => "_total",
            MetricKind::Info if self.open_metrics => "_info",
            _ => "",
        };
        let finish = |metadata: &mut Metadata| {
            metadata.help = unescaped(&metadata.help);
            metadata.family = unescaped(&metadata.family);
            if !metadata.family.ends_with(suffix) {
                metadata.family.push_str(suffix);
            }
        };
        self.decoder.metadata_seen.hand_on(&self.family, &self.decoder.limits, sink, finish);
        self.family = Raw::default();
    }
}

fn unescaped(text: &str) -> String {
    let mut buffer = Vec::with_capacity(text.len());
    unescape_into(&mut buffer, &mut text.as_bytes());
    String::from_utf8(buffer).unwrap_or_default()
}

/// The next word and the text behind the blank that follows it.
fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = line::skip_blanks(text);
    if start.len() == text.len() {
        return None;
    }
    let end = start.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(start.len());
    let (word, rest) = start.split_at_checked(end)?;
    Some((word, line::skip_blanks(rest)))
}

/// The family's name, bare or in quotes, and what follows it. Escapes stay: they are resolved when it is handed on.
fn family(text: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    const MISSING: Problem = "HELP, TYPE and UNIT need a metric name";
    let (name, rest) = if let [b'"', quoted @ ..] = text {
        let (name, rest) = quoted.split_at_checked(line::quoted_end(quoted)?).ok_or(MISSING)?;
        (name.strip_suffix(b"\"").unwrap_or(name), rest)
    } else {
        let end = text.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(text.len());
        text.split_at_checked(end).ok_or(MISSING)?
    };
    if name.is_empty() { Err(MISSING) } else { Ok((name, line::skip_blanks(rest))) }
}

fn kind(word: &[u8], open_metrics: bool) -> Result<MetricKind, Problem> {
    Ok(match word {
        b"counter" => MetricKind::Counter,
        b"gauge" => MetricKind::Gauge,
        b"histogram" => MetricKind::Histogram,
        b"summary" => MetricKind::Summary,
        b"untyped" if !open_metrics => MetricKind::Unknown,
        b"unknown" => MetricKind::Unknown,
        b"gaugehistogram" if open_metrics => MetricKind::GaugeHistogram,
        b"info" if open_metrics => MetricKind::Info,
        b"stateset" if open_metrics => MetricKind::StateSet,
        _ if open_metrics => {
            return Err(
                "the type is none of counter, gauge, histogram, gaugehistogram, summary, info, stateset, \
                        unknown",
            );
        }
        _ => return Err("the type is none of counter, gauge, histogram, summary, untyped"),
    })
}

fn check_unit(family: &[u8], unit: &[u8]) -> Result<(), Problem> {
    let fits = unit.is_empty() || family.strip_suffix(unit).is_some_and(|stem| stem.ends_with(b"_"));
    if fits { Ok(()) } else { Err("the unit must be the last part of the metric's name") }
}
