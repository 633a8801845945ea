//! Graphite's plaintext protocol: `path value [time]`, with tags `path;tag=value`.
//!
//! The path is the metric's name. A time of -1, or none, means now; it is in seconds, and may have a fraction. A line
//! that is wrong is left out, as carbon does it.

use wellkept_model::{METRIC_NAME, Sink, TimestampMs};

use crate::key::{Pairs, push_pair};
use crate::names::Names;
use crate::{Limits, Refusal, Tally, number};

/// Decodes lines. One per connection or datagram socket.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    names: Names,
    key: Vec<u8>,
}

/// First byte of every key, so that no other door's keys are like ours.
const DOOR: u8 = 0x02;

type Problem = &'static str;

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits, names: Names) -> Self {
        Self { limits, names, key: Vec::new() }
    }

    /// Decodes whole lines; the caller keeps an unfinished last line back (and drops one that grows beyond
    /// [`Limits::line_bytes`]). At the end of a stream or in a datagram the last line feed may be missing.
    ///
    /// The caller bounds the length of `lines`; a sample takes at least three bytes.
    pub fn decode<S: Sink + ?Sized>(&mut self, lines: &[u8], now: TimestampMs, sink: &mut S) -> Tally {
        let mut tally = Tally::default();
        for (i, line) in lines.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match self.line(line, now, sink) {
                Ok(()) => {
                    tally.series += 1;
                    tally.samples += 1;
                }
                Err(problem) => tally.refuse(1, Refusal::Line { line: i + 1, problem }),
            }
        }
        tally
    }

    fn line<S: Sink + ?Sized>(&mut self, line: &[u8], now: TimestampMs, sink: &mut S) -> Result<(), Problem> {
        if line.len() > self.limits.line_bytes {
            return Err("the line is too long");
        }
        let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty());
        let path = words.next().ok_or("the line is empty")?;
        let value = words.next().ok_or("a value must follow the path")?;
        let value = number::float(value).ok_or("the value is not a number")?;
        let at = match words.next() {
            None | Some(b"-1") => now,
            Some(text) => {
                let seconds = number::float(text).filter(|s| s.is_finite());
                TimestampMs((seconds.ok_or("the time is not a number of seconds")? * 1000.0).round() as i64)
            }
        };
        if words.next().is_some() {
            return Err("nothing may follow the time");
        }
        self.key.clear();
        self.key.push(DOOR);
        self.key.extend_from_slice(path);
        if !sink.known(&self.key) {
            self.announce(path, sink)?;
        }
        sink.float(at, value);
        Ok(())
    }

    fn announce<S: Sink + ?Sized>(&self, path: &[u8], sink: &mut S) -> Result<(), Problem> {
        let path = std::str::from_utf8(path).map_err(|_| "the path is not UTF-8")?;
        let mut parts = path.split(';');
        let mut name = String::new();
        self.names.metric(&mut name, parts.next().unwrap_or(""));
        if name.is_empty() {
            return Err("the path is empty");
        }
        let mut tags = Vec::new();
        for part in parts.filter(|p| !p.is_empty()) {
            let (tag, value) = part.split_once('=').ok_or("a tag needs `=` and a value")?;
            if tag.is_empty() {
                return Err("a tag needs a name");
            }
            if tags.len() >= self.limits.labels {
                return Err("the path has too many tags");
            }
            let mut label = String::new();
            self.names.label(&mut label, tag);
            tags.push((label, value));
        }
        let mut pairs = Pairs::new();
        let all = tags.iter().map(|(label, value)| (label.as_str(), *value));
        for (label, value) in std::iter::once((METRIC_NAME, name.as_str())).chain(all) {
            push_pair(&mut pairs, label.as_bytes(), value.as_bytes(), &self.limits)
                .map_err(|_| "the path has too many tags, or a name or value is too long")?;
        }
        sink.series(&self.key, &pairs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    fn read(names: Names, lines: &str) -> (Recorder, Tally) {
        let mut sink = Recorder::default();
        let tally =
            Decoder::new(Limits::default(), names).decode(lines.as_bytes(), TimestampMs(7), &mut sink);
        (sink, tally)
    }

    #[test]
    fn paths_values_times_and_tags_are_read() {
        let lines =
            "servers.web-1.load 0.5 1700000000\r\n\nx;dc=eu;rack=r1 1e3 1700000000.25\nx\t2\nx 3 -1\nx 4";
        let (sink, tally) = read(Names::AsSent, lines);
        assert_eq!(
            sink.samples,
            [
                "servers.web-1.load 1700000000000 0.5",
                r#"x{dc="eu", rack="r1"} 1700000000250 1000"#,
                "x 7 2",
                "x 7 3",
                "x 7 4",
            ]
        );
        assert_eq!((tally.samples, tally.refused, sink.known), (5, 0, 2));
        assert_eq!(read(Names::Classic, "a.b;c-d=e 1").0.samples, [r#"a_b{c_d="e"} 7 1"#]);
    }

    #[test]
    fn lines_that_are_wrong_are_left_out_and_counted() {
        for line in ["a", "a b", "a 1 x", "a 1 NaN", "a 1 2 3", ";a=b 1", "a;b 1", "a;=b 1"] {
            let (sink, tally) = read(Names::AsSent, &format!("ok 1\n{line}\n"));
            assert_eq!((sink.samples.len(), tally.refused), (1, 1), "{line}");
            assert!(tally.first_refusal.unwrap().to_string().starts_with("line 2: "), "{line}");
        }
    }
}
