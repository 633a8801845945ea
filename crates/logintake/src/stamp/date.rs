//! Whole stamps: which kind of date begins here, its time, its zone.

use super::calendar::{self, Date};
use super::cursor::Cursor;
use super::{Reference, time};

/// What a date says.
enum Day {
    Full(Date),
    /// Month and day.
    NoYear(u32, u32),
}

/// Reads the stamp at the cursor. `sure`: it is at a place where a stamp is expected, so that forms are believed as
/// well which other things look like: bare numbers, times without a date, numbers as dates without a year.
pub(super) fn stamp(c: &mut Cursor<'_>, reference: &Reference<'_>, sure: bool) -> Option<i64> {
    let first = c.peek()?;
    if first.is_ascii_digit() {
        match c.digits_ahead() {
            4 => year_first(c, reference),
            2 => two_digits(c, reference, sure),
            1 => one_digit(c, reference, sure),
            8 | 6 => compact(c, reference),
            10 | 13 | 16 | 19 if sure => epoch(c),
            _ => None,
        }
    } else {
        named(c, reference).or_else(|| glog(c, reference))
    }
}

/// The time after a date, and the instant of both.
fn with_time(c: &mut Cursor<'_>, day: &Day, separators: &[u8], r: &Reference<'_>) -> Option<i64> {
    c.eat(b',');
    c.eat_any(separators)?;
    while c.eat(b' ') {}
    let in_day = time::of_day(c)?;
    let zone = time::zone(c);
    complete(day, in_day, zone, r)
}

fn complete(day: &Day, in_day: i64, zone: Option<i32>, r: &Reference<'_>) -> Option<i64> {
    match *day {
        Day::Full(date) => Some(calendar::instant(date, in_day, zone, r)),
        Day::NoYear(month, day) => calendar::without_year(month, day, in_day, zone, r),
    }
}

/// `2024-01-02T03:04:05.678Z` and its relatives with other separators.
fn year_first(c: &mut Cursor<'_>, r: &Reference<'_>) -> Option<i64> {
    let year = c.digits(4)? as u32;
    let separator = c.eat_any(b"-/.")?;
    if let Some(month) = c.month() {
        c.eat(separator);
        let day = c.two()?;
        return with_time(c, &Day::Full(Date::new(year, month, day)?), b" T:", r);
    }
    let month = c.one_or_two()?;
    if !c.eat(separator) {
        return None;
    }
    let day = c.one_or_two()?;
    with_time(c, &Day::Full(Date::new(year, month, day)?), b"Tt _-:", r)
}

/// `02/Jan/2024:03:04:05 +0000`, `02 Jan 2024 …`, `31.12.2024 …`, `12/31/2024 …`, `24/12/31 …`, `12-31 …`, `15:04:05`.
fn two_digits(c: &mut Cursor<'_>, r: &Reference<'_>, sure: bool) -> Option<i64> {
    let start = *c;
    let first = c.two()?;
    let separator = c.eat_any(b"/-. :")?;
    if separator == b':' {
        *c = start;
        return if sure { time_only(c, r) } else { None };
    }
    if let Some(month) = c.month() {
        c.eat(separator);
        return day_month_year(c, first, month, r);
    }
    let second = c.two()?;
    if c.eat(separator) {
        return three_numbers(c, first, second, separator, r);
    }
    if !sure || !matches!(separator, b'-' | b'.' | b'/') {
        return None;
    }
    with_time(c, &Day::NoYear(first, second), b" T", r)
}

/// `2 Jan 2024 …`, `1/2/2024 …`, `1:02:03`.
fn one_digit(c: &mut Cursor<'_>, r: &Reference<'_>, sure: bool) -> Option<i64> {
    let start = *c;
    let first = c.digits(1)? as u32;
    match c.eat_any(b" -/:")? {
        b':' if sure => {
            *c = start;
            time_only(c, r)
        }
        b'/' if c.on_digit() => {
            let second = c.one_or_two()?;
            if c.eat(b'/') { three_numbers(c, first, second, b'/', r) } else { None }
        }
        separator => {
            let month = c.month()?;
            c.eat(separator);
            day_month_year(c, first, month, r)
        }
    }
}

fn day_month_year(c: &mut Cursor<'_>, day: u32, month: u32, r: &Reference<'_>) -> Option<i64> {
    if c.digits_ahead() == 4 {
        let year = c.digits(4)? as u32;
        return with_time(c, &Day::Full(Date::new(year, month, day)?), b": T", r);
    }
    c.at = c.at.checked_sub(1)?;
    with_time(c, &Day::NoYear(month, day), b" ", r)
}

/// Two numbers and a third after one separator: which is the year, which the day?
fn three_numbers(
    c: &mut Cursor<'_>,
    first: u32,
    second: u32,
    separator: u8,
    r: &Reference<'_>,
) -> Option<i64> {
    let digits = c.digits_ahead();
    let third = c.digits(digits).filter(|_| digits == 2 || digits == 4)? as u32;
    let try_date = |date: Option<Date>| {
        let mut probe = *c;
        let at = with_time(&mut probe, &Day::Full(date?), b" T:-", r)?;
        Some((at, probe))
    };
    let (at, end) = if digits == 2 {
        // Hadoop and Spark write the year first.
        try_date(Date::new(2000 + first, second, third))?
    } else {
        let day_first = try_date(Date::new(third, second, first));
        let month_first = try_date(Date::new(third, first, second));
        match (day_first, month_first) {
            (Some(a), Some(b)) => either(a, b, separator, r),
            (a, b) => a.or(b)?,
        }
    };
    *c = end;
    Some(at)
}

