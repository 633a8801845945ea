//! Instants and durations as Prometheus' HTTP API takes them.

use std::time::Duration;

use jiff::Timestamp;
use wellkept_model::TimestampMs;

use crate::error::ApiError;

/// Largest instant, milliseconds from 1970 to either side: the year 9999 and a like distance back. Sums of an
/// instant and any offset stay far inside 64 bits.
const INSTANT_MAX: f64 = 253_402_300_800_000.0;
/// Longest duration: 100 years.
const DURATION_MAX: f64 = 100.0 * 365.0 * 86_400_000.0;

/// `1700000000`, `1700000000.123` or RFC 3339.
pub(crate) fn instant(name: &str, text: &str) -> Result<TimestampMs, ApiError> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0).round()),
        #[expect(clippy::cast_precision_loss, reason = "any instant of jiff is far below 2^53 ms")]
        Err(_) => text.parse::<Timestamp>().ok().map(|t| t.as_millisecond() as f64),
    };
    match ms.filter(|ms| ms.abs() <= INSTANT_MAX) {
        Some(ms) => Ok(TimestampMs(ms as i64)),
        None => Err(invalid(name, text, "a valid timestamp; use seconds since 1970 or RFC 3339")),
    }
}

/// `15`, `0.5` (seconds) or `1h30m`, `500ms`. Not zero, not negative.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, ApiError> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0).round()),
        Err(_) => written(text),
    };
    match ms {
        Some(ms) if (1.0..=DURATION_MAX).contains(&ms) => {
            #[expect(clippy::cast_sign_loss, reason = "at least one")]
            let ms = ms as u64;
            Ok(Duration::from_millis(ms))
        }
        Some(ms) if ms < 1.0 => Err(ApiError::bad_parameter(format!(
            "invalid parameter {name:?}: zero or negative durations are not accepted; use at least 1ms"
        ))),
        _ => Err(invalid(name, text, "a valid duration; use seconds or 1h30m, at most 100 years")),
    }
}

/// Milliseconds of `1h30m`: numbers with units, largest first, each unit at most once.
fn written(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("y", 365.0 * 86_400_000.0),
        ("w", 7.0 * 86_400_000.0),
        ("d", 86_400_000.0),
        ("h", 3_600_000.0),
        ("m", 60_000.0),
        ("s", 1000.0),
        ("ms", 1.0),
    ];
    let mut rest = text;
    let mut next_unit = 0;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: f64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + letters];
        let position = UNITS.iter().skip(next_unit).position(|(name, _)| *name == unit)? + next_unit;
        sum += number * UNITS.get(position)?.1;
        next_unit = position + 1;
        rest = &rest[digits + letters..];
    }
    (next_unit > 0).then_some(sum)
}

/// A `limit`: 0 and absence mean none.
pub(crate) fn limit(text: Option<&str>) -> Result<usize, ApiError> {
    match text.map(str::parse::<usize>) {
        None | Some(Ok(0)) => Ok(usize::MAX),
        Some(Ok(n)) => Ok(n),
        Some(Err(_)) => Err(invalid("limit", text.unwrap_or_default(), "a number of 0 or more")),
    }
}

fn invalid(name: &str, text: &str, wanted: &str) -> ApiError {
    let shown: String = text.chars().take(60).collect();
    ApiError::bad_parameter(format!("invalid parameter {name:?}: cannot parse {shown:?} to {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_seconds_or_rfc_3339() {
        for (text, ms) in [
            ("1700000000", 1_700_000_000_000),
            ("1700000000.1234", 1_700_000_000_123),
            ("-1.5", -1500),
            ("1e9", 1_000_000_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-15T00:13:20.5+02:00", 1_700_000_000_500),
        ] {
            assert_eq!(instant("time", text).unwrap(), TimestampMs(ms), "{text}");
        }
        for bad in ["", "now", "NaN", "inf", "1e300", "-1e18", "2023-11-14", "2023-13-01T00:00:00Z"] {
            assert!(instant("time", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units_in_order() {
        for (text, ms) in [
            ("15", 15_000),
            ("0.5", 500),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1m5s1ms", 65_001),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(duration("step", text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for bad in
            ["", "0", "-1", "0s", "30m1h", "1m1m", "m", "5x", "1 h", "NaN", "inf", "9999y", "1h-5m", "é1s"]
        {
            assert!(duration("step", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_of_nought_is_none() {
        assert_eq!(limit(None).unwrap(), usize::MAX);
        assert_eq!(limit(Some("0")).unwrap(), usize::MAX);
        assert_eq!(limit(Some("7")).unwrap(), 7);
        assert!(limit(Some("-1")).is_err());
    }
}
