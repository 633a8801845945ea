//! Influx line protocol: `measurement,tag=value field=1,other=2i 1700000000000000000`.
//!
//! A field becomes the series `measurement_field` with the tags as labels, as users of Telegraf and VictoriaMetrics
//! expect; the name of the field alone when the measurement is empty. Booleans are 1 and 0. A text field is taken when
//! it holds a number, and skipped otherwise: there is nothing to draw. A line that is wrong is left out; the others are
//! taken, as InfluxDB does it.

mod line;

use wellkept_model::{METRIC_NAME, Sink, TimestampMs};

use crate::key::{Budget, Pairs, push_pair};
use crate::names::Names;
use crate::{DecodeError, Limits, Refusal, Tally};
use line::{field, find, find_unquoted, take_line, take_until, unescape, value};

/// Unit of the times in a body: the `precision` parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `ns`, and when the parameter is absent.
    #[default]
    Nanoseconds,
    /// `u`, `us`, `µ`.
    Microseconds,
    /// `ms`.
    Milliseconds,
    /// `s`.
    Seconds,
    /// `m`.
    Minutes,
    /// `h`.
    Hours,
}

impl Precision {
    /// Reads the parameter.
    ///
    /// # Errors
    /// [`DecodeError::Header`] names what is accepted.
    pub fn from_parameter(value: Option<&str>) -> Result<Self, DecodeError> {
        Ok(match value.unwrap_or("") {
            "" | "n" | "ns" => Self::Nanoseconds,
            "u" | "us" | "µ" | "µs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            other => {
                return Err(DecodeError::Header {
                    header: "precision",
                    value: crate::error::readable(other),
                    accepted: "ns, us, ms, s, m, h",
                });
            }
        })
    }

    fn to_ms(self, time: i64) -> TimestampMs {
        TimestampMs(match self {
            Self::Nanoseconds => time.div_euclid(1_000_000),
            Self::Microseconds => time.div_euclid(1000),
            Self::Milliseconds => time,
            Self::Seconds => time.saturating_mul(1000),
            Self::Minutes => time.saturating_mul(60_000),
            Self::Hours => time.saturating_mul(3_600_000),
        })
    }
}

/// Decodes one body after the other and keeps its buffers.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    names: Names,
    key: Vec<u8>,
}

/// First byte of every key, so that no other door's keys are like ours.
const DOOR: u8 = 0x01;

type Problem = &'static str;

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits, names: Names) -> Self {
        Self { limits, names, key: Vec::new() }
    }

    /// Decodes one body, already decompressed. `database`: becomes the label `db` unless a tag says otherwise; empty
    /// for none. `now` is for lines without a time.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] and [`DecodeError::TooManySamples`]; everything else refuses single lines.
    pub fn decode<S: Sink + ?Sized>(
        &mut self,
        body: &[u8],
        precision: Precision,
        database: &str,
        now: TimestampMs,
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        if body.len() > self.limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        let mut lines =
            Lines { decoder: self, precision, database, now, texts: String::new(), tally: Tally::default() };
        let mut budget = Budget::new(&lines.decoder.limits);
        let mut rest = body;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let (line, after) = take_line(rest);
            rest = after;
            budget.spend(lines.expands_to(line))?;
            if let Err(problem) = lines.line(line, sink) {
                lines.tally.refuse(1, Refusal::Line { line: number, problem });
            }
            if lines.tally.samples > lines.decoder.limits.samples as u64 {
                return Err(DecodeError::TooManySamples { limit: lines.decoder.limits.samples });
            }
        }
        Ok(lines.tally)
    }
}

/// A body while it is read.
struct Lines<'l> {
    decoder: &'l mut Decoder,
    precision: Precision,
    database: &'l str,
    now: TimestampMs,
    /// Names and values of the current series, escapes resolved.
    texts: String,
    tally: Tally,
}

