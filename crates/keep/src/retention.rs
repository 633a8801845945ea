//! `metrics: retention`: how long samples are kept, in which form, and how large the store may grow.

use std::time::Duration;

use wellkept_model::keep::{Retention, SeriesRetention};
use wellkept_model::{MatchOp, Matcher, Text};

use crate::problem::Problems;
use crate::read;
use crate::tree::Node;

/// Longest time that anything is kept.
const KEPT_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);
/// Shortest time that samples are kept where no rows are made of them.
const KEPT_MIN: Duration = Duration::from_secs(7200);
/// Shortest time that samples are kept where rows are made of them: a whole day must have ended first.
const BEFORE_ROWS_MIN: Duration = Duration::from_secs(2 * 86_400);
/// Most entries of `series`.
const RULES_MAX: usize = 100;
/// Smallest and largest limit of size, bytes.
const SIZE: std::ops::RangeInclusive<u64> = 64_000_000..=1_000_000_000_000_000;

/// What is not said keeps its default.
pub(crate) fn read(node: &Node, problems: &mut Problems) -> Retention {
    let mut out = Retention::default();
    let Some(fields) = read::open(node, &["raw", "5m", "1h", "size", "series"], problems) else {
        return out;
    };
    if let Some(rows) = fields.get("5m").and_then(|n| rows(n, problems)) {
        out.five_minutes = rows;
    }
    if let Some(rows) = fields.get("1h").and_then(|n| rows(n, problems)) {
        out.hours = rows;
    }
    let makes_rows = out.five_minutes.is_some() || out.hours.is_some();
    let least = if makes_rows { BEFORE_ROWS_MIN } else { KEPT_MIN };
    let raw = fields.get("raw").and_then(|n| read::duration(n, least, KEPT_MAX, problems));
    out.raw = raw.unwrap_or(out.raw);
    out.size = fields.get("size").and_then(|n| size(n, problems));
    let items = fields.get("series").map(read::items).unwrap_or_default();
    if let Some(extra) = items.get(RULES_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", RULES_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_rules").with("count", items.len()), help);
    }
    out.series = items.iter().take(RULES_MAX).filter_map(|n| series(n, least, problems)).collect();
    out
}

/// A duration, or `off`.
#[expect(clippy::option_option, reason = "a mistake is not the same as `off`")]
fn rows(node: &Node, problems: &mut Problems) -> Option<Option<Duration>> {
    let range = BEFORE_ROWS_MIN..=KEPT_MAX;
    let help = Text::new("keep.accept.rows");
    read::parsed(node, help, problems, |t| match t {
        "off" => Some(None),
        t => read::parse_duration(t).filter(|d| range.contains(d)).map(Some),
    })
}

/// Bytes with a unit.
pub(crate) fn size(node: &Node, problems: &mut Problems) -> Option<u64> {
    let parse = |t: &str| {
        let (number, unit) = t.split_at(t.find(|c: char| !c.is_ascii_digit())?);
        let unit = match unit.trim_start() {
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit).filter(|n| SIZE.contains(n))
    };
    read::parsed(node, Text::new("keep.accept.kept_size"), problems, parse)
}

fn series(node: &Node, least: Duration, problems: &mut Problems) -> Option<SeriesRetention> {
    let fields = read::open(node, &["match", "raw", "5m", "1h"], problems)?;
    let mut kept = |name: &str, least: Duration| {
        fields.get(name).and_then(|n| read::duration(n, least, KEPT_MAX, problems))
    };
    let (raw, five_minutes, hours) =
        (kept("raw", least), kept("5m", BEFORE_ROWS_MIN), kept("1h", BEFORE_ROWS_MIN));
    let matchers = matchers(node, fields.get("match"), problems)?;
    Some(SeriesRetention { matchers, raw, five_minutes, hours })
}

/// Labels with their values, all of which must fit.
pub(crate) fn matchers(
    rule: &Node,
    wanted: Option<&Node>,
    problems: &mut Problems,
) -> Option<Vec<(String, MatchOp, String)>> {
    let Some(wanted) = wanted else {
        read::missing(&rule.at, "match", Text::new("keep.accept.match"), problems);
        return None;
    };
    let entries = read::map(wanted, "job, instance, __name__, …", problems)?;
    if entries.is_empty() {
        read::wrong_type(wanted, Text::new("keep.accept.match"), problems);
        return None;
    }
    let one = |(key, value): &(crate::tree::Key, Node)| {
        let matcher = read::parsed(value, Text::new("keep.accept.match"), problems, |t| {
            let (op, value) = operator(t);
            Matcher::new(&key.text, op, value).ok().map(|_| (op, value.to_owned()))
        });
        matcher.map(|(op, value)| (key.text.clone(), op, value))
    };
    entries.iter().map(one).collect()
}

/// `web`, `!web`, `=~web.*`, `!~web.*`.
fn operator(text: &str) -> (MatchOp, &str) {
    for (sign, op) in [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!", MatchOp::NotEqual)] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (op, rest);
        }
    }
    (MatchOp::Equal, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Retention, String> {
        crate::parse("k.yml", &format!("metrics: {{ retention: {{ {text} }} }}"))
            .map(|k| k.metrics.retention)
            .map_err(|e| e.problems.iter().map(|p| p.message.key.as_str()).collect::<Vec<_>>().join(", "))
    }

    fn days(n: u64) -> Duration {
        Duration::from_secs(n * 86_400)
    }

    #[test]
    fn what_is_not_said_about_retention_keeps_its_default() {
        assert_eq!(parse(""), Ok(Retention::default()));
        let kept = parse("raw: 30d, 5m: off, size: 50GiB").unwrap();
        assert_eq!((kept.raw, kept.five_minutes, kept.hours), (days(30), None, Some(days(730))));
        assert_eq!(kept.size, Some(50 << 30));
        assert_eq!(parse("1h: 5y").unwrap().hours, Some(days(5 * 365)));
    }

    #[test]
    fn some_series_are_kept_otherwise() {
        let kept = parse("series: [{ match: { job: '=~batch.*', env: '!prod' }, raw: 3d }]").unwrap();
        let [rule] = kept.series.as_slice() else { panic!("{kept:?}") };
        assert_eq!((rule.raw, rule.hours), (Some(days(3)), None));
        assert!(rule.matchers.contains(&("job".to_owned(), MatchOp::Regex, "batch.*".to_owned())));
        assert!(rule.matchers.contains(&("env".to_owned(), MatchOp::NotEqual, "prod".to_owned())));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, key) in [
            ("raw: 1h", "keep.is_value"),
            ("raw: 1d", "keep.is_value"),
            ("5m: 1h", "keep.is_value"),
            ("size: 5", "keep.is_value"),
            ("size: 1MB", "keep.is_value"),
            ("series: [{ raw: 3d }]", "keep.missing_key"),
            ("series: [{ match: {}, raw: 3d }]", "keep.is_map"),
            ("series: [{ match: { job: '=~(' }, raw: 3d }]", "keep.is_value"),
            ("weekly: 3d", "keep.unknown_key"),
        ] {
            assert_eq!(parse(text).unwrap_err(), key, "{text}");
        }
        // Without rows a few hours are enough.
        assert!(parse("raw: 2h, 5m: off, 1h: off").is_ok());
    }
}
