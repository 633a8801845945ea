//! Series as scripts write them: labels, then values with their repetitions.

use std::sync::Arc;

use wellkept_model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, ResetHint, Span, stale_marker};

use crate::Limits;
use crate::native::Native;
use crate::syntax::{number, parse};

/// One value of a series line.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesValue {
    /// `_`: no sample at this step.
    Gap,
    /// A number; `stale` is the stale marker.
    Float(f64),
    /// `{{…}}`
    Histogram(Arc<Histogram>),
}

/// Reads `up{host="a"} 1 2+1x5 _ {{count:1}}` into its labels and values, one per step.
///
/// # Errors
/// What could not be read, and how many samples are too many.
pub fn series(line: &str, limits: &Limits) -> Result<(Labels, Vec<SeriesValue>), String> {
    let (metric, mut rest) = split(line)?;
    let labels = parse::labels(metric, limits).map_err(|e| e.to_string())?;
    let mut values = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok((labels, values));
        }
        let room = limits.samples.saturating_sub(values.len());
        rest = item(rest, room, &mut values)?;
    }
}

/// The labels of a line and what follows them.
fn split(line: &str) -> Result<(&str, &str), String> {
    let blank = line.find(char::is_whitespace).unwrap_or(line.len());
    let Some(open) = line.find('{').filter(|open| *open < blank) else {
        return Ok(line.split_at(blank));
    };
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in line.char_indices().skip_while(|(i, _)| *i < open) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return Ok(line.split_at(i + 1)),
            None => {}
        }
    }
    Err(format!("the labels of {line:?} have no end"))
}

/// Reads one item; gives what follows it.
fn item<'a>(text: &'a str, room: usize, out: &mut Vec<SeriesValue>) -> Result<&'a str, String> {
    if text.starts_with("{{") {
        return histograms(text, room, out);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    floats(word, room, out)?;
    Ok(rest)
}

fn repetitions(text: &str, room: usize) -> Result<usize, String> {
    let times: usize = text.parse().map_err(|_| format!("{text:?} is no number of repetitions"))?;
    if times >= room {
        return Err(format!("a series of more than {room} samples is too long"));
    }
    Ok(times)
}

fn floats(word: &str, room: usize, out: &mut Vec<SeriesValue>) -> Result<(), String> {
    // Not the `x` of a hexadecimal number: there are none here.
    let (what, times) = match word.rsplit_once('x') {
        Some((what, times)) => (what, Some(repetitions(times, room)?)),
        None => (word, None),
    };
    if what == "_" {
        out.extend(std::iter::repeat_n(SeriesValue::Gap, times.unwrap_or(1)));
        return Ok(());
    }
    let (first, by) = step(what).ok_or_else(|| format!("unexpected {word:?} in series values"))?;
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        out.push(SeriesValue::Float(value));
        value += by.unwrap_or(0.0);
        if by.is_none() {
            // Adding nothing would make an ordinary number of a stale marker.
            value = first;
        }
    }
    Ok(())
}

/// `5`, `5+2`, `-5-2`, `1e-3+1`: the first value, and what is added each time.
fn step(text: &str) -> Option<(f64, Option<f64>)> {
    if let Some(value) = value(text) {
        return Some((value, None));
    }
    let signs = text.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    signs.filter_map(|(at, _)| Some((value(text.get(..at)?)?, Some(value(text.get(at..)?)?)))).next()
}

fn value(text: &str) -> Option<f64> {
    if text == "stale" {
        return Some(stale_marker());
    }
    let (minus, bare) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if bare.starts_with(['+', '-']) {
        return None;
    }
    let value = number::number(bare)?;
    Some(if minus { -value } else { value })
}

fn histograms<'a>(text: &'a str, room: usize, out: &mut Vec<SeriesValue>) -> Result<&'a str, String> {
    let (first, mut rest) = histogram(text)?;
    let mut step = None;
    if let Some(sign) = ["+", "-"].into_iter().find(|s| rest.starts_with(&format!("{s}{{{{"))) {
        let (by, after) = histogram(rest.get(1..).unwrap_or_default())?;
        step = Some((sign == "-", by));
        rest = after;
    }
    let mut times = 0;
    if let Some(after) = rest.strip_prefix('x') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(end);
        times = repetitions(number, room)?;
        rest = after;
    }
    let mut value = Arc::new(first);
    for i in 0..=times {
        out.push(SeriesValue::Histogram(Arc::clone(&value)));
        if let (Some((minus, by)), true) = (&step, i < times) {
            if value.schema > by.schema {
                return Err(format!(
                    "error combining histograms: cannot merge from schema {} to {}",
                    by.schema, value.schema
                ));
            }
            let hint = value.reset_hint;
            let mut next = Native::from(value.as_ref());
            let other = Native::from(by);
            let done = if *minus { next.sub(&other) } else { next.add(&other) };
            done.map_err(|_| "error combining histograms: their buckets do not fit".to_owned())?;
            if *minus {
                next.hint = hint;
            }
            value = next.shared();
        }
    }
    Ok(rest)
}

