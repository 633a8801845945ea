//! The short notation of values: `1 2 _ stale 1+2x5 3x2 _x3`.

use wellkept_model::stale_marker;

use crate::ask::Point;

/// Most values of one series.
pub(crate) const VALUES_MAX: usize = 1_000_000;

/// The values of one series, one per interval; `None` where there is no sample.
pub(crate) fn values(text: &str) -> Result<Vec<Option<Point>>, String> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if word.starts_with("{{") {
            return Err("native histograms are not supported here yet".to_owned());
        }
        let (what, times) = match word.rsplit_once('x') {
            Some((what, times)) => (
                what,
                Some(
                    times
                        .parse::<usize>()
                        .map_err(|_| format!("`{word}`: `{times}` is no number of times"))?,
                ),
            ),
            None => (word, None),
        };
        if out.len().saturating_add(times.unwrap_or(0)) >= VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
        match (what, times) {
            ("_", times) => out.extend(std::iter::repeat_n(None, times.unwrap_or(1))),
            (what, None) => out.push(Some(Point::Float(number(what, word)?))),
            (what, Some(times)) => {
                let (first, by) = match sign_inside(what) {
                    Some(at) => {
                        let (first, by) = what.split_at(at);
                        (number(first, word)?, number(by, word)?)
                    }
                    None => (number(what, word)?, 0.0),
                };
                // Added up one by one as promtool does it, so that the last bits agree.
                let mut value = first;
                for _ in 0..=times {
                    out.push(Some(Point::Float(value)));
                    value = if by == 0.0 { value } else { value + by };
                }
            }
        }
    }
    Ok(out)
}

/// Where the second number of `1+2` or `1e-3-4` begins.
fn sign_inside(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len()).find(|i| {
        let before = bytes.get(i - 1).map_or(b' ', u8::to_ascii_lowercase);
        matches!(bytes.get(*i), Some(b'+' | b'-')) && (before != b'e' || !is_exponent(text, i - 1))
    })
}

/// Whether the `e` at a byte belongs to a number such as `1e-3`.
fn is_exponent(text: &str, e: usize) -> bool {
    text.as_bytes().get(e.wrapping_sub(1)).is_some_and(|b| b.is_ascii_digit() || *b == b'.')
}

fn number(text: &str, word: &str) -> Result<f64, String> {
    if text == "stale" {
        return Ok(stale_marker());
    }
    text.parse().map_err(|_| format!("`{word}`: `{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::is_stale;

    #[test]
    fn the_notation_is_promtools() {
        let plain = |text: &str| -> Vec<String> {
            let shown = |v: Option<Point>| match v {
                Some(Point::Float(v)) if is_stale(v) => "stale".to_owned(),
                Some(Point::Float(v)) => v.to_string(),
                Some(Point::Histogram(_)) => "{{}}".to_owned(),
                None => "_".to_owned(),
            };
            values(text).unwrap().into_iter().map(shown).collect()
        };
        for (text, wanted) in [
            ("1 2.5 -3 1e3", "1 2.5 -3 1000"),
            ("-2+4x3", "-2 2 6 10"),
            ("1-2x4", "1 -1 -3 -5 -7"),
            ("1x4", "1 1 1 1 1"),
            ("0x2", "0 0 0"),
            ("1 _x3 stale _", "1 _ _ _ stale _"),
            ("NaN Inf +Inf -Inf", "NaN inf inf -inf"),
            ("1e-3+1e-3x1", "0.001 0.002"),
            ("stalex1", "stale stale"),
            ("1+-2x1", ""),
            ("", ""),
        ] {
            if wanted.is_empty() && !text.is_empty() {
                assert!(values(text).is_err(), "{text}");
            } else {
                assert_eq!(plain(text).join(" "), wanted, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (text, part) in [
            ("1 abc", "`abc`"),
            ("1x", "number of times"),
            ("1x-2", "number of times"),
            ("1x99999999999", "more than"),
            ("{{schema:1}}", "histograms"),
        ] {
            assert!(values(text).unwrap_err().contains(part), "{text}");
        }
    }
}
