//! Aggregations over series: `sum`, `avg`, `topk` and the like.

use std::cmp::Ordering;
use std::collections::HashMap;

use wellkept_model::{Labels, METRIC_NAME};

use crate::QueryError;
use crate::column::{Column, Grid, absent, is_absent};
use crate::eval::Evaluator;
use crate::expr::{Aggregate, AggregateOp, Expr};
use crate::matching::contains;
use crate::stats;

/// Columns that are aggregated into one.
struct Group {
    labels: Labels,
    columns: Vec<Column>,
}

impl Group {
    /// The values at a step, into `out`.
    fn at(&self, step: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(
            self.columns.iter().filter_map(|c| c.values.get(step)).copied().filter(|v| !is_absent(*v)),
        );
    }
}

impl Evaluator<'_> {
    /// Evaluates an aggregation at all steps.
    pub(crate) fn aggregate(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(&aggregate.inner, grid)?;
        let params = match &aggregate.param {
            Some(Expr::Text(label)) => return self.count_values(group(columns, aggregate), label, grid),
            Some(param) => Some(self.scalar(param, grid)?),
            None => None,
        };
        let groups = group(columns, aggregate);
        match (aggregate.op, params) {
            (op @ (AggregateOp::TopK | AggregateOp::BottomK), Some(params)) => {
                self.top(groups, op, &params, grid)
            }
            (op, params) => self.fold(&groups, op, params.as_deref(), grid),
        }
    }

    fn fold(
        &self,
        groups: &[Group],
        op: AggregateOp,
        params: Option<&[f64]>,
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        if let Some(bad) = params.into_iter().flatten().find(|q| !(0.0..=1.0).contains(*q)) {
            self.warn(format!("PromQL warning: quantile value should be between 0 and 1, got {bad}"));
        }
        let mut scratch = Vec::new();
        let mut out = Vec::with_capacity(groups.len());
        for group in groups {
            let mut column = self.column(group.labels.clone(), grid)?;
            for (step, value) in column.values.iter_mut().enumerate() {
                group.at(step, &mut scratch);
                self.work(scratch.len() + 1)?;
                if !scratch.is_empty() {
                    let param = params.and_then(|p| p.get(step)).copied().unwrap_or(f64::NAN);
                    *value = one(op, &mut scratch, param);
                }
            }
            out.push(column);
        }
        Ok(out)
    }

    /// `topk` and `bottomk` keep series as they are, at the steps at which they rank high enough. At a single step
    /// they are also put in order.
    fn top(
        &self,
        groups: Vec<Group>,
        op: AggregateOp,
        params: &[f64],
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        let mut out = Vec::new();
        for mut group in groups {
            let mut order = Vec::new();
            for (step, param) in params.iter().enumerate() {
                let keep = how_many(*param)?;
                let there = group.columns.iter().enumerate();
                let values = there.filter_map(|(i, c)| c.values.get(step).map(|v| (i, *v)));
                let mut ranked: Vec<(usize, f64)> = values.filter(|(_, v)| !is_absent(*v)).collect();
                self.work(ranked.len() + 1)?;
                ranked.sort_by(|a, b| rank(op, a.1, b.1));
                for (i, _) in ranked.iter().skip(keep) {
                    if let Some(value) = group.columns.get_mut(*i).and_then(|c| c.values.get_mut(step)) {
                        *value = absent();
                    }
                }
                order = ranked;
            }
            if grid.count == 1 {
                let mut place = vec![usize::MAX; group.columns.len()];
                for (rank, (i, _)) in order.iter().enumerate() {
                    if let Some(place) = place.get_mut(*i) {
                        *place = rank;
                    }
                }
                let mut placed: Vec<_> = place.into_iter().zip(group.columns).collect();
                placed.sort_by_key(|(place, _)| *place);
                group.columns = placed.into_iter().map(|(_, c)| c).collect();
            }
            out.extend(group.columns.into_iter().filter(|c| !c.is_empty()));
        }
        Ok(out)
    }

    fn count_values(&self, groups: Vec<Group>, label: &str, grid: Grid) -> Result<Vec<Column>, QueryError> {
        if label.is_empty() {
            return Err(QueryError::failed("invalid label name \"\" in count_values"));
        }
        let mut seen: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Column> = Vec::new();
        for group in groups {
            for (step, value) in group.columns.iter().flat_map(|c| c.values.iter().enumerate()) {
                if is_absent(*value) {
                    continue;
                }
                self.work(1)?;
                let text = go_float(*value);
                let pairs = group.labels.iter().filter(|(n, _)| *n != label).chain([(label, text.as_str())]);
                let labels = Labels::new(pairs);
                let place = match seen.get(&labels) {
                    Some(place) => *place,
                    None => {
                        out.push(self.column(labels.clone(), grid)?);
                        seen.insert(labels, out.len() - 1);
                        out.len() - 1
                    }
                };
                if let Some(count) = out.get_mut(place).and_then(|c| c.values.get_mut(step)) {
                    *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
                }
            }
        }
        Ok(out)
    }
}

/// Groups in the order in which their first column comes.
fn group(columns: Vec<Column>, aggregate: &Aggregate) -> Vec<Group> {
    let mut seen: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for column in columns {
        let labels = column.labels.filter(|name| {
            let named = contains(&aggregate.labels, name);
            if aggregate.without { !named && name != METRIC_NAME } else { named }
        });
        let place = *seen.entry(labels.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.columns.push(column),
            None => groups.push(Group { labels, columns: vec![column] }),
        }
    }
    groups
}

fn one(op: AggregateOp, values: &mut [f64], param: f64) -> f64 {
    let all = values.iter().copied();
    match op {
        AggregateOp::Sum => stats::sum(all),
        AggregateOp::Avg => stats::mean(all),
        AggregateOp::Min => stats::min(all),
        AggregateOp::Max => stats::max(all),
        #[expect(clippy::cast_precision_loss, reason = "never 2^52 series")]
        AggregateOp::Count => values.len() as f64,
        AggregateOp::Group => 1.0,
        AggregateOp::Stddev => stats::variance(all).sqrt(),
        AggregateOp::Stdvar => stats::variance(all),
        AggregateOp::Quantile => stats::quantile(param, values),
        // These are no folds; `aggregate` sends them elsewhere.
        AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::CountValues => f64::NAN,
    }
}

/// Best first; NaN is never best.
fn rank(op: AggregateOp, a: f64, b: f64) -> Ordering {
    let by_value = if op == AggregateOp::TopK { stats::ascending(b, a) } else { stats::ascending(a, b) };
    a.is_nan().cmp(&b.is_nan()).then(by_value)
}

/// The `k` of `topk`.
fn how_many(param: f64) -> Result<usize, QueryError> {
    // The first number that a signed 64-bit integer cannot hold.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if !param.is_finite() || param.abs() >= TOO_LARGE {
        return Err(QueryError::failed(format!("scalar value {} overflows int64", go_float(param))));
    }
    #[expect(clippy::cast_sign_loss, reason = "what is below 1 becomes 0")]
    Ok(param.max(0.0) as usize)
}

/// A number as Prometheus writes it into a label: shortest, without exponent.
fn go_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}
