//! StatsD and DogStatsD: `name:value|type|@rate|#tag:value,…`, added up between flushes.
//!
//! What comes out is what Prometheus users expect: a counter (`c`) is a counter that rises for ever; a gauge (`g`) keeps
//! its value, `+` and `-` change it; a timer (`ms`, in seconds afterwards), histogram (`h`) or distribution (`d`) is a
//! summary with `_sum`, `_count` and quantiles of the last interval; a set (`s`) is the number of different values in
//! the interval. A tag without a value gets `true`. Events and service checks are skipped.
//!
//! All state is bounded: what finds no place is refused and counted. A series without news for [`Options::idle`] ends
//! with a stale marker.

mod line;
mod state;

use std::collections::HashMap;
use std::time::Duration;

use wellkept_model::{METRIC_NAME, Sink, TimestampMs, stale_marker};

use crate::key::{announce, push_label};
use crate::names::Names;
use crate::{Limits, Refusal, Tally, number};
use line::Line;
use state::{Noise, State};

/// How to add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What happens to names.
    pub names: Names,
    /// Quantiles of timers and histograms, each from 0 to 1.
    pub quantiles: Vec<f64>,
    /// Names with their tags, of all types together.
    pub series_max: usize,
    /// Observations of one timer kept for its quantiles in one interval; of more, an even choice.
    pub observations_max: usize,
    /// Different values in all sets of one interval together.
    pub set_members_max: usize,
    /// After how long without news a series ends.
    pub idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            names: Names::Classic,
            quantiles: vec![0.5, 0.9, 0.99],
            series_max: 10_000,
            observations_max: 500,
            set_members_max: 100_000,
            idle: Duration::from_secs(600),
        }
    }
}

/// Adds up what datagrams say until it is flushed.
#[derive(Debug)]
pub struct Aggregator {
    limits: Limits,
    options: Options,
    series: HashMap<Box<[u8]>, Entry>,
    key: Vec<u8>,
    set_members: usize,
    noise: Noise,
}

/// Bytes of name and tags that a series may have together, encoded.
const KEY_BYTES_MAX: usize = 4 << 10;

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    /// The tags as label fields.
    tags: Box<[u8]>,
    state: State,
    /// Whether there was news since the last flush.
    touched: bool,
    /// The last flush before which there was news.
    last: Option<TimestampMs>,
}

type Problem = &'static str;

impl Aggregator {
    /// An aggregator without series.
    #[must_use]
    pub fn new(limits: Limits, options: Options) -> Self {
        Self {
            limits,
            options,
            series: HashMap::new(),
            key: Vec::new(),
            set_members: 0,
            noise: Noise::default(),
        }
    }

