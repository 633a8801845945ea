//! Addresses and names of hosts, with or without a port.

use super::digits_at;
use crate::lex::{ALPHA, DIGIT, HEX, HIGH, UPPER, class};

/// `name:8030`, `name/10.0.0.1:8030`, where the name has a digit or several dots.
pub(crate) fn host_port(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let chunk = &text[start..end];
    if let Some(slash) = chunk.iter().position(|&b| b == b'/') {
        return (slash > 0).then(|| ipv4(text, start + slash + 1)).flatten();
    }
    let named = chunk.iter().all(|&b| class(b) & (ALPHA | DIGIT) != 0 || matches!(b, b'.' | b'-' | b'_'));
    let dots = chunk.iter().filter(|&&b| b == b'.').count();
    let letter = class(chunk[0]) & ALPHA != 0 || dots > 1;
    let digit = chunk.iter().any(|&b| class(b) & DIGIT != 0);
    if !named || !letter || !(dots > 1 || in_known_domain(chunk) || (digit && chunk.contains(&b'-'))) {
        return None;
    }
    let stop = port(text, end);
    (stop > end + 2).then_some(stop)
}

/// A name below one of the oldest domains: `example.com`. Two parts say too little for others: `mice.c`, `app.run`.
pub(super) fn in_known_domain(text: &[u8]) -> bool {
    let mut parts = text.rsplitn(2, |&b| b == b'.');
    let top = parts.next().unwrap_or_default();
    matches!(top, b"com" | b"net" | b"org" | b"edu" | b"gov")
        && parts.next().is_some_and(|name| !name.is_empty())
}

/// A name with digits and at least two dots, its last part in small letters: `dsl-12-3.example.net`.
pub(super) fn is_host(text: &[u8]) -> bool {
    let top = text.rsplit(|&b| b == b'.').next().unwrap_or_default();
    if top.is_empty() || !top.iter().all(|&b| class(b) & (ALPHA | UPPER) == ALPHA) {
        return false;
    }
    let mut dots = 0;
    for &b in text {
        match b {
            b'.' => dots += 1,
            b'-' | b'_' => {}
            _ if class(b) & (ALPHA | DIGIT) != 0 => {}
            _ => return false,
        }
    }
    dots >= 2 && text.first().is_some_and(|&b| b != b'.')
}

/// Four numbers with dots, with or without port, with or without prefix length.
pub(super) fn ipv4(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for group in 0..4 {
        if group > 0 {
            at = (text.get(at) == Some(&b'.')).then_some(at + 1)?;
        }
        let digits = digits_at(text, at);
        if digits == 0 || digits > 3 {
            return None;
        }
        at += digits;
    }
    if let Some(&b) = text.get(at)
        && (class(b) & (ALPHA | DIGIT | HIGH) != 0
            || b == b'_'
            || (b == b'.' && digits_at(text, at + 1) > 0)
            || b == b'-')
    {
        return None;
    }
    Some(port(text, at))
}

/// Behind `:123` or `/24`, if there is one.
fn port(text: &[u8], at: usize) -> usize {
    if matches!(text.get(at), Some(b':' | b'/')) {
        let digits = digits_at(text, at + 1);
        let after = text.get(at + 1 + digits).map_or(0, |&b| class(b));
        if (1..=5).contains(&digits) && after & (ALPHA | HIGH) == 0 && !more(text, at + 1 + digits) {
            return at + 1 + digits;
        }
    }
    at
}

/// Whether a colon with a further number follows: then what came before was no port.
fn more(text: &[u8], at: usize) -> bool {
    text.get(at) == Some(&b':') && digits_at(text, at + 1) > 0
}

/// IPv6 or MAC: groups of hexadecimal digits with at least two colons.
pub(super) fn colon_address(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut groups, mut colons, mut double, mut pairs) = (start, 0, 0, false, true);
    loop {
        let hex = text
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take(6)
            .take_while(|&&b| class(b) & (DIGIT | HEX) != 0)
            .count();
        if hex > 4 {
            return None;
        }
        if hex > 0 {
            groups += 1;
            pairs &= hex == 2;
        }
        at += hex;
        if text.get(at) != Some(&b':') {
            break;
        }
        let next_double = text.get(at + 1) == Some(&b':');
        if next_double && double {
            return None;
        }
        let follow = text.get(at + 1 + usize::from(next_double)).map_or(0, |&b| class(b));
        if follow & (DIGIT | HEX) == 0 && !next_double {
            break;
        }
        double |= next_double;
        colons += 1 + usize::from(next_double);
        at += 1 + usize::from(next_double);
    }
    if text.get(at).is_some_and(|&b| class(b) & (ALPHA | DIGIT | HIGH) != 0 || b == b'_' || b == b'-') {
        return None;
    }
    let mac = groups == 6 && pairs && !double;
    let ipv6 = (groups == 8 && !double) || (double && (2..8).contains(&groups) && colons >= 2);
    (mac || ipv6).then_some(at)
}
