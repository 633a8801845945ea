//! OTLP's JSON, rewritten as protobuf while it is parsed.
//!
//! A table says which key of which message is which field. What comes out is at most five times as long as what came
//! in (a number of one digit becomes nine bytes), and nothing else is built. Nesting is bounded by the JSON parser.
//! Source: OTLP specification, "JSON Protobuf Encoding": ids in hexadecimal, enums as numbers, 64-bit numbers as text
//! or number, unknown keys ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::DecodeError;
use crate::proto::Writer;

/// A message: key, field number, and what stands there.
struct Message(&'static [(&'static str, u32, Kind)]);

#[derive(Clone, Copy)]
enum Kind {
    Message(&'static Message),
    Text,
    Hex,
    Base64,
    /// `uint64`, `int64`, `bool`, enum.
    Varint,
    Zigzag,
    Fixed64,
    Double,
}

/// `ExportMetricsServiceRequest`.
static REQUEST: Message = Message(&[("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Message =
    Message(&[("resource", 1, Kind::Message(&RESOURCE)), ("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS))]);
static RESOURCE: Message = Message(&[("attributes", 1, Kind::Message(&KEY_VALUE))]);
static SCOPE_METRICS: Message =
    Message(&[("scope", 1, Kind::Message(&SCOPE)), ("metrics", 2, Kind::Message(&METRIC))]);
static SCOPE: Message = Message(&[
    ("name", 1, Kind::Text),
    ("version", 2, Kind::Text),
    ("attributes", 3, Kind::Message(&KEY_VALUE)),
]);
static METRIC: Message = Message(&[
    ("name", 1, Kind::Text),
    ("description", 2, Kind::Text),
    ("unit", 3, Kind::Text),
    ("gauge", 5, Kind::Message(&NUMBERS)),
    ("sum", 7, Kind::Message(&NUMBERS)),
    ("histogram", 9, Kind::Message(&HISTOGRAMS)),
    ("exponentialHistogram", 10, Kind::Message(&EXPONENTIALS)),
    ("summary", 11, Kind::Message(&SUMMARIES)),
]);
static NUMBERS: Message = Message(&[
    ("dataPoints", 1, Kind::Message(&NUMBER)),
    ("aggregationTemporality", 2, Kind::Varint),
    ("isMonotonic", 3, Kind::Varint),
]);
static HISTOGRAMS: Message =
    Message(&[("dataPoints", 1, Kind::Message(&HISTOGRAM)), ("aggregationTemporality", 2, Kind::Varint)]);
static EXPONENTIALS: Message =
    Message(&[("dataPoints", 1, Kind::Message(&EXPONENTIAL)), ("aggregationTemporality", 2, Kind::Varint)]);
static SUMMARIES: Message = Message(&[("dataPoints", 1, Kind::Message(&SUMMARY))]);
static NUMBER: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("asDouble", 4, Kind::Double),
    ("exemplars", 5, Kind::Message(&EXEMPLAR)),
    ("asInt", 6, Kind::Fixed64),
    ("attributes", 7, Kind::Message(&KEY_VALUE)),
    ("flags", 8, Kind::Varint),
]);
static HISTOGRAM: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("bucketCounts", 6, Kind::Fixed64),
    ("explicitBounds", 7, Kind::Double),
    ("exemplars", 8, Kind::Message(&EXEMPLAR)),
    ("attributes", 9, Kind::Message(&KEY_VALUE)),
    ("flags", 10, Kind::Varint),
]);
static EXPONENTIAL: Message = Message(&[
    ("attributes", 1, Kind::Message(&KEY_VALUE)),
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("scale", 6, Kind::Zigzag),
    ("zeroCount", 7, Kind::Fixed64),
    ("positive", 8, Kind::Message(&BUCKETS)),
    ("negative", 9, Kind::Message(&BUCKETS)),
    ("flags", 10, Kind::Varint),
    ("exemplars", 11, Kind::Message(&EXEMPLAR)),
    ("zeroThreshold", 14, Kind::Double),
]);
static BUCKETS: Message = Message(&[("offset", 1, Kind::Zigzag), ("bucketCounts", 2, Kind::Varint)]);
static SUMMARY: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("quantileValues", 6, Kind::Message(&QUANTILE)),
    ("attributes", 7, Kind::Message(&KEY_VALUE)),
    ("flags", 8, Kind::Varint),
]);
static QUANTILE: Message = Message(&[("quantile", 1, Kind::Double), ("value", 2, Kind::Double)]);
static EXEMPLAR: Message = Message(&[
    ("timeUnixNano", 2, Kind::Fixed64),
    ("asDouble", 3, Kind::Double),
    ("spanId", 4, Kind::Hex),
    ("traceId", 5, Kind::Hex),
    ("asInt", 6, Kind::Fixed64),
    ("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
]);
static KEY_VALUE: Message = Message(&[("key", 1, Kind::Text), ("value", 2, Kind::Message(&ANY_VALUE))]);
static ANY_VALUE: Message = Message(&[
    ("stringValue", 1, Kind::Text),
    ("boolValue", 2, Kind::Varint),
    ("intValue", 3, Kind::Varint),
    ("doubleValue", 4, Kind::Double),
    ("arrayValue", 5, Kind::Message(&ANY_VALUES)),
    ("kvlistValue", 6, Kind::Message(&KEY_VALUES)),
    ("bytesValue", 7, Kind::Base64),
]);
static ANY_VALUES: Message = Message(&[("values", 1, Kind::Message(&ANY_VALUE))]);
static KEY_VALUES: Message = Message(&[("values", 1, Kind::Message(&KEY_VALUE))]);

/// Rewrites a request into `out`, which is emptied first.
pub(super) fn transcode(json: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let wrong = |e: serde_json::Error| DecodeError::Json(crate::error::readable(&e.to_string()));
    out.clear();
    let mut parser = serde_json::Deserializer::from_slice(json);
    Body { message: &REQUEST, out }.deserialize(&mut parser).map_err(wrong)?;
    parser.end().map_err(wrong)
}

/// A JSON object as the fields of a message.
struct Body<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(Key(self.message))? {
            match found {
                Some((number, kind)) => map.next_value_seed(Content { number, kind, out: self.out })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Looks a key up in a message's table.
struct Key(&'static Message);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<(u32, Kind)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<(u32, Kind)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.0.iter().find(|(name, ..)| *name == key).map(|(_, number, kind)| (*number, *kind)))
    }
}

/// What stands at a key, as a field. A list is the field several times.
struct Content<'o> {
    number: u32,
    kind: Kind,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Content<'_> {
    fn integer<E: Error>(self, bits: u64, value: f64) -> Result<(), E> {
        let mut w = Writer::new(self.out);
        match self.kind {
            Kind::Varint => w.uint(self.number, bits),
            Kind::Zigzag => w.sint(self.number, bits.cast_signed()),
            Kind::Fixed64 => w.fixed64(self.number, bits),
            Kind::Double => w.double(self.number, value),
            _ => return Err(E::custom("a number stands where something else is expected")),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the expected kind")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.kind, Kind::Varint) {
            return Err(E::custom("a boolean stands where something else is expected"));
        }
        self.integer(u64::from(value), 0.0)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value, value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.cast_unsigned(), value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => self.integer(0, value),
            _ => Err(E::custom("a fraction stands where something else is expected")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let wrong = || E::custom("a text is not the number it should be");
        match self.kind {
            Kind::Text => Writer::new(self.out).bytes(self.number, text.as_bytes()),
            Kind::Hex => Writer::new(self.out).bytes(self.number, &unhex(text).ok_or_else(wrong)?),
            Kind::Base64 => Writer::new(self.out).bytes(self.number, &unbase64(text).ok_or_else(wrong)?),
            Kind::Double => return self.integer(0, text.parse().map_err(|_| wrong())?),
            Kind::Message(_) => return Err(E::custom("a text stands where an object is expected")),
            _ => {
                let signed = || text.parse::<i64>().map(i64::cast_unsigned);
                let bits = text.parse::<u64>().or_else(|_| signed()).map_err(|_| wrong())?;
                return self.integer(bits, 0.0);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { number, kind, out } = self;
        while seq.next_element_seed(Content { number, kind, out: &mut *out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.kind else {
            return Err(A::Error::custom("an object stands where a value is expected"));
        };
        Writer::new(self.out).open(self.number);
        let start = self.out.len();
        Body { message, out: &mut *self.out }.visit_map(map)?;
        Writer::new(self.out).close(start);
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect())
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_hexadecimal_and_base64() {
        assert_eq!(unhex("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("0g"), None);
        assert_eq!(unbase64("Zm9vYg=="), Some(b"foob".to_vec()));
        assert_eq!(unbase64("Z!"), None);
    }

    #[test]
    fn damaged_and_misshapen_json_is_an_error() {
        let value = "{\"arrayValue\":{\"values\":[".repeat(500);
        let start = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"value\":";
        let deep = format!("{start}{value}{}}}]}}}}]}}", "]}}".repeat(500));
        let lists = format!("{{\"resourceMetrics\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            "",
            "[]",
            "{",
            "{} x",
            "{\"resourceMetrics\":1}",
            "{\"resourceMetrics\":\"x\"}",
            deep.as_str(),
            lists.as_str(),
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":{}}]}]}]}",
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"sum\":{\"dataPoints\":[{\"asInt\":\"x\"}]}}]}]}]}",
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"sum\":{\"dataPoints\":[{\"asInt\":1.5}]}}]}]}]}",
        ] {
            let error = transcode(json.as_bytes(), &mut Vec::new());
            assert!(matches!(error, Err(DecodeError::Json(_))), "{}", &json[..json.len().min(80)]);
        }
        assert_eq!(transcode(b"{\"resourceMetrics\":null,\"new\":[{\"key\":1}]}", &mut Vec::new()), Ok(()));
    }
}
