//! Cases as text, in the spirit of Prometheus' promqltest, over an in-memory source.
//!
//! ```text
//! load 1m
//!   up{host="a"} 1 1 0            one value per step; `_` no sample, `stale` the stale marker,
//!   foo 0+10x5 _x2 7              `0+10x5` 0 10 20 30 40 50, `_x2` two gaps, `3x2` 3 3 3
//! eval instant at 2m up           expected lines follow, in any order
//!   up{host="a"} 0
//! eval_ordered instant at 2m …    in this order
//! eval range from 0 to 5m step 1m foo
//!   foo 0 10 20 30 40 50          `_` where there is no value
//! eval_fail instant at 2m …       the following line is part of the message
//! eval_warn instant at 2m …       as eval, and there is at least one warning
//! clear                           forgets what was loaded
//! ```

use std::time::Duration;

use wellkept_model::{
    Labels, Matcher, Sample, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs, is_stale,
    stale_marker,
};
use wellkept_promql::{Limits, Outcome, Query, QueryError, Value, instant, range, selector};

/// Series in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Vec<SeriesData>);

impl SeriesSource for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let wanted = self.0.iter().filter(|s| matchers.iter().all(|m| m.matches(s.labels.get(m.name()))));
        let mut got: Vec<SeriesData> = wanted
            .map(|s| SeriesData {
                labels: s.labels.clone(),
                samples: s.samples.iter().copied().filter(|s| (from..=to).contains(&s.at)).collect(),
                ..SeriesData::default()
            })
            .filter(|s| !s.samples.is_empty())
            .collect();
        if got.iter().map(|s| s.samples.len()).sum::<usize>() > limits.samples {
            return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
        }
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(got)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(self.select(matchers, from, to, limits)?.into_iter().map(|s| s.labels).collect())
    }
}

/// `5m`, `90s`, `-1m`, `250ms`, or plain seconds, as milliseconds.
fn millis(text: &str) -> i64 {
    if let Some(rest) = text.strip_prefix('-') {
        return -millis(rest);
    }
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 1.0,
        "" | "s" => 1e3,
        "m" => 6e4,
        "h" => 36e5,
        "d" => 864e5,
        other => panic!("unit {other:?} of {text:?}"),
    };
    (number.parse::<f64>().unwrap_or_else(|e| panic!("{text:?}: {e}")) * factor) as i64
}

fn number(text: &str) -> f64 {
    match text {
        "_" | "stale" => stale_marker(),
        _ => text.parse().unwrap_or_else(|e| panic!("number {text:?}: {e}")),
    }
}

/// One word of a series line as values; `None` is a gap.
fn values(word: &str) -> Vec<Option<f64>> {
    let Some((what, times)) = word.rsplit_once('x') else {
        return vec![(word != "_").then(|| number(word))];
    };
    let times: usize = times.parse().unwrap_or_else(|e| panic!("{word:?}: {e}"));
    if what == "_" {
        return vec![None; times];
    }
    let sign = what.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-'));
    match sign {
        None => vec![Some(number(what)); times],
        Some((at, _)) => {
            let (first, by) = (number(&what[..at]), number(&what[at..]));
            (0..=times).map(|i| Some(first + by * i as f64)).collect()
        }
    }
}

/// Splits `name{a="b c"} 1 2` into labels and words.
fn series_line(line: &str) -> (Labels, Vec<&str>) {
    let end = match line.find('{') {
        Some(open) if !line[..open].contains(' ') => line.find('}').map_or(line.len(), |close| close + 1),
        _ => line.find(' ').unwrap_or(line.len()),
    };
    let (metric, rest) = line.split_at(end);
    let labels = if metric == "{}" {
        Labels::default()
    } else {
        let matchers = selector(metric, &Limits::default()).unwrap_or_else(|e| panic!("{metric}: {e}"));
        Labels::new(matchers.iter().map(|m| (m.name(), m.value())))
    };
    (labels, rest.split_whitespace().collect())
}

fn load(memory: &mut Memory, step: i64, line: &str) {
    let (labels, words) = series_line(line);
    let all = words.into_iter().flat_map(values).enumerate();
    let samples = all.filter_map(|(i, v)| Some(Sample { at: TimestampMs(step * i as i64), value: v? }));
    memory.0.push(SeriesData::floats(labels, samples.collect()));
}

struct Eval<'a> {
    command: &'a str,
    query: &'a str,
    /// First and last instant and step; one instant when the step is 0.
    from: i64,
    to: i64,
    step: i64,
}

