//! Moments as Python's `datetime` knows them: microseconds, no zone.

use jiff::civil::DateTime;
use jiff::{Span, fmt::strtime};

use super::error::{Result, bail, value_error};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Microseconds since 1970.
pub(crate) fn micros(time: DateTime) -> i64 {
    let days = EPOCH.date().until(time.date()).map(|span| i64::from(span.get_days())).unwrap_or_default();
    let (hour, minute, second) = (i64::from(time.hour()), i64::from(time.minute()), i64::from(time.second()));
    ((days * 24 + hour) * 3600 + minute * 60 + second) * 1_000_000
        + i64::from(time.subsec_nanosecond()) / 1000
}

/// The moment so many microseconds after 1970.
pub(crate) fn from_micros(micros: i64) -> Result<DateTime> {
    let moved = Span::new().try_seconds(micros.div_euclid(1_000_000)).and_then(|span| {
        EPOCH.checked_add(span)?.checked_add(Span::new().microseconds(micros.rem_euclid(1_000_000)))
    });
    moved.map_err(|_| value_error("year is out of range"))
}

/// `strftime`. Directives that are not known stay as they are.
pub(crate) fn show(time: DateTime, utc_offset: i32, format: &str) -> Result<String> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(directive) = chars.next() else {
            out.push('%');
            break;
        };
        match directive {
            'f' => out.push_str(&format!("{:06}", time.subsec_nanosecond() / 1000)),
            's' => out.push_str(&(micros(time).div_euclid(1_000_000) - i64::from(utc_offset)).to_string()),
            'z' => out.push_str(&offset(utc_offset)),
            'Z' => out.push_str(if utc_offset == 0 { "UTC" } else { "" }),
            'c' => out.push_str(&time.strftime("%a %b %e %H:%M:%S %Y").to_string()),
            'x' => out.push_str(&time.strftime("%m/%d/%y").to_string()),
            'X' => out.push_str(&time.strftime("%H:%M:%S").to_string()),
            known => {
                let one = format!("%{known}");
                match strtime::format(one.as_bytes(), time) {
                    Ok(text) => out.push_str(&text),
                    Err(_) => out.push_str(&one),
                }
            }
        }
        if out.len() > 10_000 {
            bail!("the format makes a text that is too long");
        }
    }
    Ok(out)
}

fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
}

/// `strptime`.
pub(crate) fn read(text: &str, format: &str) -> Result<DateTime> {
    let parsed = strtime::parse(format, text).and_then(|parsed| {
        let date = parsed.to_date().or_else(|_| Ok::<_, jiff::Error>(jiff::civil::date(1900, 1, 1)))?;
        let time = parsed.to_time().or_else(|_| Ok::<_, jiff::Error>(jiff::civil::time(0, 0, 0, 0)))?;
        Ok(date.to_datetime(time))
    });
    parsed.map_err(|_| value_error(format!("time data '{text}' does not match format '{format}'")))
}
