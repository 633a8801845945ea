//! OTLP's `AnyValue` and `KeyValue`, which metrics and logs share: as JSON tables, and as text.

use std::fmt::Write as _;

use crate::proto::{Field, ProtoError, Reader};
use crate::protojson::{Kind, Message};

/// Attributes inside attributes, before a request is refused.
const DEPTH_MAX: usize = 16;

/// `KeyValue`.
pub static KEY_VALUE: Message = Message(&[("key", 1, Kind::Text), ("value", 2, Kind::Message(&ANY_VALUE))]);
/// `AnyValue`.
pub static ANY_VALUE: Message = Message(&[
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

/// A `KeyValue`: its key, which may be anything, and its `AnyValue`.
///
/// # Errors
/// [`ProtoError`] when the bytes are no such message.
pub fn key_value<'a>(field: &Field<'a>) -> Result<(&'a [u8], Option<Field<'a>>), ProtoError> {
    let (mut key, mut value) = (&b""[..], None);
    let mut reader = field.message()?;
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => key = field.bytes()?,
            2 => value = Some(field),
            _ => {}
        }
    }
    Ok((key, value))
}

/// Appends an `AnyValue` to `out`: plain when it stands alone, JSON inside lists (`in_list`). False when some text is
/// not UTF-8. `depth` is how deep the value lies in others; 0 to begin with.
///
/// # Errors
/// [`ProtoError`] when the bytes are no such message, or nested too deeply.
pub fn any_value(
    value: Option<Field<'_>>,
    out: &mut String,
    in_list: bool,
    depth: usize,
) -> Result<bool, ProtoError> {
    if depth > DEPTH_MAX {
        return Err(ProtoError::Depth);
    }
    let mut content = None;
    if let Some(value) = value {
        let mut reader = value.message()?;
        while let Some(field) = reader.next_field()? {
            content = Some(field);
        }
    }
    let Some(field) = content else {
        out.push_str(if in_list { "null" } else { "" });
        return Ok(true);
    };
    match field.number {
        1 => return Ok(text(field.bytes()?, out, in_list)),
        2 => out.push_str(if field.uint()? == 0 { "false" } else { "true" }),
        3 => {
            let _ = write!(out, "{}", field.int()?);
        }
        4 => out.push_str(&crate::number::shortest(field.double()?)),
        5 => return list(field.message()?, out, depth),
        6 => return map(field.message()?, out, depth),
        7 => {
            let encoded = base64(field.bytes()?);
            return Ok(text(encoded.as_bytes(), out, in_list));
        }
        _ => {}
    }
    Ok(true)
}

fn text(bytes: &[u8], out: &mut String, quoted: bool) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if quoted {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push_str(text);
    }
    true
}

fn list(mut reader: Reader<'_>, out: &mut String, depth: usize) -> Result<bool, ProtoError> {
    out.push('[');
    let mut first = true;
    while let Some(field) = reader.next_field()? {
        if field.number == 1 {
            out.push_str(if std::mem::take(&mut first) { "" } else { "," });
            if !any_value(Some(field), out, true, depth + 1)? {
                return Ok(false);
            }
        }
    }
    out.push(']');
    Ok(true)
}

fn map(mut reader: Reader<'_>, out: &mut String, depth: usize) -> Result<bool, ProtoError> {
    out.push('{');
    let mut first = true;
    while let Some(field) = reader.next_field()? {
        if field.number == 1 {
            let (key, value) = key_value(&field)?;
            out.push_str(if std::mem::take(&mut first) { "" } else { "," });
            if !text(key, out, true) {
                return Ok(false);
            }
            out.push(':');
            if !any_value(value, out, true, depth + 1)? {
                return Ok(false);
            }
        }
    }
    out.push('}');
    Ok(true)
}

/// Base64 with padding, as JSON shows bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * i)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
