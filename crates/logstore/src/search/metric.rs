//! Numbers over time: `sum by (level) (rate({…}[5m]))`.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use wellkept_model::Labels;

use super::budget::{Budget, SearchCost, SearchLimits, Stopped};
use super::counts::BARS_MAX;
use super::entries::Direction;
use super::source::{Hit, Need, Wanted};
use crate::query::{AggregateFunction, Grouping, LineQuery, MetricQuery, RangeFunction};
use crate::store::LogStore;

/// Most series of one query.
const SERIES_MAX: usize = 5000;

/// Values of one set of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricSeries {
    /// Which.
    pub labels: Labels,
    /// Time in nanoseconds and value; steps without a line are missing.
    pub points: Vec<(i64, f64)>,
}

/// Numbers over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricResult {
    /// In order of their labels; those of `topk` by value.
    pub series: Vec<MetricSeries>,
    /// Why the search ended early; what it would have counted is missing.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub cost: SearchCost,
}

/// At which times values are wanted.
#[derive(Clone, Copy)]
struct Steps {
    from: i64,
    step: i64,
    count: usize,
}

impl Steps {
    fn at(&self, i: usize) -> i64 {
        self.from.saturating_add(self.step.saturating_mul(i as i64))
    }

    /// The steps whose window `(at - range, at]` holds a time: first, and the one behind the last.
    fn holding(&self, time: i64, range: i64) -> (usize, usize) {
        let first = div_ceil(time.saturating_sub(self.from), self.step).max(0);
        let end = div_ceil(time.saturating_add(range).saturating_sub(self.from), self.step);
        let clamp = |n: i64| usize::try_from(n.max(0)).unwrap_or(usize::MAX).min(self.count);
        (clamp(first), clamp(end))
    }
}

fn div_ceil(a: i64, b: i64) -> i64 {
    a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0)
}

/// One value a step; absent where there was no line.
type Values = Vec<Option<f64>>;

type Table = HashMap<Labels, Values>;

impl LogStore {
    /// Evaluates a query at `from_ns`, `from_ns + step_ns`, … up to `to_ns`. At most 11 000 steps: a smaller step is
    /// widened.
    #[must_use]
    pub fn metric(
        &self,
        query: &MetricQuery,
        from_ns: i64,
        to_ns: i64,
        step_ns: i64,
        limits: SearchLimits<'_>,
    ) -> MetricResult {
        let span = to_ns.saturating_sub(from_ns).max(0);
        let step = step_ns.max(span / BARS_MAX as i64 + 1);
        let steps = Steps { from: from_ns, step, count: usize::try_from(span / step + 1).unwrap_or(1) };
        let mut budget = Budget::new(limits);
        let table = self.evaluate(query, None, steps, &mut budget);
        let mut series: Vec<MetricSeries> = table
            .into_iter()
            .map(|(labels, values)| {
                let points = values.into_iter().enumerate().filter_map(|(i, v)| Some((steps.at(i), v?)));
                MetricSeries { labels, points: points.collect() }
            })
            .filter(|s| !s.points.is_empty())
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if let MetricQuery::Aggregate { function: AggregateFunction::Top(_), .. } = query {
            let last = |s: &MetricSeries| s.points.last().map_or(f64::NEG_INFINITY, |p| p.1);
            series.sort_by(|a, b| last(b).total_cmp(&last(a)));
        }
        MetricResult { series, stopped: budget.stopped, cost: budget.cost }
    }

    /// `grouping`: what will be summed over anyway, so that no series are made that vanish at once.
    fn evaluate(
        &self,
        query: &MetricQuery,
        grouping: Option<&Grouping>,
        steps: Steps,
        budget: &mut Budget<'_>,
    ) -> Table {
        match query {
            MetricQuery::Range { function, lines, range_ns } => {
                self.over_time(*function, lines, *range_ns, grouping, steps, budget)
            }
            MetricQuery::Aggregate { function, grouping, inner } => {
                let pushed = (*function == AggregateFunction::Sum).then_some(grouping);
                let table = self.evaluate(inner, pushed, steps, budget);
                aggregate(*function, grouping, table, steps.count)
            }
            MetricQuery::Filter { inner, comparison, number } => {
                let mut table = self.evaluate(inner, None, steps, budget);
                for value in table.values_mut().flatten() {
                    *value = value.filter(|v| comparison.holds(*v, *number));
                }
                table
            }
        }
    }

