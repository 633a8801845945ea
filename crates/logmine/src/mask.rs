//! What a value looks like on any system: numbers, addresses, paths, times, identifiers.
//!
//! Every rule here holds for logs at large; none names a program. A rule looks at one chunk, except for times, URLs
//! and addresses with colons, which may run over the end of the chunk.

use wellkept_model::ParamKind;

mod address;
mod name;
mod time;

pub(crate) use address::host_port;
use address::{colon_address, ipv4, is_host};
pub(crate) use name::{dotted, part};
use name::{is_code, is_tagged, is_uuid, is_version, number};
use time::{less_than, minutes};
pub(crate) use time::{named_time, time_at};

use crate::lex::{ALPHA, DIGIT, INNER, class};

/// The chunk `start..end` as one value, with the place where the value ends, which may lie behind the chunk.
pub(crate) fn whole(
    text: &[u8],
    start: usize,
    end: usize,
    seen: u8,
    slash: bool,
) -> Option<(usize, ParamKind)> {
    let colon = text.get(end) == Some(&b':');
    if seen == DIGIT && !colon && text[start..end].iter().all(|&b| class(b) & DIGIT != 0) {
        return Some((end, ParamKind::Number));
    }
    if (colon || slash || seen & INNER != 0)
        && let Some(stop) = time_at(text, start)
    {
        return Some((stop, ParamKind::Time));
    }
    if colon && let Some(stop) = minutes(text, start) {
        return Some((stop, ParamKind::Duration));
    }
    if seen & DIGIT != 0
        && text[start] == b'<'
        && let Some(stop) = less_than(text, start, end)
    {
        return Some((stop, ParamKind::Duration));
    }
    if colon && let Some(stop) = colon_address(text, start) {
        return Some((stop, ParamKind::Address));
    }
    if slash && let Some(found) = path(text, start, end) {
        return Some(found);
    }
    within(text, start, end, seen, colon || slash)
}

/// The chunk as one value that has its end at that of the chunk, or with a port.
fn within(text: &[u8], start: usize, end: usize, seen: u8, ported: bool) -> Option<(usize, ParamKind)> {
    if seen & DIGIT == 0 {
        return None;
    }
    if seen & INNER != 0
        && let Some(stop) = ipv4(text, start)
    {
        return Some((stop, ParamKind::Address));
    }
    let body = trimmed(text, start, end);
    if let Some(kind) = number(body) {
        return Some((start + body.len(), kind));
    }
    if is_uuid(body) {
        return Some((start + body.len(), ParamKind::Id));
    }
    if ported && let Some(stop) = host_port(text, start, end) {
        return Some((stop, ParamKind::Address));
    }
    if is_version(body) || is_code(body) || (body.len() < end - start && is_tagged(&text[start..end])) {
        return Some((start + body.len(), ParamKind::Id));
    }
    if seen & INNER == 0 {
        return None;
    }
    if is_host(body) {
        return Some((start + body.len(), ParamKind::Address));
    }
    let name = class(body.first().copied().unwrap_or_default()) & ALPHA != 0
        && body.iter().all(|&b| class(b) & (ALPHA | DIGIT) != 0 || matches!(b, b'.' | b'_' | b'$' | b'-'))
        && body.split(|&b| b == b'.').take(2).all(|part| part.iter().all(|&b| class(b) & DIGIT == 0));
    name.then(|| dotted(body)).flatten().map(|kind| (start + body.len(), kind))
}

/// An address, URL or path that starts with a chunk of letters only: `fe:dc::1`, `file:///x`, `C:\\x`.
pub(crate) fn lettered_with_colons(text: &[u8], start: usize, end: usize) -> Option<(usize, ParamKind)> {
    if text.get(end) != Some(&b':') {
        return None;
    }
    if end == start + 1 && text.get(end + 1) == Some(&b'\\') {
        return Some((url_end(text, end + 1), ParamKind::Path));
    }
    if text.get(end + 1..end + 3) == Some(b"//") {
        return Some((url_end(text, end + 3), ParamKind::Path));
    }
    (end - start <= 4).then(|| colon_address(text, start)).flatten().map(|stop| (stop, ParamKind::Address))
}

/// The chunk without the dot, hyphen or other sign that ends it.
fn trimmed(text: &[u8], start: usize, end: usize) -> &[u8] {
    let chunk = &text[start..end];
    let len = chunk
        .iter()
        .rposition(|&b| !matches!(b, b'.' | b'-' | b'+' | b'#' | b'&' | b'>' | b'?'))
        .map_or(0, |p| p + 1);
    &chunk[..len]
}

fn digits_at(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|&&b| class(b) & DIGIT != 0).count()
}

/// A path from the root, or one of several names.
fn path(text: &[u8], start: usize, end: usize) -> Option<(usize, ParamKind)> {
    let chunk = &text[start..end];
    if chunk.len() > 1 && chunk[0] == b'/' {
        if let Some(stop) = ipv4(text, start + 1) {
            return Some((stop, ParamKind::Address));
        }
        let body = trimmed(text, start, end);
        return (body.len() > 1).then_some((start + body.len(), ParamKind::Path));
    }
    // Below the working directory: only with a digit, for `and/or/not` is a sentence.
    let slashes = chunk.iter().filter(|&&b| b == b'/').count();
    let digit = chunk.iter().any(|&b| class(b) & DIGIT != 0);
    let body = trimmed(text, start, end);
    (slashes >= 2 && digit && class(chunk[0]) & ALPHA != 0).then_some((start + body.len(), ParamKind::Path))
}

/// A URL ends at a blank, a quote or a closing bracket.
fn url_end(text: &[u8], from: usize) -> usize {
    let stop = |b: &u8| {
        class(*b) & crate::lex::BLANK != 0
            || matches!(b, b'"' | b'\'' | b')' | b']' | b'}' | b'>' | b',' | b';' | b'|')
    };
    let end = text.get(from..).unwrap_or_default().iter().position(stop).map_or(text.len(), |p| from + p);
    let trailing = text[from..end].iter().rev().take_while(|b| matches!(b, b'.' | b':' | b'!')).count();
    end - trailing
}
