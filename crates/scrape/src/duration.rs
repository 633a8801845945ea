//! Durations and sizes as Prometheus' files write them.

use std::time::Duration;

/// Units in the order in which they may follow each other, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longest duration: what fits the nanoseconds of a Go duration.
const LONGEST_MS: u64 = i64::MAX as u64 / 1_000_000;

/// Reads `15s`, `1h30m`, `0`: each unit at most once, the largest first. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum, mut allowed) = (text, 0_u64, UNITS.as_slice());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let place = allowed.iter().position(|(name, _)| *name == unit)?;
        let (_, ms) = allowed.get(place)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        allowed = allowed.get(place + 1..).unwrap_or_default();
        rest = after;
    }
    (sum <= LONGEST_MS).then(|| Duration::from_millis(sum))
}

/// The writing that Prometheus chooses: `1h30m`; weeks and years only where they fit exactly.
#[must_use]
pub fn show(duration: Duration) -> String {
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

/// Reads a size such as `10MB` or `512KiB`; as in Prometheus both count in steps of 1024. `0` is nothing.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    let shift = match unit {
        "" if number == 0 => 0,
        "B" => 0,
        "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        "PB" | "PiB" => 50,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, ms) in [
            ("15s", Some(15_000)),
            ("1h30m", Some(5_400_000)),
            ("0", Some(0)),
            ("100ms", Some(100)),
            ("1w", Some(604_800_000)),
            ("1m1h", None),
            ("1.5s", None),
            ("-1s", None),
            ("s", None),
            ("", None),
            ("99999999999y", None),
        ] {
            assert_eq!(parse(text).map(|d| d.as_millis() as u64), ms, "{text}");
        }
        for text in ["15s", "1h30m", "100ms", "1w", "8d", "0s"] {
            assert_eq!(show(parse(text).unwrap_or_default()), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("10B", Some(10)),
            ("10MB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("10", None),
            ("x", None),
            ("99999999999PB", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }
}
