//! Protobuf's JSON, rewritten as protobuf while it is parsed.
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
#[derive(Debug)]
pub struct Message(pub &'static [(&'static str, u32, Kind)]);

/// What stands in a field.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Another message.
    Message(&'static Message),
    /// A `string`.
    Text,
    /// `bytes`, written in hexadecimal.
    Hex,
    /// `bytes`, written in base64.
    Base64,
    /// `uint64`, `int64`, `bool`, enum.
    Varint,
    /// `sint64`, `sint32`.
    Zigzag,
    /// `fixed64`, `sfixed64`.
    Fixed64,
    /// `double`.
    Double,
}

/// Rewrites a JSON object into `out`, which is emptied first, as `message`.
///
/// # Errors
/// [`DecodeError::Json`] when it is damaged, nested too deeply, or not of the message's shape.
pub fn transcode(message: &'static Message, json: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let wrong = |e: serde_json::Error| DecodeError::Json(crate::error::readable(&e.to_string()));
    out.clear();
    let mut parser = serde_json::Deserializer::from_slice(json);
    Body { message, out }.deserialize(&mut parser).map_err(wrong)?;
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
}
