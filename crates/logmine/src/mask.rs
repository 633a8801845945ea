//! What a value looks like on any system: numbers, addresses, paths, times, identifiers.
//!
//! Every rule here holds for logs at large; none names a program. A rule looks at one chunk, except for times, URLs
//! and addresses with colons, which may run over the end of the chunk.

use wellkept_model::ParamKind;

use crate::lex::{ALPHA, BREAK, Class, DIGIT, HEX, HIGH, INNER, UPPER, class};

/// The chunk `start..end` as one value, with the place where the value ends, which may lie behind the chunk.
pub(crate) fn whole(text: &[u8], start: usize, end: usize, seen: u8, slash: bool) -> Option<(usize, ParamKind)> {
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
    if seen & DIGIT != 0 && text[start] == b'<' && let Some(stop) = less_than(text, start, end) {
        return Some((stop, ParamKind::Duration));
    }
    if colon && let Some(stop) = colon_address(text, start) {
        return Some((stop, ParamKind::Address));
    }
    if slash {
        if let Some(found) = path(text, start, end) {
            return Some(found);
        }
    }
    if seen & DIGIT == 0 {
        return None;
    }
    if seen & INNER != 0 && let Some(stop) = ipv4(text, start) {
        return Some((stop, ParamKind::Address));
    }
    let body = trimmed(text, start, end);
    if let Some(kind) = number(body) {
        return Some((start + body.len(), kind));
    }
    if is_uuid(body) {
        return Some((start + body.len(), ParamKind::Id));
    }
    if (colon || slash) && let Some(stop) = host_port(text, start, end) {
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
    (parts >= 3 && !error).then_some(ParamKind::Text)
}

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
    if !named || !letter || !(dots > 1 || (digit && chunk.contains(&b'-'))) {
        return None;
    }
    let stop = port(text, end);
    (stop > end + 2).then_some(stop)
}

/// `<200511.jA9J@host>`: what mail and news put around their names.
fn is_tagged(text: &[u8]) -> bool {
    matches!(text, [b'<', inside @ .., b'>'] if inside.contains(&b'@') && !inside.contains(&b'<'))
}