    /// Series that are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// True when no series is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds the lines of one datagram, or whole lines of a stream.
    pub fn add(&mut self, datagram: &[u8]) -> Tally {
        let mut tally = Tally::default();
        for (i, line) in datagram.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if line.starts_with(b"_e{") || line.starts_with(b"_sc|") {
                tally.skipped += 1;
                continue;
            }
            match self.line(line) {
                Ok(values) => tally.samples += values,
                Err(problem) => tally.refuse(1, Refusal::Line { line: i + 1, problem }),
            }
        }
        tally
    }

    fn line(&mut self, line: &[u8]) -> Result<u64, Problem> {
        if line.len() > self.limits.line_bytes {
            return Err("the line is too long");
        }
        let line = Line::parse(line)?;
        let values: Option<Vec<_>> = line.values().collect();
        let values = values.ok_or("a value is not a number, or missing")?;
        let mut name = String::new();
        self.options.names.metric(&mut name, line.name);
        let tags = line.labels(self.options.names, &self.limits)?;
        self.key.clear();
        self.key.push(line.kind as u8);
        push_label(&mut self.key, METRIC_NAME.as_bytes(), name.as_bytes());
        let start = self.key.len();
        tags.iter().for_each(|(n, v)| push_label(&mut self.key, n.as_bytes(), v.as_bytes()));
        if name.is_empty() || name.len() > self.limits.value_bytes || self.key.len() > KEY_BYTES_MAX {
            return Err("the name is missing, or name and tags are too long");
        }
        if !self.series.contains_key(self.key.as_slice()) {
            if self.series.len() >= self.options.series_max {
                return Err("there is no place for another series");
            }
            let tags = self.key.get(start..).unwrap_or_default().into();
            let state = State::new(line.kind);
            let entry = Entry { name: name.into(), tags, state, touched: false, last: None };
            self.series.insert(self.key.as_slice().into(), entry);
        }
        let Some(entry) = self.series.get_mut(self.key.as_slice()) else { return Ok(0) };
        entry.touched = true;
        let mut taken = 0;
        for value in values {
            let budget = self.options.set_members_max.saturating_sub(self.set_members);
            let new =
                entry.state.add(value, line.rate, self.options.observations_max, budget, &mut self.noise)?;
            self.set_members += new;
            taken += 1;
        }
        Ok(taken)
    }

    /// Hands all series on as of `now`, ends those without news, and begins a new interval.
    pub fn flush<S: Sink + ?Sized>(&mut self, now: TimestampMs, sink: &mut S) -> Tally {
        let mut out = Flush { now, limits: &self.limits, key: Vec::new(), tally: Tally::default(), sink };
        let (idle, quantiles) = (self.options.idle, &self.options.quantiles);
        self.series.retain(|_, entry| {
            if std::mem::take(&mut entry.touched) || entry.last.is_none() {
                entry.last = Some(now);
            }
            let ended = entry.last.is_some_and(|last| now.since(last) > idle);
            out.entry(entry, quantiles, ended);
            entry.state.begin_interval();
            !ended
        });
        self.set_members = 0;
        out.tally
    }
}

/// A flush while it goes on.
struct Flush<'l, S: ?Sized> {
    now: TimestampMs,
    limits: &'l Limits,
    key: Vec<u8>,
    tally: Tally,
    sink: &'l mut S,
}

