//! Numbers and durations as PromQL writes them.

/// Longest duration in seconds: about 300 years, so that milliseconds stay far from the end of `i64`.
pub(crate) const DURATION_SECONDS_MAX: f64 = 1e10;

/// A number: decimal, `0x1F`, octal `017`, `1_000`, `1e3`, `Inf`, `NaN`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "inf" | "nan" => return lower.parse().ok(),
        _ => {}
    }
    if !underscores_fit(&lower) {
        return None;
    }
    let plain = lower.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(whole);
    }
    let octal =
        plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if octal {
        return i64::from_str_radix(&plain, 8).ok().map(whole);
    }
    if !plain.bytes().any(|b| b.is_ascii_digit()) || plain.contains("inf") || plain.contains("nan") {
        return None;
    }
    plain.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "as in Prometheus: a literal beyond 2^53 is rounded")]
fn whole(n: i64) -> f64 {
    n as f64
}

/// Underscores only stand between digits or after the prefix of a hexadecimal number.
fn underscores_fit(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x");
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(i, _)| {
        let before = i.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(0);
        let after = bytes.get(i + 1).copied().unwrap_or(0);
        let digit = |b: u8| b.is_ascii_digit() || hex && b.is_ascii_hexdigit();
        (digit(before) || hex && i == 2) && digit(after)
    })
}

/// Units of a duration, largest first, in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Milliseconds of `1h30m`: each unit at most once, larger ones first.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("not a valid duration string: {text:?}");
    let mut rest = text;
    let mut total: i64 = 0;
    let mut units = UNITS.iter();
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0).ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(*factor));
        total = part.and_then(|p| total.checked_add(p)).ok_or("duration out of range")?;
        rest = tail;
    }
    if seconds(total) > DURATION_SECONDS_MAX {
        return Err(format!("duration out of range: at most {DURATION_SECONDS_MAX} seconds are accepted"));
    }
    Ok(total)
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date stay far below 2^53")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Milliseconds as PromQL writes them: `1h30m`; `0s` for none. Weeks and years only where nothing is left.
pub(crate) fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut left = ms.unsigned_abs();
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    for (name, size) in UNITS {
        let size = size.unsigned_abs();
        let whole_only = matches!(name, "y" | "w");
        if left == 0 || (whole_only && !left.is_multiple_of(size)) || left < size {
            continue;
        }
        out.push_str(&format!("{}{name}", left / size));
        left %= size;
    }
    out
}

/// A number as Prometheus prints it: shortest digits, no exponent, `+Inf`, `-Inf`, `NaN`.
pub(crate) fn format_number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

/// A number as Go's `%g`: shortest digits, with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn format_general(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-4..1e6).contains(&size) {
        return format_number(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_go() {
        for (text, value) in [
            ("1", 1.0),
            (".5", 0.5),
            ("1.", 1.0),
            ("1e3", 1000.0),
            ("0x1F", 31.0),
            ("0x_1f", 31.0),
            ("017", 15.0),
            ("08", 8.0),
            ("1_000", 1000.0),
            ("1_0.5_0", 10.5),
            ("inF", f64::INFINITY),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "_1", "1_", "1__0", "1e", "0x", "x", "infinity", "1.2.3"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn durations_want_their_units_in_order() {
        assert_eq!(duration("1h30m"), Ok(5_400_000));
        assert_eq!(duration("1d1ms"), Ok(86_400_001));
        for text in ["", "5", "m", "1m1h", "1m1m", "1x", "99999999999999999999y", "1000y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        for (ms, text) in [
            (0, "0s"),
            (5_400_000, "1h30m"),
            (-300_000, "-5m"),
            (604_800_000, "1w"),
            (691_200_000, "8d"),
            (31_536_000_000, "1y"),
            (31_622_400_000, "366d"),
            (1_500, "1s500ms"),
        ] {
            assert_eq!(format_duration(ms), text);
        }
    }

    #[test]
    fn general_numbers_have_an_exponent_only_at_the_ends() {
        for (value, text) in
            [(0.5, "0.5"), (1e21, "1e+21"), (1.5e-7, "1.5e-07"), (100_000.0, "100000"), (1.5e6, "1.5e+06")]
        {
            assert_eq!(format_general(value), text);
        }
    }
}
