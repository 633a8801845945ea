//! Dates, times of day and short spans.

use super::digits_at;
use crate::lex::{ALPHA, BREAK, DIGIT, UPPER, class};

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
    let at = if DAYS.contains(&word) { blank(text, end)? } else { start };
    let month = text.get(at..at + 3)?;
    if !MONTHS.contains(&month) {
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
    let fits = if first == 4 {
        third == 2 || (third == 1 && sign == b'/')
    } else {
        sign == b'/' && (third == 2 || third == 4)
    };
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
pub(super) fn minutes(text: &[u8], start: usize) -> Option<usize> {
    let first = digits_at(text, start);
    let second = start + first + 1;
    let fits = (1..=2).contains(&first) && digits_at(text, second) == 2 && text[second] < b'6';
    (fits && ends_word(text, second + 2)).then_some(second + 2)
}

/// `<1 sec`, `<1 ms`: a time too short to measure.
pub(super) fn less_than(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if digits_at(text, start + 1) + start + 1 != end {
        return None;
    }
    let unit = blank(text, end)?;
    let len = text.get(unit..)?.iter().take_while(|&&b| class(b) & ALPHA != 0).count();
    let unit_end = unit + len;
    matches!(text.get(unit..unit_end)?, b"sec" | b"s" | b"ms" | b"us" | b"ns" | b"second" | b"seconds")
        .then_some(unit_end)
}

fn ends_word(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|&b| {
        let c = class(b);
        (c & BREAK != 0 && !(b == b':' && text.get(at + 1).is_some_and(|&n| class(n) & (DIGIT | ALPHA) != 0)))
            || (b == b'.' && digits_at(text, at + 1) == 0)
    })
}
