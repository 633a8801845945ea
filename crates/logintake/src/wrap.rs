//! What container runtimes put around a line: the form of Kubernetes' runtimes (CRI) and Docker's json-file.
//!
//! Both tell the time and the stream, and cut long lines into parts of 16 KiB that say whether they are the last.
//! [`Parts`] puts those together again, up to a bound.

use crate::json::{Members, Value, unescaped};
use crate::{Zone, stamp};

/// Which of its two outputs a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The value of the label `stream`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// A line, or a part of one, taken out of its wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// When the runtime read it, nanoseconds since the epoch.
    pub at_ns: i64,
    /// Where it was written.
    pub stream: Stream,
    /// More parts of the same line follow.
    pub partial: bool,
    /// What the container wrote, without its line end.
    pub text: std::borrow::Cow<'a, [u8]>,
}

/// Takes a line out of whichever wrapping it has; nothing when it has none.
#[must_use]
pub fn unwrap(line: &[u8]) -> Option<Unwrapped<'_>> {
    match line.first()? {
        b'{' => docker(line),
        b'0'..=b'9' => cri(line),
        _ => None,
    }
}

/// `2024-01-02T03:04:05.678901234Z stdout F text`; `P` instead of `F` for a part.
#[must_use]
pub fn cri(line: &[u8]) -> Option<Unwrapped<'_>> {
    let stamp = stamp::at_start(line, 0, &Zone::utc())?;
    let rest = line.get(stamp.end..)?.strip_prefix(b" ")?;
    let (stream, rest) = match rest {
        [b's', b't', b'd', b'o', b'u', b't', b' ', rest @ ..] => (Stream::Out, rest),
        [b's', b't', b'd', b'e', b'r', b'r', b' ', rest @ ..] => (Stream::Err, rest),
        _ => return None,
    };
    // Tags are joined with colons; the first says whether the line is whole.
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let partial = match rest.get(..end)?.split(|b| *b == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    let text = rest.get(end + 1..).unwrap_or_default();
    Some(Unwrapped { at_ns: stamp.at_ns, stream, partial, text: text.into() })
}

/// `{"log":"text\n","stream":"stdout","time":"2024-01-02T03:04:05.678901234Z"}`; a part lacks the line feed.
#[must_use]
pub fn docker(line: &[u8]) -> Option<Unwrapped<'_>> {
    let (mut log, mut stream, mut at_ns) = (None, Stream::Out, None);
    for (key, value) in Members::of(line)? {
        match (key, value) {
            (b"log", Value::Text(raw)) => log = Some(unescaped(raw)),
            (b"stream", Value::Text(b"stderr")) => stream = Stream::Err,
            (b"time", Value::Text(raw)) => at_ns = stamp::at_start(raw, 0, &Zone::utc()).map(|s| s.at_ns),
            _ => {}
        }
    }
    let mut text = match log? {
        std::borrow::Cow::Borrowed(text) => text.as_bytes().to_vec(),
        std::borrow::Cow::Owned(text) => text.into_bytes(),
    };
    let partial = text.pop_if(|b| *b == b'\n').is_none();
    text.pop_if(|b| *b == b'\r' && !partial);
    Some(Unwrapped { at_ns: at_ns?, stream, partial, text: text.into() })
}

/// Puts the parts of a line together.
#[derive(Debug, Default)]
pub struct Parts {
    held: Vec<u8>,
}

impl Parts {
    /// Takes a part. True when the line is whole, or as long as is allowed: then [`Self::line`] is it.
    pub fn push(&mut self, part: &Unwrapped<'_>, line_bytes: usize) -> bool {
        self.held.extend_from_slice(&part.text);
        !part.partial || self.held.len() >= line_bytes
    }

    /// What was put together so far.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.held
    }

    /// Whether parts are held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Begins the next line.
    pub fn clear(&mut self) {
        self.held.clear();
        self.held.shrink_to(64 << 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_704_164_645_678_901_234;

    fn check(line: &[u8], stream: Stream, partial: bool, text: &[u8]) {
        let expected = Unwrapped { at_ns: AT, stream, partial, text: text.into() };
        assert_eq!(unwrap(line), Some(expected), "{}", String::from_utf8_lossy(line));
    }

    #[test]
    fn both_wrappings_are_taken_off() {
        check(b"2024-01-02T03:04:05.678901234Z stdout F hi \xff there", Stream::Out, false, b"hi \xff there");
        check(b"2024-01-02T04:04:05.678901234+01:00 stderr P part", Stream::Err, true, b"part");
        check(b"2024-01-02T03:04:05.678901234Z stdout F ", Stream::Out, false, b"");
        check(b"2024-01-02T03:04:05.678901234Z stdout F", Stream::Out, false, b"");
        check(
            br#"{"log":"a \"b\"\r\n","stream":"stderr","time":"2024-01-02T03:04:05.678901234Z"}"#,
            Stream::Err,
            false,
            b"a \"b\"",
        );
        check(
            br#"{"log":"part","stream":"stdout","attrs":{"x":"y"},"time":"2024-01-02T03:04:05.678901234Z"}"#,
            Stream::Out,
            true,
            b"part",
        );
    }

    #[test]
    fn other_lines_are_not_wrapped() {
        for line in [
            &b""[..],
            b"hello",
            b"2024-01-02T03:04:05Z INFO F up",
            b"2024-01-02T03:04:05Z stdout X up",
            b"{\"msg\":\"x\"}",
            b"{\"log\":\"x\\n\",\"time\":\"yesterday\"}",
        ] {
            assert_eq!(unwrap(line), None);
        }
    }

    #[test]
    fn parts_become_one_line_up_to_a_bound() {
        let part = |text: &'static [u8], partial| Unwrapped {
            at_ns: 0,
            stream: Stream::Out,
            partial,
            text: text.into(),
        };
        let mut parts = Parts::default();
        assert!(!parts.push(&part(b"ab", true), 6));
        assert!(parts.push(&part(b"c", false), 6));
        assert_eq!(parts.line(), b"abc");
        parts.clear();
        assert!(!parts.push(&part(b"abc", true), 6));
        assert!(parts.push(&part(b"def", true), 6), "without an end, but long enough");
    }
}
