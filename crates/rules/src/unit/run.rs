//! Runs one test: evaluates all groups from time 0 on and looks at alerts and expressions on the way.

use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{Histogram, Labels, ResetHint, Span, Text, TimestampMs};
use wellkept_promql::Limits;

use super::file::{AlertCase, ExprCase, Pairs, Test, TestFile};
use super::report::{Failure, diff};
use crate::Reader;
use crate::ask::{self, Point};
use crate::eval::{AlertState, GroupState, Settings};
use crate::file::Group;
use crate::memory::Memory;
use crate::problem::short;
use crate::time::show_duration;

/// What was not as the test wants it.
pub(crate) fn run(
    file: &TestFile,
    test: &Test,
    groups: &[Arc<Group>],
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Vec<Failure> {
    let settings = Arc::new(Settings {
        interval: test.interval,
        external_labels: test.external_labels.clone(),
        external_url: test.external_url.clone(),
        ..Settings::default()
    });
    let new = |group: &Arc<Group>| GroupState::new(Arc::clone(group), Arc::clone(&settings), false);
    let mut world = World {
        memory: memory(test),
        start: test.start,
        groups: groups.iter().map(new).collect(),
        limits,
        cancelled,
    };
    let mut failures = Vec::new();
    let (step, end) = (file.evaluation_interval, test.end());
    let mut at = Duration::ZERO;
    loop {
        let broken = world.evaluate(at);
        if !broken.is_empty() {
            failures.extend(broken);
            return failures;
        }
        let due = test.alerts.iter().filter(|c| at <= c.at && c.at < at + step);
        failures.extend(due.filter_map(|case| world.alert_case(case)));
        if at + step > end {
            break;
        }
        at += step;
    }
    failures.extend(test.exprs.iter().filter_map(|case| world.expr_case(case, file.fuzzy)));
    failures
}

fn memory(test: &Test) -> Memory {
    let mut memory = Memory::default();
    for (labels, values) in &test.series {
        let mut at = test.start;
        for value in values {
            if let Some(value) = value {
                memory.add(labels, at, value);
            }
            at = at + test.interval;
        }
    }
    memory
}

struct World<'a> {
    memory: Memory,
    start: TimestampMs,
    groups: Vec<GroupState>,
    limits: &'a Limits,
    cancelled: &'a dyn Fn() -> bool,
}

/// Labels and annotations of an alert.
type Shown = (Pairs, Pairs);

impl World<'_> {
    /// Evaluates all groups; the rules that failed.
    fn evaluate(&mut self, at: Duration) -> Vec<Failure> {
        let now = self.start + at;
        self.memory.until = now;
        let mut failures = Vec::new();
        for group in &mut self.groups {
            let reader = Reader { source: &self.memory, limits: self.limits, cancelled: self.cancelled };
            let done = group.evaluate(now, &reader, &|| Duration::ZERO);
            self.memory.write(&done.batch);
            for (rule, state) in group.rules() {
                if let Some(error) = &state.last_error {
                    let text = Text::new("rules.test.rule").with("rule", short(&rule.name));
                    let text = text.with("time", show_duration(at)).with("detail", short(error));
                    failures.push(Failure { text, diff: Vec::new() });
                }
            }
        }
        failures
    }

    fn alert_case(&self, case: &AlertCase) -> Option<Failure> {
        let rules = self.groups.iter().flat_map(GroupState::rules);
        let of_name = rules.filter(|(rule, _)| rule.alert().is_some() && rule.name == case.alert);
        let firing = of_name.flat_map(|(_, s)| s.active_alerts()).filter(|a| a.state == AlertState::Firing);
        let found: Vec<Shown> = firing
            .map(|a| {
                (a.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(), a.annotations.clone())
            })
            .collect();
        let wanted: Vec<Shown> = case.wanted.iter().map(|w| with_name(w, &case.alert)).collect();
        let show = |(labels, annotations): &Shown| format!("{} {}", braces(labels), braces(annotations));
        let lines = diff(&wanted, &found, |a, b| a == b, show)?;
        let text = Text::new("rules.test.alert")
            .with("alert", short(&case.alert))
            .with("time", show_duration(case.at));
        Some(Failure { text, diff: lines })
    }

    fn expr_case(&self, case: &ExprCase, fuzzy: bool) -> Option<Failure> {
        let reader = Reader { source: &self.memory, limits: self.limits, cancelled: self.cancelled };
        let found = ask::parse(&case.expr).and_then(|q| ask::vector(&q, self.start + case.at, &reader));
        let named =
            |key: &str| Text::new(key).with("expr", short(&case.expr)).with("time", show_duration(case.at));
        match found {
            Err(e) => {
                let text = named("rules.test.expr_failed").with("detail", short(&e.to_string()));
                Some(Failure { text, diff: Vec::new() })
            }
            Ok(found) => {
                let same = |a: &(Labels, Point), b: &(Labels, Point)| a.0 == b.0 && equal(&a.1, &b.1, fuzzy);
                let lines =
                    diff(&case.wanted, &found, same, |(labels, value)| format!("{labels} {}", shown(value)))?;
                Some(Failure { text: named("rules.test.expr"), diff: lines })
            }
        }
    }
}