impl Lines<'_> {
    /// Bytes of labels that a line stands for, at most: its tags once for every field.
    fn expands_to(&self, line: &[u8]) -> usize {
        let tags = find(line, |b| b == b' ').unwrap_or(line.len());
        let fields = memchr::memchr_iter(b',', line.get(tags..).unwrap_or_default()).count() + 1;
        line.len().saturating_add((tags + self.database.len()).saturating_mul(fields))
    }

    fn line<S: Sink + ?Sized>(&mut self, line: &[u8], sink: &mut S) -> Result<(), Problem> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        if line.len() > self.decoder.limits.line_bytes {
            return Err("the line is too long");
        }
        let end = find(line, |b| b == b' ').ok_or("fields must follow the measurement after a blank")?;
        let (series, rest) = line.split_at_checked(end).ok_or("the line ends too early")?;
        let rest = rest.trim_ascii_start();
        let end = find_unquoted(rest, |b| b == b' ').unwrap_or(rest.len());
        let (mut fields, time) = rest.split_at_checked(end).ok_or("the line ends too early")?;
        let at = self.time(time.trim_ascii_start())?;
        // All of a line is looked at before any of it is handed on.
        let mut check = fields;
        while !check.is_empty() {
            let (name, text, after) = field(check)?;
            if name.is_empty() {
                return Err("a field needs a name");
            }
            value(text)?;
            check = after;
        }
        while !fields.is_empty() {
            let (name, text, after) = field(fields)?;
            match value(text)? {
                Some(number) => self.sample(series, name, at, number, sink)?,
                None => self.tally.skipped += 1,
            }
            fields = after;
        }
        Ok(())
    }

    fn time(&self, text: &[u8]) -> Result<TimestampMs, Problem> {
        if text.is_empty() {
            return Ok(self.now);
        }
        let time = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        time.map(|t| self.precision.to_ms(t)).ok_or("the time is not a whole number")
    }

    fn sample<S: Sink + ?Sized>(
        &mut self,
        series: &[u8],
        field: &[u8],
        at: TimestampMs,
        number: f64,
        sink: &mut S,
    ) -> Result<(), Problem> {
        let key = &mut self.decoder.key;
        key.clear();
        key.push(DOOR);
        for part in [self.database.as_bytes(), b"\0", series, b" ", field] {
            key.extend_from_slice(part);
        }
        if !sink.known(key) {
            self.announce(series, field, sink)?;
        }
        self.tally.series += 1;
        self.tally.samples += 1;
        sink.float(at, number);
        Ok(())
    }

    fn announce<S: Sink + ?Sized>(
        &mut self,
        series: &[u8],
        field: &[u8],
        sink: &mut S,
    ) -> Result<(), Problem> {
        const NOT_TEXT: Problem = "a name or value is not UTF-8";
        let limits = &self.decoder.limits;
        let names = self.decoder.names;
        let series = std::str::from_utf8(series).map_err(|_| NOT_TEXT)?;
        let field = std::str::from_utf8(field).map_err(|_| NOT_TEXT)?;
        self.texts.clear();
        let mut ends = Vec::new();
        let mut tags = series;
        let measurement = take_until(&mut tags, b',');
        let mut plain = unescape(measurement);
        if !plain.is_empty() && !field.is_empty() {
            plain.push('_');
        }
        names.metric(&mut self.texts, &(plain + &unescape(field)));
        ends.push(self.texts.len());
        while !tags.is_empty() {
            if ends.len() / 2 > limits.labels {
                return Err("the line has too many tags");
            }
            let mut value = take_until(&mut tags, b',');
            let name = take_until(&mut value, b'=');
            if name.is_empty() {
                return Err("a tag needs a name");
            }
            names.label(&mut self.texts, &unescape(name));
            ends.push(self.texts.len());
            self.texts.push_str(&unescape(value));
            ends.push(self.texts.len());
        }
        let mut texts = ends.iter().scan(0, |start, end| {
            let text = self.texts.get(*start..*end);
            *start = *end;
            text
        });
        let mut pairs = Pairs::new();
        push_checked(&mut pairs, METRIC_NAME, texts.next().unwrap_or(""), limits)?;
        let mut has_database = self.database.is_empty();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            has_database |= name == "db";
            push_checked(&mut pairs, name, value, limits)?;
        }
        if !has_database {
            push_checked(&mut pairs, "db", self.database, limits)?;
        }
        sink.series(&self.decoder.key, &pairs);
        Ok(())
    }
}