    fn over_time(
        &self,
        function: RangeFunction,
        lines: &LineQuery,
        range: i64,
        grouping: Option<&Grouping>,
        steps: Steps,
        budget: &mut Budget<'_>,
    ) -> Table {
        let of_bytes = matches!(function, RangeFunction::Bytes | RangeFunction::BytesRate);
        let last = steps.at(steps.count.saturating_sub(1));
        let need = Need { text: of_bytes, fields: true, extracted: true };
        let wanted = Wanted {
            query: lines,
            stream: None,
            from: steps.from.saturating_sub(range).saturating_add(1),
            to: last.saturating_add(1),
            direction: Direction::Forward,
            need,
        };
        // Differences between neighbouring steps: a line counts in all steps whose window holds it.
        let mut table: HashMap<Labels, Vec<f64>> = HashMap::new();
        let mut too_many = false;
        let most = (budget.result_left() / (steps.count * 32 + 256)).min(SERIES_MAX);
        self.snapshot().scan(self, &wanted, budget, &mut |hit| {
            let labels = series_labels(hit, grouping);
            if table.len() >= most && !table.contains_key(&labels) {
                too_many = true;
                return ControlFlow::Break(());
            }
            let changes = table.entry(labels).or_insert_with(|| vec![0.0; steps.count + 1]);
            let (first, end) = steps.holding(hit.at, range);
            #[expect(clippy::cast_precision_loss, reason = "no line is that long")]
            let weight = if of_bytes { hit.view.text.len() as f64 } else { 1.0 };
            if let Some(change) = changes.get_mut(first) {
                *change += weight;
            }
            if let Some(change) = changes.get_mut(end) {
                *change -= weight;
            }
            ControlFlow::Continue(())
        });
        if too_many {
            budget.stopped.get_or_insert(Stopped::ResultBytes);
        }
        let is_rate = matches!(function, RangeFunction::Rate | RangeFunction::BytesRate);
        #[expect(clippy::cast_precision_loss, reason = "ranges are at most a year")]
        let divisor = if is_rate { range as f64 / 1e9 } else { 1.0 };
        let values = |changes: Vec<f64>| {
            let mut sum = 0.0;
            let sums = changes.into_iter().take(steps.count).map(|change| {
                sum += change;
                (sum > 0.0).then_some(sum / divisor)
            });
            sums.collect()
        };
        table.into_iter().map(|(labels, changes)| (labels, values(changes))).collect()
    }
}

/// Labels of the series that a line counts for.
fn series_labels(hit: &Hit<'_>, grouping: Option<&Grouping>) -> Labels {
    let view = hit.view;
    if let Some(Grouping::By(names)) = grouping {
        return Labels::new(names.iter().map(|n| (n.as_str(), view.label(hit.extracted, n).into_owned())));
    }
    let is_kept = |name: &str| match grouping {
        Some(Grouping::Without(names)) => !names.iter().any(|n| n == name),
        _ => true,
    };
    if view.fields.is_empty() && hit.extracted.is_empty() && grouping.is_none() {
        return view.labels.clone();
    }
    let of_line = view.fields.iter().chain(hit.extracted).map(|(n, v)| (n.as_str(), v.as_str()));
    Labels::new(view.labels.iter().chain(of_line).filter(|(n, _)| is_kept(n)))
}

fn aggregate(function: AggregateFunction, grouping: &Grouping, table: Table, steps: usize) -> Table {
    let group_of = |labels: &Labels| match grouping {
        Grouping::By(names) => labels.filter(|n| names.iter().any(|b| b == n)),
        Grouping::Without(names) => labels.filter(|n| !names.iter().any(|b| b == n)),
    };
    let mut groups: HashMap<Labels, Vec<(Labels, Values)>> = HashMap::new();
    for (labels, values) in table {
        groups.entry(group_of(&labels)).or_default().push((labels, values));
    }
    let mut out = Table::new();
    for (group, members) in groups {
        match function {
            AggregateFunction::Top(k) | AggregateFunction::Bottom(k) => {
                out.extend(ranked(members, k, matches!(function, AggregateFunction::Top(_)), steps));
            }
            _ => {
                let value = |step: usize| {
                    let present = members.iter().filter_map(|(_, v)| v.get(step).copied().flatten());
                    fold(function, present.collect())
                };
                out.insert(group, (0..steps).map(value).collect());
            }
        }
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "far fewer series than 2^53")]
fn fold(function: AggregateFunction, values: Vec<f64>) -> Option<f64> {
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let folded = match function {
        AggregateFunction::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        AggregateFunction::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        AggregateFunction::Average => sum / n,
        AggregateFunction::Count => n,
        AggregateFunction::Sum | AggregateFunction::Top(_) | AggregateFunction::Bottom(_) => sum,
    };
    (!values.is_empty()).then_some(folded)
}

/// At each step only the first `k` values stay.
fn ranked(members: Vec<(Labels, Values)>, k: usize, largest: bool, steps: usize) -> Vec<(Labels, Values)> {
    let mut out: Vec<(Labels, Values)> =
        members.iter().map(|(l, _)| (l.clone(), vec![None; steps])).collect();
    for step in 0..steps {
        let at = |m: &(Labels, Values)| m.1.get(step).copied().flatten();
        let mut present: Vec<(usize, f64)> =
            members.iter().enumerate().filter_map(|(i, m)| Some((i, at(m)?))).collect();
        let name = |i: usize| members.get(i).map(|m| &m.0);
        present.sort_by(|a, b| {
            let by_value = if largest { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) };
            by_value.then_with(|| name(a.0).cmp(&name(b.0)))
        });
        for (i, value) in present.into_iter().take(k) {
            if let Some(cell) = out.get_mut(i).and_then(|m| m.1.get_mut(step)) {
                *cell = Some(value);
            }
        }
    }
    out
}
