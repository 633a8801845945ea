//! A sink that holds a decoder to its word, and every decoder under one roof; the fuzz targets use both.

use wellkept_intake::unpack::Encoding;
use wellkept_logintake::join::{JoinConfig, Joiner};
use wellkept_logintake::syslog::Framer;
use wellkept_logintake::wrap::{self, Parts};
use wellkept_logintake::{
    Arrival, DecodeError, Fields, Limits, REASONS_MAX, Tally, Zone, elastic, journal, loki, otlp, plain,
    read, syslog,
};
use wellkept_model::{Labels, LogLine, LogSink};

/// 2024-03-10T12:00:00Z.
const NOW_NS: i64 = 1_710_072_000_000_000_000;

/// Bounds that small bodies reach.
pub const LIMITS: Limits = Limits {
    unpacked_bytes: 16 << 20,
    lines: 100_000,
    line_bytes: 1000,
    labels: 8,
    name_bytes: 40,
    label_bytes: 100,
    fields: 16,
    field_bytes: 200,
    depth: 4,
    expanded_bytes: 32 << 20,
    ahead_ns: 86_400_000_000_000,
};

/// Panics when a decoder breaks a rule.
#[derive(Debug, Default)]
pub struct Judge {
    /// Lines that were handed on; a line in pieces is several.
    pub lines: u64,
    /// Bytes of texts.
    pub bytes: u64,
}

impl LogSink for Judge {
    fn line(&mut self, line: &LogLine<'_>) {
        self.lines += 1;
        self.bytes += line.text.len() as u64;
        assert!(line.text.len() <= LIMITS.line_bytes, "{} bytes", line.text.len());
        assert!(line.fields.len() <= LIMITS.fields, "{} fields", line.fields.len());
        let fits = |(n, v): &(&str, &str)| n.len() <= LIMITS.name_bytes && v.len() <= LIMITS.field_bytes;
        assert!(line.fields.iter().all(fits));
        assert!(line.labels.len() <= LIMITS.labels);
        assert!(
            line.labels.iter().all(|(n, v)| n.len() <= LIMITS.name_bytes && v.len() <= LIMITS.label_bytes)
        );
        assert_eq!(line.labels.get("door"), "judge", "nobody speaks under another door's name");
        assert!(line.at_ns <= NOW_NS + LIMITS.ahead_ns, "from the future: {}", line.at_ns);
    }
}

/// A decoder to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Plain,
    Syslog,
    SyslogStream,
    Otlp(otlp::Format),
    Loki(loki::Format, Encoding),
    Bulk,
    Journal,
    /// What stands inside a line: time, level, fields, wrapping, joining.
    Inside,
}

/// All of them.
pub const DOORS: [Door; 10] = [
    Door::Plain,
    Door::Syslog,
    Door::SyslogStream,
    Door::Otlp(otlp::Format::Protobuf),
    Door::Otlp(otlp::Format::Json),
    Door::Loki(loki::Format::Protobuf, Encoding::Snappy),
    Door::Loki(loki::Format::Json, Encoding::Identity),
    Door::Bulk,
    Door::Journal,
    Door::Inside,
];

/// Puts a body through a door, twice with the same decoder: what it kept must change nothing.
pub fn enter(door: Door, body: &[u8]) {
    let mut decoder = Decoder::default();
    let mut judge = Judge::default();
    let first = decoder.decode(door, body, &mut judge);
    let mut again = Judge::default();
    let second = decoder.decode(door, body, &mut again);
    assert_eq!(first, second, "{door:?}");
    assert_eq!((judge.lines, judge.bytes), (again.lines, again.bytes), "{door:?}");
    let Ok(tally) = first else { return };
    assert!(tally.reasons.len() <= REASONS_MAX);
    assert_eq!(tally.refused > 0, !tally.reasons.is_empty(), "{door:?}");
    assert_eq!(tally.first_reason().is_empty(), tally.refused == 0);
    assert!(judge.lines >= tally.accepted, "{door:?}: {} of {}", judge.lines, tally.accepted);
    if tally.split == 0 {
        assert_eq!(judge.lines, tally.accepted, "{door:?}");
    }
}