/// Dots mean the day first; with slashes, what lies ahead of now is the wrong reading, and otherwise the month is first.
fn either<T: Copy>(day_first: (i64, T), month_first: (i64, T), separator: u8, r: &Reference<'_>) -> (i64, T) {
    let ahead = |at: i64| at > r.now_ns.saturating_add(86_400 * calendar::NS);
    if separator == b'.' || (ahead(month_first.0) && !ahead(day_first.0)) { day_first } else { month_first }
}

fn time_only(c: &mut Cursor<'_>, r: &Reference<'_>) -> Option<i64> {
    let in_day = time::of_day(c)?;
    let zone = time::zone(c);
    Some(calendar::without_date(in_day, zone, r))
}

/// `20240102T030405Z`, `20240102 03:04:05`, `20171223-22:15:29:606`, `081109 203615 148`.
fn compact(c: &mut Cursor<'_>, r: &Reference<'_>) -> Option<i64> {
    let year = if c.digits_ahead() == 8 { c.digits(4)? as u32 } else { 2000 + c.two()? };
    let date = Date::new(year, c.two()?, c.two()?)?;
    c.eat_any(b"T -_")?;
    while c.eat(b' ') {}
    let in_day = if c.digits_ahead() == 6 { time::compact(c)? } else { time::of_day(c)? };
    let zone = time::zone(c);
    complete(&Day::Full(date), in_day, zone, r)
}

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch, by their number of digits.
fn epoch(c: &mut Cursor<'_>) -> Option<i64> {
    let digits = c.digits_ahead();
    let number = c.digits(digits)?.cast_signed();
    let scale = 10_i64.pow(19_u32.checked_sub(digits as u32)?);
    let mut at = number.checked_mul(scale)?;
    let fraction = c.peek_at(1).is_some_and(|b| b.is_ascii_digit());
    if digits == 10 && fraction && c.eat(b'.') {
        let kept = c.digits_ahead().min(9);
        at += c.digits(kept)?.cast_signed() * 10_i64.pow(9 - kept as u32);
    }
    // From 2001 on ten digits are a time; a letter after them makes them an id.
    (!c.on_word() && at >= 1_000_000_000 * calendar::NS).then_some(at)
}

/// What begins with the name of a month or a weekday.
fn named(c: &mut Cursor<'_>, r: &Reference<'_>) -> Option<i64> {
    if c.weekday() {
        c.eat(b',');
        if !c.eat(b' ') {
            return None;
        }
        if c.on_digit() {
            let day = c.one_or_two()?;
            c.eat_any(b" -")?;
            let month = c.month()?;
            c.eat_any(b" -")?;
            return day_month_year(c, day, month, r);
        }
    }
    let month = c.month()?;
    c.eat(b'.');
    if !c.eat(b' ') {
        return None;
    }
    c.eat(b' ');
    let day = c.one_or_two()?;
    c.eat(b',');
    if !c.eat(b' ') {
        return None;
    }
    month_day(c, month, day, r)
}

/// `03:04:05`, `2024 03:04:05`, or `03:04:05 UTC 2024` after a month and a day.
fn month_day(c: &mut Cursor<'_>, month: u32, day: u32, r: &Reference<'_>) -> Option<i64> {
    if c.digits_ahead() == 4 {
        let year = c.digits(4)? as u32;
        return with_time(c, &Day::Full(Date::new(year, month, day)?), b" T", r);
    }
    let in_day = time::of_day(c)?;
    let mut zone = time::zone(c);
    let mut probe = *c;
    if zone.is_none() {
        // `CET`: a name that says nothing certain; the year may stand behind it.
        let mut name = probe;
        name.eat(b' ');
        let letters = (0..5).take_while(|n| name.peek_at(*n).is_some_and(|b| b.is_ascii_uppercase())).count();
        if (3..5).contains(&letters) {
            name.at += letters;
            probe = name;
        }
    }
    if probe.eat(b' ') && probe.digits_ahead() == 4 {
        let mut end = probe;
        let date = end.digits(4).and_then(|year| Date::new(year as u32, month, day));
        if let Some(date) = date.filter(|_| !end.on_word() && end.peek() != Some(b'.')) {
            *c = end;
            zone = zone.or_else(|| time::zone(c));
            return complete(&Day::Full(date), in_day, zone, r);
        }
    }
    complete(&Day::NoYear(month, day), in_day, zone, r)
}

/// `I0102 03:04:05.678901`: glog and klog.
fn glog(c: &mut Cursor<'_>, r: &Reference<'_>) -> Option<i64> {
    c.eat_any(b"IWEFD")?;
    if c.digits_ahead() == 8 {
        return compact(c, r);
    }
    if c.digits_ahead() != 4 {
        return None;
    }
    let day = Day::NoYear(c.two()?, c.two()?);
    with_time(c, &day, b" ", r)
}
