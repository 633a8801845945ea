//! The short notation of values: `1 2 _ stale 1+2x5 3x2 _x3 {{count:1 sum:2}}x4`.

use wellkept_promql::Limits;
use wellkept_promql::script::{self, SeriesValue};

use crate::ask::Point;

/// Most values of one series.
pub(crate) const VALUES_MAX: usize = 1_000_000;

/// The values of one series, one per interval; `None` where there is no sample.
pub(crate) fn values(text: &str) -> Result<Vec<Option<Point>>, String> {
    let limits = Limits { samples: VALUES_MAX, ..Limits::default() };
    // PromQL's scripts have the same notation behind the labels.
    let (_, values) = script::series(&format!("v {text}"), &limits)?;
    let point = |value| match value {
        SeriesValue::Gap => None,
        SeriesValue::Float(value) => Some(Point::Float(value)),
        SeriesValue::Histogram(histogram) => Some(Point::Histogram(histogram)),
    };
    Ok(values.into_iter().map(point).collect())
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
            ("{{count:2 sum:3}} 1 {{count:1}}x1", "{{}} 1 {{}} {{}}"),
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
            ("1 abc", "\"abc\""),
            ("1x", "number of repetitions"),
            ("1x-2", "number of repetitions"),
            ("1x99999999999", "more than"),
            ("{{schema:1", "histogram"),
        ] {
            assert!(values(text).unwrap_err().contains(part), "{text}");
        }
    }
}
