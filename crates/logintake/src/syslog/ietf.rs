//! RFC 5424: `VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`.

use std::borrow::Cow;

use super::Message;
use crate::emit::Arrival;
use crate::{Limits, stamp};

/// Reads what follows the version. Nothing when the header is not one of RFC 5424.
pub(super) fn read<'a>(bytes: &'a [u8], arrival: &Arrival<'_>, limits: &Limits) -> Option<Message<'a>> {
    let mut rest = bytes;
    let time = word(&mut rest)?;
    let mut message = Message::default();
    if time != b"-" {
        let stamp = stamp::at_start(time, arrival.now_ns, arrival.zone)?;
        message.at_ns = (stamp.end == time.len()).then_some(stamp.at_ns);
        message.at_ns?;
    }
    message.host = value(word(&mut rest)?);
    message.app = value(word(&mut rest)?);
    message.process = value(word(&mut rest)?);
    message.message_id = value(word(&mut rest)?);
    if let Some(after) = rest.strip_prefix(b"-") {
        rest = after;
    } else {
        while let Some(after) = rest.strip_prefix(b"[") {
            rest = element(after, limits, &mut message.data)?;
        }
    }
    rest = rest.strip_prefix(b" ").unwrap_or(rest);
    message.text = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
    Some(message)
}

/// The next word of the header; what follows it begins behind the blank.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes: &'a [u8] = rest;
    let end = memchr::memchr(b' ', bytes).unwrap_or(bytes.len());
    *rest = bytes.get(end + 1..).unwrap_or_default();
    bytes.get(..end).filter(|w| !w.is_empty())
}

fn value(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word).ok().filter(|w| *w != "-")
}

/// `id name="value" …]`: adds its pairs and returns what follows.
fn element<'a>(bytes: &'a [u8], limits: &Limits, data: &mut Vec<(String, Cow<'a, str>)>) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|b| matches!(b, b' ' | b']'))?;
    let id = bytes.get(..end)?;
    // Private ids carry a number behind `@`, which says who made them, not what they are.
    let id = id.split(|b| *b == b'@').next().unwrap_or(id);
    let id = String::from_utf8_lossy(id);
    let mut rest = bytes.get(end..)?;
    loop {
        match rest {
            [b']', after @ ..] => return Some(after),
            [b' ', after @ ..] => rest = after,
            _ => {
                let equals = memchr::memchr(b'=', rest)?;
                let name = rest.get(..equals).filter(|n| !n.contains(&b']'))?;
                let quoted = rest.get(equals + 1..)?.strip_prefix(b"\"")?;
                let end = closing_quote(quoted)?;
                if data.len() < limits.fields {
                    data.push((
                        format!("{id}.{}", String::from_utf8_lossy(name)),
                        unescaped(quoted.get(..end)?),
                    ));
                }
                rest = quoted.get(end + 1..)?;
            }
        }
    }
}

fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Only `"`, `\` and `]` are escaped; any other backslash is one.
fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some('"' | '\\' | ']') if c == '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}
