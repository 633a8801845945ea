//! RFC 3164, which describes what was seen rather than what must be: stamps of several kinds, hosts left out, Cisco's
//! sequence numbers.

use super::Message;
use crate::emit::Arrival;
use crate::stamp;

/// Reads what follows the priority.
pub(super) fn read<'a>(bytes: &'a [u8], arrival: &Arrival<'_>) -> Message<'a> {
    let mut message = Message { text: bytes, ..Message::default() };
    let mut rest = without_sequence(bytes);
    let Some(stamp) = stamp::at_start(rest, arrival.now_ns, arrival.zone) else {
        tag(bytes, &mut message);
        return message;
    };
    message.at_ns = Some(stamp.at_ns);
    rest = rest.get(stamp.end..).unwrap_or_default();
    rest = match rest {
        [b':', after @ ..] => after,
        other => other,
    };
    rest = rest.trim_ascii_start();
    message.text = rest;
    if let Some((host, after)) = host(rest) {
        message.host = Some(host);
        rest = after;
        message.text = after;
    }
    tag(rest, &mut message);
    message
}

/// Cisco counts its messages (`<189>123: *Mar  1 18:46:11: %SYS-5-CONFIG_I: …`) and marks clocks that are not set.
fn without_sequence(bytes: &[u8]) -> &[u8] {
    let digits = bytes.iter().take(12).take_while(|b| b.is_ascii_digit()).count();
    let rest = match bytes.get(digits..) {
        Some([b':', b' ', rest @ ..]) if digits > 0 => rest,
        _ => bytes,
    };
    match rest {
        [b'*' | b'.', after @ ..] => after,
        _ => rest,
    }
}

/// The first word, unless it is a program's tag already.
fn host(rest: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b' ', rest)?;
    let (word, after) = rest.split_at_checked(end)?;
    let tag = word.ends_with(b":") || word.contains(&b'[') || word.starts_with(b"%");
    let word = std::str::from_utf8(word).ok()?;
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
    (plain && !tag).then(|| (word, after.trim_ascii_start()))
}

/// `program[123]: text` or `program: text`.
fn tag<'a>(rest: &'a [u8], message: &mut Message<'a>) {
    let name = |b: &u8| b.is_ascii_alphanumeric() || b"_-./%@".contains(b);
    let end = rest.iter().take(128).take_while(|b| name(b)).count();
    let (program, mut after) = rest.split_at(end);
    let mut process = None;
    if let Some(inner) = after.strip_prefix(b"[") {
        let Some(close) = inner.iter().take(32).position(|b| *b == b']') else { return };
        process = inner.get(..close).and_then(|p| std::str::from_utf8(p).ok());
        after = inner.get(close + 1..).unwrap_or_default();
    }
    let Some(text) = after.strip_prefix(b":") else { return };
    let Ok(program) = std::str::from_utf8(program) else { return };
    if program.is_empty() {
        return;
    }
    message.app = Some(program.trim_start_matches('%'));
    message.process = process;
    message.text = text.strip_prefix(b" ").unwrap_or(text);
}