/// All decoders with what they keep.
#[derive(Debug)]
pub struct Decoder {
    syslog: syslog::Decoder,
    otlp: otlp::Decoder,
    loki: loki::Decoder,
    elastic: elastic::Decoder,
    journal: journal::Decoder,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            syslog: syslog::Decoder::new(LIMITS),
            otlp: otlp::Decoder::new(LIMITS),
            loki: loki::Decoder::new(LIMITS),
            elastic: elastic::Decoder::new(LIMITS),
            journal: journal::Decoder::new(LIMITS),
        }
    }
}

impl Decoder {
    /// Puts a body through a door into a sink.
    pub fn decode(&mut self, door: Door, body: &[u8], sink: &mut Judge) -> Result<Tally, DecodeError> {
        let zone = Zone::from_transitions(3600, vec![(1_700_000_000, 7200)]);
        let arrival = Arrival { now_ns: NOW_NS, zone: &zone, labels: &[("door", "judge")] };
        match door {
            Door::Plain => plain::decode(body, &Labels::new([("door", "judge")]), &arrival, &LIMITS, sink),
            Door::Syslog => self.syslog.decode(body, "10.0.0.1", &arrival, sink),
            Door::SyslogStream => Ok(self.stream(body, &arrival, sink)),
            Door::Otlp(format) => {
                let tally = self.otlp.decode(format, body, &arrival, sink)?;
                let _ = otlp::answer(format, &tally);
                Ok(tally)
            }
            Door::Loki(format, encoding) => self.loki.decode(format, encoding, body, &arrival, sink),
            Door::Bulk => {
                let bulk = self.elastic.decode(Some("logs"), body, &arrival, sink).inspect_err(|e| {
                    assert!(serde_json::from_str::<serde_json::Value>(&elastic::error(e)).is_ok());
                })?;
                let answer: serde_json::Value =
                    serde_json::from_str(&bulk.answer).expect("the answer is JSON");
                let items = answer["items"].as_array().map_or(0, Vec::len) as u64;
                assert_eq!(items, bulk.tally.accepted + bulk.tally.refused);
                Ok(bulk.tally)
            }
            Door::Journal => self.journal.decode(body, &arrival, sink).map(|entry| entry.tally),
            Door::Inside => {
                inside(body);
                Ok(Tally::default())
            }
        }
    }

    fn stream(&mut self, body: &[u8], arrival: &Arrival<'_>, sink: &mut Judge) -> Tally {
        let mut framer = Framer::new(LIMITS.line_bytes);
        let mut sum = Tally::default();
        let mut take = |bytes: &[u8]| {
            let tally = self.syslog.decode(bytes, "", arrival, sink).expect("a message is within all bounds");
            sum.accepted += tally.accepted;
            sum.refused += tally.refused;
            sum.reasons.extend(tally.reasons.into_iter().take(REASONS_MAX - sum.reasons.len()));
        };
        for chunk in body.chunks(97) {
            framer.push(chunk);
            while let Some(frame) = framer.next() {
                take(frame.bytes);
            }
        }
        framer.rest().into_iter().for_each(|rest| take(&rest));
        sum
    }
}

/// Reads what stands inside each line.
fn inside(body: &[u8]) {
    let config = JoinConfig { lines: 10, bytes: 500, ..JoinConfig::default() };
    let mut joiner = Joiner::new(config);
    let mut parts = Parts::default();
    let mut joined = 0;
    for line in body.split(|b| *b == b'\n') {
        let _ = read(line, NOW_NS, &Zone::utc());
        let fields: Vec<_> = Fields::of(line, &LIMITS).collect();
        assert!(fields.len() <= LIMITS.fields);
        assert!(fields.iter().all(|(n, v)| n.len() <= LIMITS.name_bytes && v.len() <= LIMITS.field_bytes));
        if let Some(part) = wrap::unwrap(line)
            && parts.push(&part, LIMITS.line_bytes)
        {
            parts.clear();
        }
        if !joiner.continues(line) {
            joined += joiner.group().map_or(0, |g| g.len() + 1);
            joiner.clear();
        }
        joiner.hold(line, 0);
        assert!(joiner.group().is_some_and(|g| g.len() <= 500.max(line.len())));
    }
    joined += joiner.group().map_or(0, |g| g.len() + 1);
    assert_eq!(joined, body.len() + 1, "joining loses nothing");
}