fn with_name((labels, annotations): &Shown, alert: &str) -> Shown {
    let mut labels: Pairs =
        labels.iter().filter(|(n, v)| n != "alertname" && !v.is_empty()).cloned().collect();
    labels.push(("alertname".to_owned(), alert.to_owned()));
    labels.sort();
    (labels, annotations.clone())
}

fn braces(pairs: &Pairs) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn shown(value: &Point) -> String {
    match value {
        Point::Float(value) => value.to_string(),
        Point::Histogram(h) => format!(
            "{{{{schema:{} count:{} sum:{} z_bucket:{} z_bucket_w:{} buckets:{:?} n_buckets:{:?} custom_values:{:?}}}}}",
            h.schema,
            h.count,
            h.sum,
            h.zero_count,
            h.zero_threshold,
            buckets(&h.positive_spans, &h.positive),
            buckets(&h.negative_spans, &h.negative),
            h.custom_values
        ),
    }
}

fn equal(a: &Point, b: &Point, fuzzy: bool) -> bool {
    match (a, b) {
        (Point::Float(a), Point::Float(b)) => close(*a, *b, fuzzy),
        (Point::Histogram(a), Point::Histogram(b)) => same_histogram(a, b, fuzzy),
        _ => false,
    }
}

/// Equal whatever the spans look like: buckets without observations do not count.
fn same_histogram(a: &Histogram, b: &Histogram, fuzzy: bool) -> bool {
    let lists =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b, fuzzy));
    let filled = |a: (&[Span], &[f64]), b: (&[Span], &[f64])| {
        let (a, b) = (buckets(a.0, a.1), buckets(b.0, b.1));
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && close(a.1, b.1, fuzzy))
    };
    let numbers = |h: &Histogram| [h.count, h.sum, h.zero_count, h.zero_threshold];
    a.schema == b.schema
        && (a.reset_hint == ResetHint::Gauge) == (b.reset_hint == ResetHint::Gauge)
        && lists(&numbers(a), &numbers(b))
        && lists(&a.custom_values, &b.custom_values)
        && filled((&a.positive_spans, &a.positive), (&b.positive_spans, &b.positive))
        && filled((&a.negative_spans, &a.negative), (&b.negative_spans, &b.negative))
}

/// Index and count of each bucket with observations.
fn buckets(spans: &[Span], counts: &[f64]) -> Vec<(i64, f64)> {
    let mut index = 0_i64;
    let mut indexes = Vec::with_capacity(counts.len());
    for span in spans {
        index += i64::from(span.offset);
        for _ in 0..span.length.min(u32::try_from(counts.len()).unwrap_or(u32::MAX)) {
            indexes.push(index);
            index += 1;
        }
    }
    indexes.into_iter().zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0).collect()
}

/// Equal, NaN like NaN; `fuzzy`: the last bit does not count.
fn close(a: f64, b: f64, fuzzy: bool) -> bool {
    #[expect(clippy::float_cmp, reason = "the test asks for equality; whoever wants less says fuzzy_compare")]
    let same = a == b || a.is_nan() && b.is_nan();
    #[expect(clippy::float_cmp, reason = "the neighbours are meant exactly")]
    let near = a.next_up() == b || a.next_down() == b;
    same || fuzzy && near
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(spans: &[(i32, u32)], counts: &[f64]) -> Histogram {
        Histogram {
            positive_spans: spans
                .iter()
                .map(|(offset, length)| Span { offset: *offset, length: *length })
                .collect(),
            positive: counts.to_vec(),
            count: counts.iter().sum(),
            ..Histogram::default()
        }
    }

    #[test]
    fn histograms_are_equal_whatever_their_spans() {
        let a = histogram(&[(1, 3)], &[1.0, 0.0, 2.0]);
        let b = histogram(&[(1, 1), (1, 1)], &[1.0, 2.0]);
        assert!(same_histogram(&a, &b, false));
        assert!(!same_histogram(&a, &histogram(&[(2, 1), (1, 1)], &[1.0, 2.0]), false));
        assert!(!same_histogram(&a, &Histogram { sum: 1.0, ..b.clone() }, false));
        assert!(!same_histogram(&a, &Histogram { reset_hint: ResetHint::Gauge, ..b }, false));
    }
}
