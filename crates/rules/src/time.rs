//! Durations and instants as Prometheus and Go write them.

use std::time::Duration;

use wellkept_model::TimestampMs;

/// Units of [`parse_duration`] in the order in which they may follow each other, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A duration as Prometheus' files write it: `5m`, `1h30m`, `0`; each unit once, the largest first.
///
/// `None` for anything else, and for more than 290 years.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum, mut allowed) = (text, 0_u64, UNITS.as_slice());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let place = allowed.iter().position(|(name, _)| *name == unit)?;
        let (_, ms) = allowed.get(place)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        allowed = allowed.get(place + 1..).unwrap_or_default();
        rest = after;
    }
    (sum <= i64::MAX as u64 / 1_000_000).then(|| Duration::from_millis(sum))
}

/// The writing that Prometheus chooses: `1h30m`; weeks and years only where they fit exactly.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if ms >= size && (!exact_only || ms.is_multiple_of(size)) {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

/// Year, month, day of a day since 1970-01-01, after Howard Hinnant's "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day since 1970-01-01 of a date; the reverse of [`civil`].
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// An instant as promtool accepts it: seconds since the epoch, or RFC 3339. `None` for anything else.
pub(crate) fn parse_instant(text: &str) -> Option<TimestampMs> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 1e12).then_some(TimestampMs((seconds * 1000.0).round() as i64));
    }
    let (date, rest) = text.split_once(['T', 't'])?;
    let numbers = |text: &str, mark: char| -> Option<Vec<i64>> {
        text.split(mark).map(|n| n.bytes().all(|b| b.is_ascii_digit()).then(|| n.parse().ok())?).collect()
    };
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let [hour, minute, second] = numbers(clock, ':')?[..] else { return None };
    let fraction = fraction.bytes().all(|b| b.is_ascii_digit()).then(|| format!("{fraction:0<3}"))?;
    let millis: i64 = fraction.get(..3)?.parse().ok()?;
    let shift = match zone.strip_prefix(['+', '-']) {
        None => 0,
        Some(away) => match numbers(away, ':')?[..] {
            [h, m] if h < 24 && m < 60 => (h * 60 + m) * if zone.starts_with('-') { -1 } else { 1 },
            _ => return None,
        },
    };
    if year > 9999 || !(1..=12).contains(&month) || day > 31 {
        return None;
    }
    let days = day_of(year, month, day);
    let valid = civil(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    valid.then(|| TimestampMs((((days * 24 + hour) * 60 + minute - shift) * 60 + second) * 1000 + millis))
}

/// Date, time of day, and the fraction of a second without trailing zeros, all in UTC.
fn parts(at: TimestampMs) -> (String, String) {
    let (days, ms) = (at.0.div_euclid(86_400_000), at.0.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let fraction = format!(".{:03}", ms % 1000);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let s = ms / 1000;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}{fraction}", s / 3600, s / 60 % 60, s % 60),
    )
}

/// As Go prints a time: `1970-01-01 00:00:01.5 +0000 UTC`.
pub(crate) fn go_time(at: TimestampMs) -> String {
    let (date, time) = parts(at);
    format!("{date} {time} +0000 UTC")
}

/// RFC 3339 as Go's JSON writes it: `1970-01-01T00:00:01.5Z`.
pub(crate) fn rfc3339(at: TimestampMs) -> String {
    let (date, time) = parts(at);
    format!("{date}T{time}Z")
}

/// As Go prints a duration: `1h30m0s`, `1.5s`, `250ms`.
pub(crate) fn go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    if n < 1_000_000_000 {
        let (size, unit) = match n {
            0 => return "0s".to_owned(),
            1..1000 => (1, "ns"),
            1000..1_000_000 => (1000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{unit}", decimal(n, size));
    }
    let minutes = n / 60_000_000_000;
    let seconds = decimal(n % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

/// `n / size` without trailing zeros; `size` is a power of ten.
fn decimal(n: u64, size: u64) -> String {
    let (whole, part) = (n / size, n % size);
    if part == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    format!("{whole}.{part:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        for (text, ms) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1d12h", Some(129_600_000)),
            ("1y2w3d4h5m6s7ms", Some(31_536_000_000 + 1_209_600_000 + 259_200_000 + 14_706_007)),
            ("30m1h", None),
            ("5m5m", None),
            ("5", None),
            ("m", None),
            ("", None),
            ("1.5h", None),
            ("-5m", None),
            (" 5m", None),
            ("99999999999y", None),
            ("300y", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), ms, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_prometheus_shows_them() {
        for (ms, text) in
            [(0, "0s"), (5_400_000, "1h30m"), (604_800_000, "1w"), (694_800_000, "8d1h"), (1001, "1s1ms")]
        {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn instants_are_read_back() {
        for ms in [0, 1500, 951_782_400_000, -1, 1_782_914_465_123, 253_402_300_799_999] {
            assert_eq!(parse_instant(&rfc3339(TimestampMs(ms))), Some(TimestampMs(ms)));
        }
        assert_eq!(parse_instant("1970-01-01T02:00:00+01:30"), Some(TimestampMs(1_800_000)));
        assert_eq!(parse_instant("1.5"), Some(TimestampMs(1500)));
        for bad in [
            "",
            "now",
            "1970-13-01T00:00:00Z",
            "1970-02-30T00:00:00Z",
            "1970-01-01",
            "1970-01-01T25:00:00Z",
            "9223372036854775807-01-01T00:00:00Z",
            "1970-9223372036854775807-01T00:00:00Z",
            "1e300",
        ] {
            assert_eq!(parse_instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_are_written_as_go_writes_them() {
        assert_eq!(go_time(TimestampMs(1500)), "1970-01-01 00:00:01.5 +0000 UTC");
        assert_eq!(rfc3339(TimestampMs(951_782_400_000)), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(TimestampMs(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(go_duration(5_400_000_000_000), "1h30m0s");
        assert_eq!(go_duration(-1_500_000_000), "-1.5s");
        assert_eq!(go_duration(250_000_000), "250ms");
    }
}