/// At least three parts of capitals and digits, two with a digit: `R63-M0-L2-U19`.
fn is_code(text: &[u8]) -> bool {
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
fn is_version(text: &[u8]) -> bool {
    matches!(text, [b'v' | b'V', first, ..] if class(*first) & DIGIT != 0)
        && text[1..].iter().all(|&b| class(b) & DIGIT != 0 || matches!(b, b'.' | b'-'))
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
fn is_counted(text: &[u8]) -> bool {
    let mut pieces = text.split(|&b| b == b'_');
    let named = pieces.next().is_some_and(|first| !first.is_empty());
    named && pieces.any(|piece| !piece.is_empty() && piece.iter().all(|&b| class(b) & DIGIT != 0))
}

/// The chunk without the dot, hyphen or other sign that ends it.
fn trimmed(text: &[u8], start: usize, end: usize) -> &[u8] {
    let chunk = &text[start..end];
    let len = chunk.iter().rposition(|&b| !matches!(b, b'.' | b'-' | b'+' | b'#' | b'&' | b'>' | b'?')).map_or(0, |p| p + 1);
    &chunk[..len]
}

/// A number, with or without sign and unit.
fn number(text: &[u8]) -> Option<ParamKind> {
    let body = match text.first() {
        Some(b'-' | b'+') => &text[1..],
        _ => text,
    };
    if let Some(hex) = body.strip_prefix(b"0x").or_else(|| body.strip_prefix(b"0X")) {
        return (!hex.is_empty() && hex.iter().all(|&b| class(b) & (DIGIT | HEX) != 0)).then_some(ParamKind::Hex);
    }
    let digits = body.iter().position(|&b| class(b) & DIGIT == 0 && b != b'.').unwrap_or(body.len());
    if digits == 0 || body.first() == Some(&b'.') {
        return None;
    }
    match &body[digits..] {
        b"" | b"%" => Some(ParamKind::Number),
        b"ns" | b"us" | b"ms" | b"s" | b"sec" | b"secs" | b"m" | b"min" | b"h" | b"hrs" | b"d" => Some(ParamKind::Duration),
        b"\xc2\xb5s" => Some(ParamKind::Duration),
        b"B" | b"k" | b"K" | b"M" | b"G" | b"T" | b"kB" | b"KB" | b"MB" | b"GB" | b"TB" | b"KiB" | b"MiB" | b"GiB" | b"TiB"
        | b"kb" | b"mb" | b"gb" | b"Ki" | b"Mi" | b"Gi" => Some(ParamKind::Size),
        [b'e' | b'E', rest @ ..] => number(rest).filter(|k| *k == ParamKind::Number),
        _ => None,
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, &b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => class(b) & (DIGIT | HEX) != 0,
        })
}

/// A name with digits and at least two dots, its last part in small letters: `dsl-12-3.example.net`.
fn is_host(text: &[u8]) -> bool {
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
fn ipv4(text: &[u8], start: usize) -> Option<usize> {
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
        && (class(b) & (ALPHA | DIGIT | HIGH) != 0 || b == b'_' || (b == b'.' && digits_at(text, at + 1) > 0) || b == b'-')
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

fn digits_at(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|&&b| class(b) & DIGIT != 0).count()
}

/// IPv6 or MAC: groups of hexadecimal digits with at least two colons.
fn colon_address(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut groups, mut colons, mut double, mut pairs) = (start, 0, 0, false, true);
    loop {
        let hex = text.get(at..).unwrap_or_default().iter().take(6).take_while(|&&b| class(b) & (DIGIT | HEX) != 0).count();
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
    let stop = |b: &u8| class(*b) & crate::lex::BLANK != 0 || matches!(b, b'"' | b'\'' | b')' | b']' | b'}' | b'>' | b',' | b';' | b'|');
    let end = text.get(from..).unwrap_or_default().iter().position(stop).map_or(text.len(), |p| from + p);
    let trailing = text[from..end].iter().rev().take_while(|b| matches!(b, b'.' | b':' | b'!')).count();
    end - trailing
}

/// A date, a time of day, or both at `start`, alone between blanks; returns where it ends.
pub(crate) fn time_at(text: &[u8], start: usize) -> Option<usize> {
    let digit = text.get(start).is_some_and(|&b| class(b) & DIGIT != 0);
    digit.then(|| time(text, start).or_else(|| month_day(text, start))).flatten()
}

/// `03-17 16:13:38`: a date without a year, only with a time.
fn month_day(text: &[u8], start: usize) -> Option<usize> {
    let sign = *text.get(start + 2)?;
    let fits = matches!(sign, b'-' | b'/') && digits_at(text, start) == 2 && digits_at(text, start + 3) == 2;
    fits.then(|| blank(text, start + 5)).flatten().and_then(|at| clock(text, at))
}

/// A date, a time of day, or both; returns where it ends.
fn time(text: &[u8], start: usize) -> Option<usize> {
    if let Some(date) = date(text, start) {
        let joined = matches!(text.get(date), Some(b' ' | b'T' | b'-' | b'.' | b':' | b'/' | b'_'));
        return match joined.then(|| clock(text, date + 1)).flatten() {
            Some(end) => Some(end),
            None => ends_word(text, date).then_some(date),
        };
    }
    clock(text, start)
}

/// `Sun Jul 3 10:05:25 2005`, `Jul  3 10:05:25`: a time with the name of its month; returns where it ends.
pub(crate) fn named_time(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let word = &text[start..end];
    if word.len() != 3 || class(word[0]) & UPPER == 0 {
        return None;
    }
    let at = if DAYS.iter().any(|d| *d == word) { blank(text, end)? } else { start };
    let month = text.get(at..at + 3)?;
    if !MONTHS.iter().any(|m| *m == month) {
        return None;
    }
    let day = blank(text, at + 3)?;
    let digits = digits_at(text, day);
    if !(1..=2).contains(&digits) {
        return None;
    }
    let mut stop = clock(text, blank(text, day + digits)?)?;
    // A zone and a year may follow.
    if let Some(zone) = blank(text, stop)
        && text.get(zone..zone + 3).is_some_and(|z| z.iter().all(|&b| class(b) & UPPER != 0))
        && let Some(year) = blank(text, zone + 3)
        && let Some(end) = four_digits(text, year)
    {
        stop = end;
    } else if let Some(year) = blank(text, stop)
        && let Some(end) = four_digits(text, year)
    {
        stop = end;
    }
    Some(stop)
}

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Behind one or two blanks at `at`.
fn blank(text: &[u8], at: usize) -> Option<usize> {
    match (text.get(at), text.get(at + 1)) {
        (Some(b' '), Some(b' ')) => Some(at + 2),
        (Some(b' '), _) => Some(at + 1),
        _ => None,
    }
}

fn four_digits(text: &[u8], at: usize) -> Option<usize> {
    (digits_at(text, at) == 4 && ends_word(text, at + 4)).then_some(at + 4)
}

/// `2024-05-06`, `2024/05/06`, `2024.05.06`, `05/06/24`.
fn date(text: &[u8], start: usize) -> Option<usize> {
    let first = digits_at(text, start);
    let sign = *text.get(start + first)?;
    if !matches!(sign, b'-' | b'/' | b'.') || !(first == 4 || first == 2) {
        return None;
    }
    let middle = digits_at(text, start + first + 1);
    let third_at = start + first + 1 + middle + 1;
    if !(middle == 2 || (middle == 1 && sign == b'/')) || text.get(third_at - 1) != Some(&sign) {
        return None;
    }
    let third = digits_at(text, third_at);
    let fits = if first == 4 { third == 2 || (third == 1 && sign == b'/') } else { sign == b'/' && (third == 2 || third == 4) };
    fits.then_some(third_at + third)
}

/// `07:08:09`, with fraction and zone if there is one.
fn clock(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for group in 0..3 {
        if group > 0 {
            at = matches!(text.get(at), Some(b':')).then_some(at + 1)?;
        }
        let digits = digits_at(text, at);
        if digits > 2 || digits < if group == 0 { 1 } else { 2 } {
            return None;
        }
        at += digits;
    }
    if matches!(text.get(at), Some(b'.' | b',')) {
        let fraction = digits_at(text, at + 1);
        at += if (1..=9).contains(&fraction) { 1 + fraction } else { 0 };
    }
    if text.get(at) == Some(&b'Z') {
        at += 1;
    } else if matches!(text.get(at), Some(b'+' | b'-')) {
        let hours = digits_at(text, at + 1);
        at += match (hours, text.get(at + 3), digits_at(text, at + 4)) {
            (4, _, _) => 5,
            (2, Some(b':'), 2) => 6,
            _ => 0,
        };
    }
    ends_word(text, at).then_some(at)
}

/// `00:01`, `12:45`: hours and minutes, or minutes and seconds.
fn minutes(text: &[u8], start: usize) -> Option<usize> {
    let first = digits_at(text, start);
    let second = start + first + 1;
    let fits = (1..=2).contains(&first) && digits_at(text, second) == 2 && text[second] < b'6';
    (fits && ends_word(text, second + 2)).then_some(second + 2)
}

/// `<1 sec`, `<1 ms`: a time too short to measure.
fn less_than(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if digits_at(text, start + 1) + start + 1 != end {
        return None;
    }
    let unit = blank(text, end)?;
    let len = text.get(unit..)?.iter().take_while(|&&b| class(b) & ALPHA != 0).count();
    let unit_end = unit + len;
    matches!(text.get(unit..unit_end)?, b"sec" | b"s" | b"ms" | b"us" | b"ns" | b"second" | b"seconds").then_some(unit_end)
}

fn ends_word(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|&b| {
        let c = class(b);
        (c & BREAK != 0 && !(b == b':' && text.get(at + 1).is_some_and(|&n| class(n) & (DIGIT | ALPHA) != 0))) || (b == b'.' && digits_at(text, at + 1) == 0)
    })
}
