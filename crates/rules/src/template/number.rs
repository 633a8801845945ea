//! Floats as Go's `strconv` writes them.

/// `%g` with the fewest digits that read back the same, as `%v` shows a float.
pub(crate) fn plain_float(value: f64) -> String {
    general(value, None)
}

/// `%g`: `precision` significant digits, or the fewest that read back the same.
pub(crate) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(word) = not_finite(value) {
        return word.to_owned();
    }
    let scientific = match precision {
        Some(p) => format!("{value:.*e}", p.max(1) - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = split(&scientific);
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    while digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
    }
    let count = digits.len() as i32;
    let limit = match precision.map(|p| p.max(1) as i32) {
        None => 6,
        Some(p) if p > count && count > exponent => count,
        Some(p) => p,
    };
    if exponent < -4 || exponent >= limit {
        return with_exponent(&format!("{value:.*e}", digits.len() - 1));
    }
    format!("{value:.*}", (count - 1 - exponent).max(0) as usize)
}

/// `%e`: one digit, `precision` digits behind the point (or the fewest), an exponent of two digits or more.
pub(crate) fn scientific(value: f64, precision: Option<usize>) -> String {
    match (not_finite(value), precision) {
        (Some(word), _) => word.to_owned(),
        (None, Some(p)) => with_exponent(&format!("{value:.p$e}")),
        (None, None) => with_exponent(&format!("{value:e}")),
    }
}

/// `%f`.
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    not_finite(value).map_or_else(|| format!("{value:.precision$}"), str::to_owned)
}

fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

fn split(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

/// Rust writes `1.5e7`, Go `1.5e+07`.
fn with_exponent(scientific: &str) -> String {
    let (mantissa, exponent) = split(scientific);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, wanted) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (100_000.0, "100000"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(plain_float(value), wanted);
        }
    }

    #[test]
    fn a_precision_counts_significant_digits() {
        for (value, wanted) in
            [(1.0, "1"), (1.5, "1.5"), (999.96, "1000"), (12_345.6, "1.235e+04"), (0.000_123_45, "0.0001234")]
        {
            assert_eq!(general(value, Some(4)), wanted, "{value}");
        }
        assert_eq!(scientific(0.0, None), "0e+00");
        assert_eq!(scientific(12_345.678, Some(2)), "1.23e+04");
        assert_eq!(fixed(2.345, 1), "2.3");
    }
}
