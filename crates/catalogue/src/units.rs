//! Writes values in people's units: `{at|time}`, `{n|bytes}`, `{ms|duration}`, `{share|percent}`.
//!
//! Each function gives `None` for a value that is not of its kind; the caller then shows the value as it came.

use jiff::Timestamp;

use crate::Language;

/// A value under one of the formats; `None` when the format is unknown or the value does not fit it.
pub(crate) fn format(language: Language, format: &str, value: &str) -> Option<String> {
    match format {
        "time" => time(value.parse().ok()?),
        "bytes" => bytes(value.parse().ok()?),
        "duration" => duration(language, value.parse().ok()?),
        "percent" => percent(value.parse().ok()?),
        _ => None,
    }
}

/// Names of all formats.
#[cfg(test)]
pub(crate) const FORMATS: [&str; 4] = ["time", "bytes", "duration", "percent"];

/// Milliseconds since 1970 as RFC 3339 in UTC, whole seconds.
fn time(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Bytes with a binary prefix and at most one decimal: `512 B`, `1.2 GiB`.
fn bytes(n: f64) -> Option<String> {
    if !n.is_finite() {
        return None;
    }
    let mut value = n;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // One decimal of 1023.95 and more would read "1024.0".
        if value.abs() < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    Some(if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") })
}

/// Milliseconds: `320 ms`, `3.2 s`, `2 min`, `5 h`, `3 d`.
fn duration(language: Language, ms: f64) -> Option<String> {
    if !ms.is_finite() {
        return None;
    }
    let zh = language == Language::ZhCn;
    let size = ms.abs();
    let (value, decimals, unit) = if size < 999.5 {
        (ms, 0, if zh { "毫秒" } else { "ms" })
    } else if size < 59_950.0 {
        (ms / 1000.0, 1, if zh { "秒" } else { "s" })
    } else if size < 3_570_000.0 {
        (ms / 60_000.0, 0, if zh { "分钟" } else { "min" })
    } else if size < 48.0 * 3_600_000.0 {
        (ms / 3_600_000.0, 0, if zh { "小时" } else { "h" })
    } else {
        (ms / 86_400_000.0, 0, if zh { "天" } else { "d" })
    };
    Some(format!("{value:.decimals$} {unit}"))
}

/// A share of one: `97 %`; below ten per cent with one decimal.
fn percent(share: f64) -> Option<String> {
    if !share.is_finite() {
        return None;
    }
    // An empty sum is a negative zero.
    let value = share * 100.0 + 0.0;
    let decimals = usize::from(value != 0.0 && value.abs() < 9.95);
    Some(format!("{value:.decimals$} %"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, value: &str, shown: &str) {
        assert_eq!(format(Language::En, kind, value).as_deref(), Some(shown), "{value}|{kind}");
    }

    #[test]
    fn values_are_written_in_peoples_units() {
        check("time", "1700000000999", "2023-11-14T22:13:20Z");
        check("time", "-1", "1969-12-31T23:59:59Z");
        check("bytes", "512", "512 B");
        check("bytes", "1288490189", "1.2 GiB");
        check("bytes", "1048575", "1.0 MiB");
        check("bytes", "-2048", "-2.0 KiB");
        check("duration", "0", "0 ms");
        check("duration", "999.7", "1.0 s");
        check("duration", "3214", "3.2 s");
        check("duration", "59990", "1 min");
        check("duration", "3599000", "1 h");
        check("duration", "604800000", "7 d");
        check("percent", "0.97", "97 %");
        check("percent", "0.004", "0.4 %");
        check("percent", "0", "0 %");
        check("percent", "-0", "0 %");
    }

    #[test]
    fn units_follow_the_language() {
        assert_eq!(format(Language::ZhCn, "duration", "3214").as_deref(), Some("3.2 秒"));
    }

    #[test]
    fn odd_values_are_left_to_the_caller() {
        for kind in FORMATS {
            for value in ["", "x", "NaN", "inf", "9223372036854775807999999", "1e400", "--1"] {
                if let Some(shown) = format(Language::En, kind, value) {
                    assert!(shown.len() < 64, "{value}|{kind} gave {shown}");
                }
            }
            assert_eq!(format(Language::En, kind, "soon"), None);
        }
        assert_eq!(format(Language::En, "roman", "4"), None);
    }
}