fn push_checked<'a>(
    pairs: &mut Pairs<'a>,
    name: &'a str,
    value: &'a str,
    limits: &Limits,
) -> Result<(), Problem> {
    push_pair(pairs, name.as_bytes(), value.as_bytes(), limits)
        .map_err(|_| "the line has too many tags, or a name or value is too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    const NOW: TimestampMs = TimestampMs(5);

    fn read(body: &str) -> (Vec<String>, Tally) {
        let mut sink = Recorder::default();
        let mut decoder = Decoder::new(Limits::default(), Names::AsSent);
        let tally = decoder.decode(body.as_bytes(), Precision::Nanoseconds, "", NOW, &mut sink).unwrap();
        (sink.samples, tally)
    }

    #[test]
    fn a_field_becomes_a_series_of_measurement_and_field() {
        let (samples, tally) = read(
            "cpu,host=web-1,cpu=cpu0 usage_idle=99.5,count=3i,ok=t,big=18446744073709551615u,txt=\"hi, = there\",n=\"7\" \
             1700000000123456789\n# comment\n\nmem free=1e3\r\n",
        );
        assert_eq!(
            samples,
            [
                r#"cpu_usage_idle{cpu="cpu0", host="web-1"} 1700000000123 99.5"#,
                r#"cpu_count{cpu="cpu0", host="web-1"} 1700000000123 3"#,
                r#"cpu_ok{cpu="cpu0", host="web-1"} 1700000000123 1"#,
                r#"cpu_big{cpu="cpu0", host="web-1"} 1700000000123 18446744073709552000"#,
                r#"cpu_n{cpu="cpu0", host="web-1"} 1700000000123 7"#,
                "mem_free 5 1000",
            ]
        );
        assert_eq!((tally.samples, tally.skipped, tally.refused), (6, 1, 0));
    }

    #[test]
    fn escapes_and_line_feeds_in_texts_are_followed() {
        let (samples, tally) = read(
            "my\\ disk\\,x,path=C:\\\\a\\ b,k\\=1=v\\=\\, free\\ mb=1,note=\"a\\\"b\nc\",z=2 1000000\nnext v=1\n",
        );
        assert_eq!(
            samples,
            [
                "my disk,x_free mb{k=1=\"v=,\", path=\"C:\\\\a b\"} 1 1",
                "my disk,x_z{k=1=\"v=,\", path=\"C:\\\\a b\"} 1 2",
                "next_v 5 1",
            ]
        );
        assert_eq!(tally.skipped, 1);
    }

    #[test]
    fn lines_that_are_wrong_are_left_out_whole() {
        for line in [
            "cpu",
            "cpu ",
            "cpu value",
            "cpu value=",
            "cpu value=x",
            "cpu a=1,b=x",
            "cpu a=1,",
            "cpu a=1 x",
            "cpu a=1 1.5",
            "cpu,=x a=1",
            "cpu a=1i2i",
            "cpu a=\"open",
            "cpu =1",
            "cpu a=1 1 2",
        ] {
            let (samples, tally) = read(&format!("{line}\n"));
            assert_eq!((samples.len(), tally.refused), (0, 1), "{line}");
        }
        let (samples, tally) = read("ok v=1\nbad\nok v=2");
        assert_eq!(samples, ["ok_v 5 1", "ok_v 5 2"]);
        assert_eq!(tally.first_refusal.unwrap().to_string().split(':').next(), Some("line 2"));
    }

    #[test]
    fn precision_database_and_names_are_the_callers() {
        let mut sink = Recorder::default();
        let mut decoder = Decoder::new(Limits::default(), Names::Classic);
        for _ in 0..2 {
            decoder
                .decode(b"a.b,x-y=1 c=2 -3\nm,db=own v=1 1", Precision::Seconds, "tele", NOW, &mut sink)
                .unwrap();
        }
        assert_eq!(sink.samples[..2], [r#"a_b_c{db="tele", x_y="1"} -3000 2"#, r#"m_v{db="own"} 1000 1"#]);
        assert_eq!(sink.known, 2);
        assert_eq!(Precision::from_parameter(Some("u")), Ok(Precision::Microseconds));
        assert_eq!(Precision::from_parameter(None), Ok(Precision::Nanoseconds));
        assert!(Precision::from_parameter(Some("year")).is_err());
        assert_eq!(Precision::Hours.to_ms(i64::MAX), TimestampMs(i64::MAX));
        assert_eq!(Precision::Nanoseconds.to_ms(-1), TimestampMs(-1));
    }
}
