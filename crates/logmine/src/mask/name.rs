//! Numbers with and without unit, identifiers, versions, and names that are values.

use wellkept_model::ParamKind;

use crate::lex::{Class, DIGIT, HEX, UPPER, class};

/// One part of a chunk with digits, between `. - + @ # $ % &`.
pub(crate) fn part(text: &[u8], seen: u8) -> Class {
    if seen & DIGIT == 0 {
        return Class::Word;
    }
    if let Some(kind) = number(text) {
        return Class::Value(kind);
    }
    let digits = text.iter().filter(|&&b| class(b) & DIGIT != 0).count();
    let hex = text.iter().all(|&b| class(b) & (DIGIT | HEX) != 0);
    if hex && (text.len() >= 6 || digits == text.len()) {
        return Class::Value(ParamKind::Hex);
    }
    if class(text[0]) & DIGIT != 0 || digits >= 3 || digits * 2 > text.len() || is_counted(text) {
        return Class::Value(ParamKind::Id);
    }
    Class::Mixed
}

/// A name with a number of its own: `rdd_2_0`, `broadcast_9`.
pub(super) fn is_counted(text: &[u8]) -> bool {
    let mut pieces = text.split(|&b| b == b'_');
    let named = pieces.next().is_some_and(|first| !first.is_empty());
    named && pieces.any(|piece| !piece.is_empty() && piece.iter().all(|&b| class(b) & DIGIT != 0))
}

/// A number, with or without sign and unit.
pub(super) fn number(text: &[u8]) -> Option<ParamKind> {
    let body = match text.first() {
        Some(b'-' | b'+') => &text[1..],
        _ => text,
    };
    if let Some(hex) = body.strip_prefix(b"0x").or_else(|| body.strip_prefix(b"0X")) {
        return (!hex.is_empty() && hex.iter().all(|&b| class(b) & (DIGIT | HEX) != 0))
            .then_some(ParamKind::Hex);
    }
    let digits = body.iter().position(|&b| class(b) & DIGIT == 0 && b != b'.').unwrap_or(body.len());
    if digits == 0 || body.first() == Some(&b'.') {
        return None;
    }
    match &body[digits..] {
        b"" | b"%" => Some(ParamKind::Number),
        b"ns" | b"us" | b"ms" | b"s" | b"sec" | b"secs" | b"m" | b"min" | b"h" | b"hrs" | b"d" => {
            Some(ParamKind::Duration)
        }
        b"\xc2\xb5s" => Some(ParamKind::Duration),
        b"B" | b"k" | b"K" | b"M" | b"G" | b"T" | b"kB" | b"KB" | b"MB" | b"GB" | b"TB" | b"KiB" | b"MiB"
        | b"GiB" | b"TiB" | b"kb" | b"mb" | b"gb" | b"Ki" | b"Mi" | b"Gi" => Some(ParamKind::Size),
        [b'e' | b'E', rest @ ..] => number(rest).filter(|k| *k == ParamKind::Number),
        _ => None,
    }
}

/// `8-4-4-4-12` hexadecimal digits.
pub(super) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, &b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => class(b) & (DIGIT | HEX) != 0,
        })
}

/// `<200511.jA9J@host>`: what mail and news put around their names.
pub(super) fn is_tagged(text: &[u8]) -> bool {
    matches!(text, [b'<', inside @ .., b'>'] if inside.contains(&b'@') && !inside.contains(&b'<'))
}

/// At least three parts of capitals and digits, two with a digit: `R63-M0-L2-U19`.
pub(super) fn is_code(text: &[u8]) -> bool {
    let (mut parts, mut numbered) = (0, 0);
    for part in text.split(|&b| b == b'-') {
        parts += 1;
        numbered += usize::from(part.iter().any(|&b| class(b) & DIGIT != 0));
        if part.is_empty() || !part.iter().all(|&b| class(b) & (DIGIT | UPPER) != 0) {
            return false;
        }
    }
    parts >= 3 && numbered >= 2 && class(text[0]) & UPPER != 0
}

/// `v1`, `v0.97`, `V2.1-3`.
pub(super) fn is_version(text: &[u8]) -> bool {
    matches!(text, [b'v' | b'V', first, ..] if class(*first) & DIGIT != 0)
        && text[1..].iter().all(|&b| class(b) & DIGIT != 0 || matches!(b, b'.' | b'-'))
}

/// A name of at least three parts with dots between: of a package, a class, a host. A name of an error names the
/// event and stands still.
pub(crate) fn dotted(text: &[u8]) -> Option<ParamKind> {
    let mut parts = 0;
    for part in text.split(|&b| b == b'.') {
        if part.is_empty() {
            return None;
        }
        parts += 1;
    }
    let error = text.ends_with(b"Exception") || text.ends_with(b"Error");
    if super::address::in_known_domain(text) {
        return Some(ParamKind::Address);
    }
    (parts >= 3 && !error).then_some(ParamKind::Text)
}
