//! Turns a recording (`name{labels} value timestamp_ms`, in the order of scraping) into OpenMetrics text.
//!
//! OpenMetrics wants the samples of one metric together and times in seconds; the recording has them scrape by scrape.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

/// The recording as it would be scraped from so many targets at once, each with its own clock.
pub(super) struct Recording {
    /// Lines of each metric, without the target's label.
    metrics: BTreeMap<String, Vec<Line>>,
    samples: u64,
}

struct Line {
    /// What stands between the braces; empty when there are none.
    labels: String,
    value: String,
    at_ms: i64,
}

/// How much later each target is scraped than the one before.
const TARGET_OFFSET_MS: i64 = 137;

impl Recording {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut metrics: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        let mut samples = 0;
        for (number, line) in text.lines().enumerate() {
            let (name, parsed) = parse_line(line)
                .with_context(|| format!("line {} of the recording: {line:?}", number + 1))?;
            metrics.entry(name.to_owned()).or_default().push(parsed);
            samples += 1;
        }
        Ok(Self { metrics, samples })
    }

    /// Samples of one target.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// OpenMetrics text for this many targets.
    pub(super) fn open_metrics(&self, targets: u32) -> String {
        let mut text = String::new();
        for (name, lines) in &self.metrics {
            for line in lines {
                for target in 0..targets {
                    write_line(&mut text, name, line, target);
                }
            }
        }
        text.push_str("# EOF\n");
        text
    }
}

fn write_line(text: &mut String, name: &str, line: &Line, target: u32) {
    let comma = if line.labels.is_empty() { "" } else { "," };
    let at = line.at_ms + i64::from(target) * TARGET_OFFSET_MS;
    let Line { labels, value, .. } = line;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{name}{{instance=\"t{target}\"{comma}{labels}}} {value} {}.{:03}",
        at.div_euclid(1000),
        at.rem_euclid(1000)
    );
}

/// Label values may hold spaces and braces, so the line is cut from its end.
fn parse_line(line: &str) -> Option<(&str, Line)> {
    let (rest, at) = line.rsplit_once(' ')?;
    let (series, value) = rest.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    Some((name, Line { labels: labels.to_owned(), value: value.to_owned(), at_ms: at.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_come_together_with_times_in_seconds() {
        let recording =
            Recording::parse("b 1 1500\na{x=\"1 }\"} 2 1500\nb 3 2500\na{x=\"1 }\"} 4 2500\n").unwrap();
        let wanted = "a{instance=\"t0\",x=\"1 }\"} 2 1.500\na{instance=\"t0\",x=\"1 }\"} 4 2.500\n\
                      b{instance=\"t0\"} 1 1.500\nb{instance=\"t0\"} 3 2.500\n# EOF\n";
        assert_eq!(recording.open_metrics(1), wanted);
        assert_eq!(recording.samples(), 4);
    }

    #[test]
    fn every_target_has_its_own_clock() {
        let text = Recording::parse("a 1 1000\n").unwrap().open_metrics(2);
        assert!(text.contains("t0\"} 1 1.000\n") && text.contains("t1\"} 1 1.137\n"), "{text}");
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let error = Recording::parse("a 1 1000\nnonsense\n").err().unwrap();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
