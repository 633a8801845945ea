//! One line of StatsD.

use super::Problem;
use crate::names::Names;
use crate::{Limits, number};

/// What a line is about. The number is part of the key: one name may be used for two types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter = 1,
    Gauge = 2,
    /// In milliseconds.
    Timer = 3,
    Histogram = 4,
    Set = 5,
}

/// A value with its meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    /// A gauge's value with a sign.
    Change(f64),
    Member(&'a str),
}

#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    /// Above 0, at most 1.
    pub(super) rate: f64,
    values: &'a str,
    tags: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Problem> {
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        let mut parts = line.split('|');
        let (name, values) = parts
            .next()
            .and_then(|p| p.split_once(':'))
            .ok_or("a line starts with a name, `:` and a value")?;
        let kind = match parts.next().ok_or("the type is missing")? {
            "c" => Kind::Counter,
            "g" => Kind::Gauge,
            "ms" => Kind::Timer,
            "h" | "d" => Kind::Histogram,
            "s" => Kind::Set,
            _ => return Err("the type is none of c, g, ms, h, d, s"),
        };
        let mut line = Self { name, kind, rate: 1.0, values, tags: "" };
        for part in parts {
            if let Some(rate) = part.strip_prefix('@') {
                let rate = number::float(rate.as_bytes()).filter(|r| *r > 0.0 && *r <= 1.0);
                line.rate = rate.ok_or("a sample rate is above 0 and at most 1")?;
            } else if let Some(tags) = part.strip_prefix('#') {
                line.tags = tags;
            }
        }
        Ok(line)
    }

    /// The values as they stand there. A set has only one: its members may hold colons.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<Value<'a>>> {
        let kind = self.kind;
        let mut parts = self.values.split(':');
        let whole = self.values;
        let mut one = (kind == Kind::Set).then_some(whole);
        std::iter::from_fn(move || if kind == Kind::Set { one.take() } else { parts.next() }).map(
            move |text| {
                if kind == Kind::Set {
                    return (!text.is_empty()).then_some(Value::Member(text));
                }
                let value = number::float(text.as_bytes()).filter(|v| v.is_finite())?;
                Some(match kind {
                    Kind::Gauge if text.starts_with(['+', '-']) => Value::Change(value),
                    Kind::Timer => Value::Number(value / 1000.0),
                    _ => Value::Number(value),
                })
            },
        )
    }

    /// Tags as labels, sorted by name.
    pub(super) fn labels(&self, names: Names, limits: &Limits) -> Result<Vec<(String, &'a str)>, Problem> {
        let mut labels = Vec::new();
        for tag in self.tags.split(',').filter(|t| !t.is_empty()) {
            let (name, value) = tag.split_once(':').unwrap_or((tag, "true"));
            if labels.len() >= limits.labels {
                return Err("the line has too many tags");
            }
            let mut label = String::new();
            names.label(&mut label, name);
            labels.push((label, value));
        }
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        Ok(labels)
    }
}
