//! Plain text: one line after the other, whatever they are.

use wellkept_model::{Labels, LogSink};

use crate::emit::{Arrival, Emitter};
use crate::{DecodeError, Limits, Tally};

/// Hands on each line of `body` under `labels`. Line ends are a line feed, with or without a carriage return before it;
/// empty lines are left out.
///
/// # Errors
/// [`DecodeError::TooManyLines`]; what the sink was given is to be thrown away.
pub fn decode(
    body: &[u8],
    labels: &Labels,
    arrival: &Arrival<'_>,
    limits: &Limits,
    sink: &mut dyn LogSink,
) -> Result<Tally, DecodeError> {
    let mut emitter = Emitter::new(limits, arrival, sink);
    for line in body.split(|b| *b == b'\n').map(without_end).filter(|l| !l.is_empty()) {
        emitter.line(labels, None, None, line, &[])?;
    }
    Ok(emitter.tally)
}

/// A line without the carriage return before its line feed.
#[must_use]
pub fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Kept;

    #[test]
    fn lines_are_handed_on_byte_for_byte() {
        let mut kept = Kept::default();
        let labels = Labels::new([("service", "a")]);
        let body = b"one\r\n\n\x00\xff two\n2024-01-02 03:04:05 WARN three";
        let tally = decode(body, &labels, &Kept::ARRIVAL, &Limits::default(), &mut kept).unwrap();
        assert_eq!(tally.accepted, 3);
        assert_eq!(kept.texts(), ["one", "\u{0}\u{fffd} two", "2024-01-02 03:04:05 WARN three"]);
        assert_eq!(kept.lines[1].text, b"\x00\xff two");
        assert_eq!(kept.lines[2].at_ns, 1_704_164_645_000_000_000);
        assert_eq!(kept.lines[0].at_ns, Kept::ARRIVAL.now_ns);
        assert_eq!(kept.lines[2].level, Some(wellkept_model::Level::Warning));
    }

    #[test]
    fn long_lines_come_in_pieces_and_a_clock_ahead_is_not_believed() {
        let mut kept = Kept::default();
        let limits = Limits { line_bytes: 10, lines: 3, ..Limits::default() };
        let body = b"0123456789abcdef\n2124-01-02 03:04:05";
        let tally = decode(body, &Labels::default(), &Kept::ARRIVAL, &limits, &mut kept).unwrap();
        assert_eq!((tally.accepted, tally.split, tally.ahead), (2, 2, 1));
        assert_eq!(kept.texts(), ["0123456789", "abcdef", "2124-01-02", " 03:04:05"]);
        assert!(kept.lines.iter().all(|l| l.at_ns == Kept::ARRIVAL.now_ns));
        let many = decode(b"a\nb\nc\nd\n", &Labels::default(), &Kept::ARRIVAL, &limits, &mut kept);
        assert_eq!(many, Err(DecodeError::TooManyLines { limit: 3 }));
    }
}
