//! Histograms as text: as a label's value, and in test scripts.

use wellkept_model::{Histogram, ResetHint};

use super::Native;
use crate::syntax::number::format_general;

/// `{count:4, sum:5, (1,2]:4}`: as `count_values` makes a label of it.
pub(crate) fn display(h: &Histogram) -> String {
    let native = Native::from(h);
    let mut out = format!("{{count:{}, sum:{}", format_general(h.count), format_general(h.sum));
    for bucket in native.buckets().iter().filter(|b| b.count != 0.0) {
        let (open, close) = bucket.inclusive();
        out.push_str(&format!(
            ", {}{},{}{}:{}",
            if open { '[' } else { '(' },
            format_general(bucket.lower),
            format_general(bucket.upper),
            if close { ']' } else { ')' },
            format_general(bucket.count)
        ));
    }
    out.push('}');
    out
}

/// `{{schema:0 count:4 sum:5 buckets:[4]}}`: as scripts write it.
pub(crate) fn script(h: &Histogram) -> String {
    let native = Native::from(h);
    let mut parts = Vec::new();
    if h.schema != 0 {
        parts.push(format!("schema:{}", h.schema));
    }
    for (name, value) in
        [("count", h.count), ("sum", h.sum), ("z_bucket", h.zero_count), ("z_bucket_w", h.zero_threshold)]
    {
        if value != 0.0 {
            parts.push(format!("{name}:{}", format_general(value)));
        }
    }
    if native.is_custom() {
        parts.push(format!("custom_values:{}", list(&h.custom_values)));
    }
    match h.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NoReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (offset, buckets, side) in
        [("offset", "buckets", &native.positive), ("n_offset", "n_buckets", &native.negative)]
    {
        let side: Vec<_> = side.iter().filter(|b| b.1 != 0.0).copied().collect();
        let (Some(first), Some(last)) = (side.first(), side.last()) else { continue };
        if first.0 != 0 {
            parts.push(format!("{offset}:{}", first.0));
        }
        parts.push(format!("{buckets}:{}", dense(&side, first.0, last.0)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// The most buckets that are written with their gaps: a gap may be as wide as a stranger likes.
const DENSE_MAX: i64 = 1000;

fn dense(side: &[(i64, f64)], first: i64, last: i64) -> String {
    if last.saturating_sub(first) > DENSE_MAX {
        let each: Vec<_> = side.iter().map(|(i, c)| format!("{i}:{}", format_general(*c))).collect();
        return format!("[{}]", each.join(" "));
    }
    let mut there = side.iter().peekable();
    let counts: Vec<f64> = (first..=last).map(|i| there.next_if(|b| b.0 == i).map_or(0.0, |b| b.1)).collect();
    list(&counts)
}

fn list(values: &[f64]) -> String {
    let values: Vec<_> = values.iter().map(|v| format_general(*v)).collect();
    format!("[{}]", values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_written_in_both_forms() {
        let h: Histogram = Native {
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 7.0,
            sum: 10.0,
            positive: vec![(0, 1.0), (2, 2.0)],
            negative: vec![(1, 2.0)],
            ..Native::default()
        }
        .into();
        assert_eq!(display(&h), "{count:7, sum:10, [-2,-1):2, [-0.001,0.001]:2, (0.5,1]:1, (2,4]:2}");
        assert_eq!(
            script(&h),
            "{{count:7 sum:10 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 2] n_offset:1 n_buckets:[2]}}"
        );
    }
}
