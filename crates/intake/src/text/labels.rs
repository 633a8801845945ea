//! A series taken apart: `name{label="value",…}` and, since Prometheus 3, `{"name","label"="value",…}`.
//!
//! Nearly all names and values can be borrowed from the line. Those with an escape are put together in one buffer;
//! so a label is two ranges, and becomes text only when all are known.

use std::ops::Range;

use wellkept_model::{METRIC_NAME, MetricKind};

use super::{Problem, line};
use crate::key::{Pairs, check_pair};
use crate::{Limits, Refusal, number};

/// Which label holds a number that is written in many ways and has to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    AsSent,
    Le,
    Quantile,
}

impl Bounds {
    pub(super) fn of(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Histogram => Self::Le,
            MetricKind::Summary => Self::Quantile,
            _ => Self::AsSent,
        }
    }

    /// What is put behind a key: a byte that UTF-8 never has, and which label it is.
    pub(super) fn mark(self) -> &'static [u8] {
        match self {
            Self::AsSent => b"",
            Self::Le => b"\xffl",
            Self::Quantile => b"\xffq",
        }
    }

    fn label(self) -> Option<&'static [u8]> {
        match self {
            Self::AsSent => None,
            Self::Le => Some(b"le"),
            Self::Quantile => Some(b"quantile"),
        }
    }
}

/// A piece of text: of the line, of the buffer, or the label that holds the metric's name.
#[derive(Debug, Clone)]
enum Piece {
    Line(Range<usize>),
    Buffer(Range<usize>),
    MetricName,
}

/// The labels of one series. Used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Block {
    pieces: Vec<(Piece, Piece)>,
    buffer: Vec<u8>,
}

/// Walks over one series' bytes.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.at = self.text.len() - line::skip_blanks(self.rest()).len();
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, problem: Problem) -> Result<(), Problem> {
        self.skip_blanks();
        if self.peek() != Some(byte) {
            return Err(problem);
        }
        self.at += 1;
        Ok(())
    }

    /// A name without quotes; `colons` are allowed in metric names only.
    fn bare_name(&mut self, colons: bool) -> Result<Range<usize>, Problem> {
        let fits = |first: bool, b: u8| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => !first,
            b':' => colons,
            _ => false,
        };
        let rest = self.rest();
        let length = rest.iter().enumerate().position(|(i, b)| !fits(i == 0, *b)).unwrap_or(rest.len());
        if length == 0 {
            return Err("a name is missing or starts with a character that needs quotes");
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    /// A quoted text; the range is what stands between the quotes, escapes and all.
    fn quoted(&mut self) -> Result<Range<usize>, Problem> {
        self.expect(b'"', "a label's value must stand in double quotes")?;
        let start = self.at;
        self.at += line::quoted_end(self.rest())?;
        Ok(start..self.at - 1)
    }
}

impl Block {
    /// Takes a series apart. `named`: it must have a metric name; exemplars have none.
    pub(super) fn parse(
        &mut self,
        text: &[u8],
        named: bool,
        bounds: Bounds,
        limits: &Limits,
    ) -> Result<(), Problem> {
        self.pieces.clear();
        self.buffer.clear();
        let mut cursor = Cursor { text, at: 0 };
        let mut has_name = false;
        if cursor.peek() != Some(b'{') {
            let name = cursor.bare_name(true)?;
            self.push(text, Piece::MetricName, Piece::Line(name), limits)?;
            has_name = true;
            cursor.skip_blanks();
        }
        if cursor.peek().is_some() {
            cursor.expect(b'{', "a metric name has a character that needs quotes")?;
            self.entries(&mut cursor, &mut has_name, bounds, limits)?;
        }
        match (named, has_name) {
            (true, false) => Err("a series needs a metric name"),
            (false, true) => Err("an exemplar has no metric name"),
            _ => Ok(()),
        }
    }

