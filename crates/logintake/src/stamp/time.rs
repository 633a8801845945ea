//! The time of day in a stamp, with its fraction and its zone.

use super::calendar::NS;
use super::cursor::Cursor;

/// `HH:MM:SS`, with a fraction after `.`, `,` or `:`, and `AM` or `PM`. Nanoseconds of the day.
pub(super) fn of_day(c: &mut Cursor<'_>) -> Option<i64> {
    let mut probe = *c;
    let hour = probe.one_or_two()?;
    let separator = probe.eat_any(b":.")?;
    let minute = probe.two()?;
    if !probe.eat(separator) {
        return None;
    }
    let second = probe.two()?;
    let ns = finish(&mut probe, hour, minute, second)?;
    *c = probe;
    Some(ns)
}

/// `HHMMSS`, as after a compact date.
pub(super) fn compact(c: &mut Cursor<'_>) -> Option<i64> {
    let mut probe = *c;
    let (hour, minute, second) = (probe.two()?, probe.two()?, probe.two()?);
    let ns = finish(&mut probe, hour, minute, second)?;
    *c = probe;
    Some(ns)
}

fn finish(c: &mut Cursor<'_>, hour: u32, minute: u32, second: u32) -> Option<i64> {
    if c.on_digit() {
        return None;
    }
    let fraction = fraction(c);
    let hour = half_day(c, hour);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A leap second has no number of its own since the epoch.
    let seconds = i64::from(hour * 3600 + minute * 60 + second.min(59));
    Some(seconds * NS + fraction)
}

/// Digits after `.`, `,` or `:` as nanoseconds; 0 when there are none.
fn fraction(c: &mut Cursor<'_>) -> i64 {
    let mut probe = *c;
    let Some(separator) = probe.eat_any(b".,:") else { return 0 };
    let digits = probe.digits_ahead();
    // `12:00:00:5` is no fraction, `12:00:00:005` is one.
    if digits == 0 || (separator == b':' && digits < 3) {
        return 0;
    }
    let kept = digits.min(9);
    let Some(number) = probe.digits(kept) else { return 0 };
    let rest = digits - kept;
    let _ = probe.digits(rest);
    *c = probe;
    (number * 10_u64.pow(9 - kept as u32)).cast_signed()
}

fn half_day(c: &mut Cursor<'_>, hour: u32) -> u32 {
    let mut probe = *c;
    probe.eat(b' ');
    let afternoon = if probe.eat_word(b"PM") || probe.eat_word(b"pm") {
        true
    } else if probe.eat_word(b"AM") || probe.eat_word(b"am") {
        false
    } else {
        return hour;
    };
    if probe.on_word() || hour == 0 || hour > 12 {
        return hour;
    }
    *c = probe;
    hour % 12 + if afternoon { 12 } else { 0 }
}

/// The zone after a time, as seconds east of Greenwich: `Z`, `+01:00`, `-0700`, `+01`, ` +0000`, ` UTC`.
pub(super) fn zone(c: &mut Cursor<'_>) -> Option<i32> {
    let mut probe = *c;
    let apart = probe.eat(b' ');
    let offset =
        if probe.eat_word(b"UTC") || probe.eat_word(b"GMT") || (!apart && probe.eat_any(b"Zz").is_some()) {
            if probe.on_word() { None } else { Some(0) }
        } else {
            numeric(&mut probe, apart)
        }?;
    *c = probe;
    Some(offset)
}

/// After a blank only the forms with four digits are a zone.
fn numeric(c: &mut Cursor<'_>, apart: bool) -> Option<i32> {
    let sign = match c.eat_any(b"+-")? {
        b'-' => -1,
        _ => 1,
    };
    let hours = c.two()?;
    let colon = c.eat(b':');
    let minutes = match c.two() {
        Some(minutes) => minutes,
        None if colon || apart => return None,
        None => 0,
    };
    let fits = hours <= 18 && minutes <= 59 && !c.on_word();
    fits.then(|| sign * (hours * 3600 + minutes * 60).cast_signed())
}
