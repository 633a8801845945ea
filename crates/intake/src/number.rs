//! Numbers as text, the way Prometheus reads and writes them.

/// A float as Prometheus' formats write it; `inf`, `nan` and signs in any case.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The shortest text that gives the same float back, with an exponent from 10^21 on and below 10^-4.
///
/// This is how Go prints a float, and so how bucket bounds of most exporters look.
pub(crate) fn shortest(value: f64) -> String {
    with_exponent_from(value, 21)
}

/// A bound or quantile as OpenMetrics wants it in a label: `1.0`, `0.25`, `1e+06`, `+Inf`.
pub(crate) fn canonical(value: f64) -> String {
    let text = with_exponent_from(value, 6);
    if value.is_finite() && !text.contains(['.', 'e']) { text + ".0" } else { text }
}

fn with_exponent_from(value: f64, exponent_min: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..exponent_min).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_openmetrics_wants_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.005, "0.005"),
            (0.000_01, "1e-05"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(canonical(value), text);
        }
    }

    #[test]
    fn values_keep_every_bit() {
        for value in [0.1 + 0.2, 1e21, 1e300, 5e-324, -0.0, 1_234_567.0, f64::MAX] {
            assert_eq!(float(shortest(value).as_bytes()).unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(shortest(1_234_567.0), "1234567");
        assert_eq!(shortest(1e21), "1e+21");
    }

    #[test]
    fn what_prometheus_does_not_read_as_a_number_is_none() {
        for text in ["", "0x10", "1_000", "1,5", "--1", "1e", "\u{ff11}"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
        assert_eq!(float(b"+Inf"), Some(f64::INFINITY));
        assert!(float(b"NaN").unwrap().is_nan());
    }
}