    fn entries(
        &mut self,
        cursor: &mut Cursor<'_>,
        has_name: &mut bool,
        bounds: Bounds,
        limits: &Limits,
    ) -> Result<(), Problem> {
        loop {
            cursor.skip_blanks();
            match cursor.peek() {
                Some(b'}') => return Ok(()),
                Some(b'"') => {
                    let name = cursor.quoted()?;
                    let name = self.unescape(cursor.text, name);
                    cursor.skip_blanks();
                    if cursor.peek() == Some(b'=') {
                        self.value(cursor, name, bounds, limits)?;
                    } else if std::mem::replace(has_name, true) {
                        return Err("a series has two metric names");
                    } else {
                        self.push(cursor.text, Piece::MetricName, name, limits)?;
                    }
                }
                _ => {
                    let name = Piece::Line(cursor.bare_name(false)?);
                    self.value(cursor, name, bounds, limits)?;
                }
            }
            cursor.skip_blanks();
            match cursor.peek() {
                Some(b',') => cursor.at += 1,
                Some(b'}') => return Ok(()),
                _ => return Err("labels are separated by commas"),
            }
        }
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        name: Piece,
        bounds: Bounds,
        limits: &Limits,
    ) -> Result<(), Problem> {
        cursor.expect(b'=', "a label needs `=` and a value")?;
        let value = cursor.quoted()?;
        let mut value = self.unescape(cursor.text, value);
        if bounds.label().is_some_and(|label| self.bytes(cursor.text, &name) == label)
            && let Some(number) = number::float(self.bytes(cursor.text, &value))
        {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(number::canonical(number).as_bytes());
            value = Piece::Buffer(start..self.buffer.len());
        }
        self.push(cursor.text, name, value, limits)
    }

    fn push(&mut self, text: &[u8], name: Piece, value: Piece, limits: &Limits) -> Result<(), Problem> {
        check_pair(self.pieces.len(), self.bytes(text, &name), self.bytes(text, &value), limits)
            .map_err(problem)?;
        self.pieces.push((name, value));
        Ok(())
    }

    /// `\\`, `\"` and `\n` are one character; any other backslash stands for itself.
    fn unescape(&mut self, text: &[u8], range: Range<usize>) -> Piece {
        let mut rest = text.get(range.clone()).unwrap_or_default();
        if memchr::memchr(b'\\', rest).is_none() {
            return Piece::Line(range);
        }
        let start = self.buffer.len();
        unescape_into(&mut self.buffer, &mut rest);
        Piece::Buffer(start..self.buffer.len())
    }

    fn bytes<'t>(&'t self, text: &'t [u8], piece: &Piece) -> &'t [u8] {
        match piece {
            Piece::Line(range) => text.get(range.clone()).unwrap_or_default(),
            Piece::Buffer(range) => self.buffer.get(range.clone()).unwrap_or_default(),
            Piece::MetricName => METRIC_NAME.as_bytes(),
        }
    }

    /// The labels as text. `text`: what was given to [`Self::parse`].
    pub(super) fn pairs<'t>(&'t self, text: &'t [u8]) -> Result<Pairs<'t>, Problem> {
        let as_text =
            |piece| std::str::from_utf8(self.bytes(text, piece)).map_err(|_| "a label is not UTF-8");
        self.pieces.iter().map(|(name, value)| Ok((as_text(name)?, as_text(value)?))).collect()
    }
}

/// Appends `rest` with its escapes resolved.
pub(super) fn unescape_into(buffer: &mut Vec<u8>, rest: &mut &[u8]) {
    while let Some(at) = memchr::memchr(b'\\', rest) {
        buffer.extend_from_slice(rest.get(..at).unwrap_or_default());
        match rest.get(at + 1) {
            Some(b'n') => buffer.push(b'\n'),
            Some(c @ (b'"' | b'\\')) => buffer.push(*c),
            Some(c) => buffer.extend_from_slice(&[b'\\', *c]),
            None => buffer.push(b'\\'),
        }
        *rest = rest.get(at + 2..).unwrap_or_default();
    }
    buffer.extend_from_slice(rest);
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::TooManyLabels { .. } => "the series has too many labels",
        Refusal::NameTooLong { .. } => "a label name is too long",
        _ => "a label value is too long",
    }
}