impl<S: Sink + ?Sized> Flush<'_, S> {
    fn entry(&mut self, entry: &mut Entry, quantiles: &[f64], ended: bool) {
        match &mut entry.state {
            State::Counter(total) => {
                let total = *total;
                self.float(entry, "", None, total, ended);
            }
            State::Gauge(value) => {
                let value = *value;
                self.float(entry, "", None, value, ended);
            }
            State::Set(members) => {
                let members = members.len() as f64;
                self.float(entry, "", None, members, ended);
            }
            State::Timer(timer) => {
                let (sum, count) = (timer.sum, timer.count);
                let values: Vec<_> = quantiles.iter().map(|q| (*q, timer.quantile(*q))).collect();
                for (quantile, value) in values {
                    if let Some(value) = value.or(ended.then_some(0.0)) {
                        self.float(entry, "", Some(quantile), value, ended);
                    }
                }
                self.float(entry, "_sum", None, sum, ended);
                self.float(entry, "_count", None, count, ended);
            }
        }
    }

    fn float(&mut self, entry: &Entry, suffix: &str, quantile: Option<f64>, value: f64, ended: bool) {
        self.key.clear();
        let name = format!("{}{suffix}", entry.name);
        push_label(&mut self.key, METRIC_NAME.as_bytes(), name.as_bytes());
        self.key.extend_from_slice(&entry.tags);
        if let Some(quantile) = quantile {
            push_label(&mut self.key, b"quantile", number::shortest(quantile).as_bytes());
        }
        if let Err(why) = announce(&self.key, self.limits, self.sink) {
            self.tally.refuse(1, why);
            return;
        }
        self.tally.series += 1;
        self.tally.samples += 1;
        self.sink.float(self.now, if ended { stale_marker() } else { value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    const SECOND: i64 = 1000;

    fn small() -> Options {
        Options { series_max: 3, set_members_max: 2, observations_max: 4, ..Options::default() }
    }

    fn flush(aggregator: &mut Aggregator, at: i64) -> Vec<String> {
        let mut sink = Recorder::default();
        aggregator.flush(TimestampMs(at), &mut sink);
        sink.samples.sort();
        sink.samples
    }

    #[test]
    fn counters_rise_gauges_move_and_sets_count() {
        let mut a = Aggregator::new(Limits::default(), Options::default());
        let tally = a.add(b"hits:1|c\nhits:2|c|@0.5\ntemp:20.5|g\ntemp:-3|g\ntemp:+1|g\nusers:anna|s\nusers:bert|s\nusers:anna|s\n");
        assert_eq!((tally.samples, tally.refused), (8, 0));
        assert_eq!(flush(&mut a, SECOND), ["hits 1000 5", "temp 1000 18.5", "users 1000 2"]);
        a.add(b"hits:1|c");
        assert_eq!(flush(&mut a, 2 * SECOND), ["hits 2000 6", "temp 2000 18.5", "users 2000 0"]);
    }

    #[test]
    fn timers_are_summaries_in_seconds() {
        let mut a = Aggregator::new(Limits::default(), Options::default());
        a.add(b"t:100|ms\nt:200:300:400|ms\nt:1000|ms|@0.1\nsize:5|h\nsize:6|d");
        let samples = flush(&mut a, SECOND);
        for expected in [
            r#"t{quantile="0.5"} 1000 0.3"#,
            r#"t{quantile="0.99"} 1000 1"#,
            "t_count 1000 14",
            "t_sum 1000 11",
            "size_count 1000 2",
        ] {
            assert!(samples.iter().any(|s| s == expected), "{expected} in {samples:?}");
        }
        let later = flush(&mut a, 2 * SECOND);
        assert!(
            later.iter().all(|s| !s.contains("quantile")),
            "an interval without observations has no quantiles"
        );
        assert!(later.contains(&"t_count 2000 14".to_owned()));
    }

    #[test]
    fn tags_in_any_order_are_one_series() {
        let mut a = Aggregator::new(Limits::default(), Options::default());
        a.add(b"web.hits:1|c|#b:2,a:1:x\nweb.hits:1|c|#a:1:x,b:2|c:container|T1656581400\nweb.hits:1|c|@1|#bare,1x:y");
        assert_eq!(
            flush(&mut a, SECOND),
            [r#"web_hits{_1x="y", bare="true"} 1000 1"#, r#"web_hits{a="1:x", b="2"} 1000 2"#]
        );
    }

    #[test]
    fn series_members_and_observations_are_bounded() {
        let mut a = Aggregator::new(Limits::default(), small());
        assert_eq!(a.add(b"a:1|c\nb:1|c\nc:x|s\nd:1|c\nc:y|s\nc:z|s\nc:x|s").refused, 2);
        assert_eq!(a.len(), 3);
        assert!(flush(&mut a, SECOND).contains(&"c 1000 2".to_owned()));
        assert_eq!(a.add(b"c:z|s").refused, 0, "a new interval, new places");
        let mut a = Aggregator::new(Limits::default(), small());
        (0..1000).for_each(|i| assert_eq!(a.add(format!("t:{i}|h").as_bytes()).refused, 0));
        let samples = flush(&mut a, SECOND);
        assert!(samples.contains(&"t_count 1000 1000".to_owned()), "{samples:?}");
    }

    #[test]
    fn a_series_without_news_ends() {
        let mut a = Aggregator::new(Limits::default(), Options::default());
        a.add(b"g:1|g");
        assert_eq!(flush(&mut a, 0), ["g 0 1"]);
        assert_eq!(flush(&mut a, 600 * SECOND), ["g 600000 1"]);
        assert_eq!(flush(&mut a, 601 * SECOND), ["g 601000 stale"]);
        assert!(a.is_empty());
    }

    #[test]
    fn lines_that_are_wrong_are_counted_and_events_skipped() {
        let mut a = Aggregator::new(Limits::default(), Options::default());
        for line in [
            "a",
            "a:",
            "a:1",
            "a:1|",
            "a:1|x",
            "a:x|c",
            "a:1|c|@0",
            "a:1|c|@2",
            "a:1|c|@x",
            ":1|c",
            "a:NaN|g",
            "a:1:x|ms",
            "\u{ff}:|c",
            "a:inf|c",
        ] {
            assert_eq!(a.add(line.as_bytes()).refused, 1, "{line}");
        }
        assert_eq!(a.add(b"\xff:1|c").refused, 1);
        assert_eq!(a.add(b"_e{5,4}:title|text\n_sc|name|0").skipped, 2);
        assert!(a.is_empty(), "{a:?}");
    }
}