impl<'a> Eval<'a> {
    fn read(line: &'a str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let rest = |n: usize| {
            let mut rest = line;
            for word in &words[..n] {
                rest = rest.trim_start().strip_prefix(word).expect("words come from the line");
            }
            rest.trim()
        };
        match words[..] {
            [command, "instant", "at", at, ..] => {
                Self { command, query: rest(4), from: millis(at), to: millis(at), step: 0 }
            }
            [command, "range", "from", from, "to", to, "step", step, ..] => {
                Self { command, query: rest(8), from: millis(from), to: millis(to), step: millis(step) }
            }
            _ => panic!("cannot read {line:?}"),
        }
    }

    fn run(&self, memory: &Memory) -> Result<Outcome, QueryError> {
        let limits = Limits::default();
        let query = Query::parse(self.query, &limits)?;
        let never = || false;
        if self.step == 0 {
            return instant(&query, memory, TimestampMs(self.from), &limits, &never);
        }
        let step = Duration::from_millis(self.step as u64);
        range(&query, memory, TimestampMs(self.from), TimestampMs(self.to), step, &limits, &never)
    }
}

type Row = (Labels, Vec<f64>);

/// A result as rows of values, one per step.
fn rows(eval: &Eval<'_>, value: Value) -> Vec<Row> {
    match value {
        Value::Scalar { value, .. } => vec![(Labels::default(), vec![value])],
        Value::Vector(vector) => vector.into_iter().map(|(l, s)| (l, vec![s.value])).collect(),
        Value::Matrix(series) if eval.step == 0 => {
            series.into_iter().map(|s| (s.labels, s.samples.iter().map(|s| s.value).collect())).collect()
        }
        Value::Matrix(series) => series
            .into_iter()
            .map(|s| {
                let steps = (0..=(eval.to - eval.from) / eval.step).map(|i| eval.from + i * eval.step);
                let at = |t| s.samples.iter().find(|s| s.at.0 == t).map_or(stale_marker(), |s| s.value);
                (s.labels.clone(), steps.map(at).collect())
            })
            .collect(),
        Value::String { .. } => panic!("{}: a string is checked elsewhere", eval.query),
    }
}

fn close(a: f64, b: f64) -> bool {
    is_stale(a) == is_stale(b)
        && (a.is_nan() && b.is_nan() || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()))
}

fn expected(line: &str) -> Row {
    // A scalar is a number alone.
    if let Ok(value) = line.parse() {
        return (Labels::default(), vec![value]);
    }
    let (labels, words) = series_line(line);
    (labels, words.into_iter().flat_map(values).map(|v| v.unwrap_or_else(stale_marker)).collect())
}

fn check_eval(line: &str, memory: &Memory, wanted: &[&str]) -> Result<(), String> {
    let eval = Eval::read(line);
    let got = match (eval.run(memory), eval.command == "eval_fail") {
        (Ok(got), false) => got,
        (Err(e), false) => return Err(format!("{line}\n  failed: {e}")),
        (Ok(got), true) => return Err(format!("{line}\n  wanted an error, got: {:?}", got.value)),
        (Err(e), true) => {
            let (message, part) = (e.to_string(), wanted.first().unwrap_or(&"?"));
            let found = message.contains(part);
            return found
                .then_some(())
                .ok_or(format!("{line}\n  wanted an error with: {part}\n  got: {message}"));
        }
    };
    if got.warnings.is_empty() == (eval.command == "eval_warn") {
        return Err(format!("{line}\n  warnings: {:?}", got.warnings));
    }
    let mut wanted: Vec<Row> = wanted.iter().map(|l| expected(l)).collect();
    let mut got = rows(&eval, got.value);
    if eval.command != "eval_ordered" {
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        got.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same = wanted.len() == got.len()
        && wanted.iter().zip(&got).all(|(w, g)| {
            w.0 == g.0 && w.1.len() == g.1.len() && w.1.iter().zip(&g.1).all(|(a, b)| close(*a, *b))
        });
    same.then_some(()).ok_or_else(|| format!("{line}\n  wanted: {wanted:?}\n  got:    {got:?}"))
}

/// Series lines, one sample per `step` milliseconds.
#[allow(dead_code, reason = "each test file uses its part of the harness")]
pub(crate) fn load_text(step: i64, lines: &str) -> Memory {
    let mut memory = Memory::default();
    lines.lines().map(str::trim).filter(|l| !l.is_empty()).for_each(|l| load(&mut memory, step, l));
    memory
}

/// Runs all cases of a text.
#[allow(dead_code, reason = "each test file uses its part of the harness")]
pub(crate) fn check(cases: &str) {
    let mut memory = Memory::default();
    let mut lines =
        cases.lines().map(|l| l.trim_end()).filter(|l| !l.trim_start().starts_with('#')).peekable();
    let (mut evals, mut failures) = (0, Vec::new());
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let mut block = Vec::new();
        while let Some(next) = lines.next_if(|l| l.starts_with(' ')) {
            block.push(next.trim());
        }
        match line.split_whitespace().next() {
            Some("clear") => memory.0.clear(),
            Some("load") => {
                let step = millis(line.trim_start_matches("load").trim());
                block.iter().for_each(|l| load(&mut memory, step, l));
            }
            Some(_) => {
                evals += 1;
                failures.extend(check_eval(line, &memory, &block).err());
            }
            None => {}
        }
    }
    assert!(failures.is_empty(), "{} of {evals} failed\n{}", failures.len(), failures.join("\n"));
    assert!(evals > 0, "a file of cases without a case checks nothing");
}
