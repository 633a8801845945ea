//! One sample's line: `name{labels} value [time] [# {labels} value [time]]`.

use wellkept_model::TimestampMs;

use super::Problem;
use crate::number;

/// Without blanks and tabs at the front.
pub(super) fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Splits a line behind the series: the name, and the labels in braces when there are any.
///
/// What stands inside is not looked at, only quotes are followed: a `}` in a label's value ends nothing.
#[inline]
pub(super) fn split_key(line: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let name = line.iter().position(|b| matches!(b, b'{' | b' ' | b'\t' | b'#' | b'"')).unwrap_or(line.len());
    let after = line.get(name..).unwrap_or_default();
    let end = match skip_blanks(after) {
        block @ [b'{', ..] => line.len() - block.len() + block_end(block)?,
        _ => name,
    };
    if end == 0 || line.first().is_some_and(u8::is_ascii_control) {
        return Err("a line starts with a metric name or with `{`");
    }
    line.split_at_checked(end).ok_or("the line ends too early")
}

/// Length of a block of labels, braces included.
#[inline]
pub(super) fn block_end(block: &[u8]) -> Result<usize, Problem> {
    const OPEN: Problem = "a `{` without its `}`";
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'}', block.get(at..).ok_or(OPEN)?).ok_or(OPEN)?;
        if block.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        at += 1 + quoted_end(block.get(at + 1..).ok_or(OPEN)?)?;
    }
}

/// Length of a quoted text from behind its opening quote to behind its closing one.
#[inline]
pub(super) fn quoted_end(text: &[u8]) -> Result<usize, Problem> {
    const OPEN: Problem = "a quote is not closed";
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..).ok_or(OPEN)?).ok_or(OPEN)?;
        if text.get(at) == Some(&b'"') {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// What follows the series on its line.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) value: f64,
    pub(super) at: Option<TimestampMs>,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

/// `# {labels} value [time]`.
#[derive(Debug)]
pub(super) struct Exemplar<'a> {
    /// Braces included.
    pub(super) labels: &'a [u8],
    pub(super) value: f64,
    pub(super) at: Option<TimestampMs>,
}

impl<'a> Sample<'a> {
    #[inline]
    pub(super) fn parse(rest: &'a [u8], open_metrics: bool) -> Result<Self, Problem> {
        let (value, rest) = word(rest).ok_or("a value must follow the series after a blank")?;
        let value = float(value)?;
        let (at, rest) = time(rest, open_metrics)?;
        let exemplar = match rest {
            [] => None,
            [b'#', exemplar @ ..] if open_metrics => Some(Exemplar::parse(exemplar)?),
            _ => return Err("only a time may follow the value"),
        };
        Ok(Self { value, at, exemplar })
    }
}

impl<'a> Exemplar<'a> {
    fn parse(rest: &'a [u8]) -> Result<Self, Problem> {
        let block = skip_blanks(rest);
        if block.first() != Some(&b'{') {
            return Err("an exemplar starts with `# {`");
        }
        let (labels, rest) = block.split_at_checked(block_end(block)?).ok_or("the line ends too early")?;
        let (value, rest) = word(rest).ok_or("an exemplar needs a value")?;
        let (at, rest) = time(rest, true)?;
        if !rest.is_empty() {
            return Err("only a time may follow an exemplar's value");
        }
        Ok(Self { labels, value: float(value)?, at })
    }
}

/// The next word and what follows it, blanks between taken away. A word must have a blank before it.
#[inline]
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = skip_blanks(text);
    if start.len() == text.len() {
        return None;
    }
    let end = start.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(start.len());
    start.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

fn float(text: &[u8]) -> Result<f64, Problem> {
    number::float(text).ok_or("the value is not a number")
}

/// The time, when there is one, and what follows it.
#[inline]
fn time(rest: &[u8], open_metrics: bool) -> Result<(Option<TimestampMs>, &[u8]), Problem> {
    let after = skip_blanks(rest);
    if after.is_empty() || after.first() == Some(&b'#') {
        return Ok((None, after));
    }
    let (text, rest) = word(rest).ok_or("a time must follow the value after a blank")?;
    let at = if open_metrics { seconds(text)? } else { milliseconds(text)? };
    Ok((Some(at), skip_blanks(rest)))
}

#[inline]
fn milliseconds(text: &[u8]) -> Result<TimestampMs, Problem> {
    let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    number.map(TimestampMs).ok_or("the time is not a whole number of milliseconds")
}

fn seconds(text: &[u8]) -> Result<TimestampMs, Problem> {
    let seconds =
        number::float(text).filter(|s| s.is_finite()).ok_or("the time is not a number of seconds")?;
    Ok(TimestampMs((seconds * 1000.0).round() as i64))
}