/// A good body for a door: to be damaged by tests, and for a fuzzer to begin with.
pub fn good(door: Door) -> Vec<u8> {
    use wellkept_intake::proto::Writer;
    let text: &[u8] = match door {
        Door::Plain => b"2024-01-02 03:04:05 ERROR bad\r\nlevel=info msg=\"x\"\n{\"ts\":1704164645,\"level\":30}\n",
        Door::Syslog => b"<165>1 2024-01-02T03:04:05Z web shop 7 ID [a@1 b=\"c\\\"\"] \xef\xbb\xbfhi",
        Door::SyslogStream => b"16 <14>a: one\n  two<13>Jan  2 03:04:05 host b[7]: three\n<14>c: last",
        Door::Otlp(otlp::Format::Json) => br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}},{"key":"x","value":{"intValue":"1"}}]},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1704164645000000000","severityNumber":17,"body":{"stringValue":"b"},"attributes":[{"key":"k","value":{"arrayValue":{"values":[{"boolValue":true}]}}}],"traceId":"0102030405060708090a0b0c0d0e0f10"}]}]}]}"#,
        Door::Loki(loki::Format::Json, _) => br#"{"streams":[{"stream":{"a":"b"},"values":[["1704164645000000000","x",{"k":"v"}]]},{"labels":"{a=\"c\"}","entries":[{"ts":"2024-01-02T03:04:05Z","line":"y"}]}]}"#,
        Door::Bulk => b"{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"@timestamp\":\"2024-01-02T03:04:05Z\",\"message\":\"m\",\"host\":{\"name\":\"h\"},\"log\":{\"level\":\"warn\"}}\n{\"index\":{}}\n{\"log\":\"n\",\"k\":{\"l\":[1]}}\n",
        Door::Journal => br#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1704164645000000","PRIORITY":"3","_SYSTEMD_UNIT":"a.service","MESSAGE":[104,105],"X":["a",[1,2],null]}"#,
        Door::Inside => b"2024-01-02T03:04:05.1Z stdout P part\n{\"log\":\"a\\n\",\"stream\":\"stderr\",\"time\":\"2024-01-02T03:04:05Z\"}\nTraceback (most recent call last):\n  File \"a\"\nValueError: x\n\nI0102 03:04:05.1 1 a.go:1] b=\"c\\\"\" d=e\nJan  2 03:04:05 h\n02/Jan/2024:03:04:05 +0100",
        Door::Otlp(otlp::Format::Protobuf) => {
            let mut out = Vec::new();
            Writer::new(&mut out).message(1, |w| {
                w.message(1, |w| w.message(1, |w| { w.bytes(1, b"service.name"); w.message(2, |w| w.bytes(1, b"a")); }));
                w.message(2, |w| w.message(2, |w| {
                    w.fixed64(1, 1_704_164_645_000_000_000);
                    w.uint(2, 9);
                    w.message(5, |w| w.bytes(1, b"text"));
                    w.message(6, |w| { w.bytes(1, b"k"); w.message(2, |w| w.double(4, 1.5)); });
                }));
            });
            return out;
        }
        Door::Loki(loki::Format::Protobuf, _) => {
            let mut out = Vec::new();
            Writer::new(&mut out).message(1, |w| {
                w.bytes(1, br#"{a="b"}"#);
                w.message(2, |w| {
                    w.message(1, |w| w.int(1, 1_704_164_645));
                    w.bytes(2, b"line");
                    w.message(3, |w| { w.bytes(1, b"k"); w.bytes(2, b"v"); });
                });
            });
            return packed(&out);
        }
    };
    text.to_vec()
}

/// Snappy's block format without compression: one literal after the other.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wellkept_intake::proto::Writer::new(&mut out).varint(bytes.len() as u64);
    for chunk in bytes.chunks(60) {
        out.push((chunk.len() as u8 - 1) << 2);
        out.extend_from_slice(chunk);
    }
    out
}