/// `{{schema:0 sum:1 buckets:[1 2]}}` and what follows it.
fn histogram(text: &str) -> Result<(Histogram, &str), String> {
    let body = text.strip_prefix("{{").ok_or("a histogram begins with {{")?;
    let end = body.find("}}").ok_or("histogram description incomplete: no }}")?;
    let (inside, rest) = (body.get(..end).unwrap_or_default(), body.get(end + 2..).unwrap_or_default());
    let mut h = Histogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let mut left = inside.trim();
    while !left.is_empty() {
        let (key, after) =
            left.split_once(':').ok_or_else(|| format!("no `:` after {left:?} in a histogram"))?;
        let (word, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']').ok_or("a list in a histogram has no ]")?
        } else {
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        left = after.trim_start();
        let float = || value(word).ok_or_else(|| format!("{word:?} is no number in a histogram"));
        let whole = || word.parse::<i32>().map_err(|_| format!("{word:?} is no whole number in a histogram"));
        match key.trim().to_ascii_lowercase().as_str() {
            "schema" => h.schema = whole()?,
            "sum" => h.sum = float()?,
            "count" => h.count = float()?,
            "z_bucket" => h.zero_count = float()?,
            "z_bucket_w" => h.zero_threshold = float()?,
            "offset" => offset = whole()?,
            "n_offset" => negative_offset = whole()?,
            "buckets" => h.positive = list(word)?,
            "n_buckets" => h.negative = list(word)?,
            "custom_values" => h.custom_values = list(word)?,
            "counter_reset_hint" => h.reset_hint = hint(word)?,
            other => return Err(format!("bad histogram descriptor found: {other:?}")),
        }
    }
    h.positive_spans = spans(offset, h.positive.len());
    h.negative_spans = spans(negative_offset, h.negative.len());
    if h.schema == CUSTOM_BUCKETS_SCHEMA && h.positive.len() > h.custom_values.len() + 1 {
        return Err("a histogram has more custom buckets than bounds".to_owned());
    }
    Ok((h, rest))
}

fn hint(word: &str) -> Result<ResetHint, String> {
    match word {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NoReset),
        "gauge" => Ok(ResetHint::Gauge),
        other => Err(format!("counter_reset_hint {other:?} is none of unknown, reset, not_reset, gauge")),
    }
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    text.split_whitespace().map(|w| value(w).ok_or_else(|| format!("{w:?} is no number in a list"))).collect()
}

fn spans(offset: i32, length: usize) -> Vec<Span> {
    if length == 0 {
        return Vec::new();
    }
    vec![Span { offset, length: u32::try_from(length).unwrap_or(u32::MAX) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<SeriesValue> {
        series(line, &Limits::default()).unwrap().1
    }

    fn numbers(line: &str) -> Vec<f64> {
        let number = |v: &SeriesValue| if let SeriesValue::Float(v) = v { *v } else { f64::NAN };
        of(line).iter().map(number).collect()
    }

    #[test]
    fn values_repeat_and_step() {
        assert_eq!(
            numbers("a 1 2+3x2 -1-1x1 5x1 1e-1+1x1"),
            [1.0, 2.0, 5.0, 8.0, -1.0, -2.0, 5.0, 5.0, 0.1, 1.1]
        );
        assert_eq!(of("a _ _x2").len(), 3);
        assert!(matches!(of("a stale")[0], SeriesValue::Float(v) if wellkept_model::is_stale(v)));
    }

    #[test]
    fn labels_may_hold_what_ends_labels() {
        let (labels, values) = series(r#"{"a.b", c="} \" x"} 1"#, &Limits::default()).unwrap();
        assert_eq!(labels, Labels::metric("a.b", [("c", "} \" x")]));
        assert_eq!(values.len(), 1);
    }

    #[test]
    fn histograms_step_too() {
        let values =
            of("a {{schema:0 sum:4 count:4 buckets:[1 2 1]}}+{{sum:2 count:1 buckets:[1] offset:1}}x2");
        let SeriesValue::Histogram(last) = &values[2] else { panic!("a histogram") };
        assert_eq!((last.count, last.sum, &last.positive), (6.0, 8.0, &vec![1.0, 4.0, 1.0]));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for line in ["a x", "a 1x", "a {{", "a {{sum}}", "a {{bogus:1}}", "a{b=\"c\" 1", "a 1 2 y", "a --1"] {
            assert!(series(line, &Limits::default()).is_err(), "{line}");
        }
    }
}
