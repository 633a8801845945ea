//! Evaluation of function calls.

use std::collections::BTreeMap;

use regex::Regex;
use wellkept_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use crate::QueryError;
use crate::column::{Column, Grid, absent, drop_names, is_absent, merge};
use crate::eval::{Evaluated, Evaluator};
use crate::expr::{Call, Expr, Kind, RangeExpr, RangeOf};
use crate::functions::{Function, WindowCall};
use crate::select::Pick;
use crate::stats;
use crate::window;

/// Longest label value that a function may build, bytes: `$1$1$1…` would otherwise multiply a text at will.
const LABEL_VALUE_MAX: usize = 64 << 10;

/// Work of one `label_replace`, in samples: a pattern and a replacement are about as much as a few dozen additions.
const REPLACE_COST: usize = 64;

impl Evaluator<'_> {
    /// Evaluates a call at all steps.
    pub(crate) fn call(&self, call: &Call, grid: Grid) -> Result<Evaluated, QueryError> {
        let columns = match call.function {
            Function::Pi => return Ok(Evaluated::Scalar(vec![std::f64::consts::PI; grid.count])),
            Function::Time => return Ok(Evaluated::Scalar(grid.times().map(seconds).collect())),
            Function::Scalar => {
                return Ok(Evaluated::Scalar(only_value(&self.vector(arg(call, 0)?, grid)?, grid)));
            }
            Function::Map(f) => {
                let columns = self.vector(arg(call, 0)?, grid)?;
                drop_names(columns.into_iter().map(|c| c.map(f)).collect())?
            }
            Function::Window(window) => self.window_call(call, window, grid)?,
            Function::Calendar(f) => self.calendar_call(call, f, grid)?,
            Function::Absent | Function::AbsentOverTime => vec![self.absent(arg(call, 0)?, grid)?],
            Function::Clamp | Function::ClampMin | Function::ClampMax => self.clamp(call, grid)?,
            Function::HistogramQuantile => {
                let quantiles = self.scalar(arg(call, 0)?, grid)?;
                let columns = self.vector(arg(call, 1)?, grid)?;
                self.histogram_quantile(&quantiles, &columns, grid)?
            }
            Function::LabelJoin => self.label_join(call, grid)?,
            Function::LabelReplace => self.label_replace(call, grid)?,
            Function::Round => self.round(call, grid)?,
            Function::Sort => sorted(self.vector(arg(call, 0)?, grid)?, grid, false),
            Function::SortDesc => sorted(self.vector(arg(call, 0)?, grid)?, grid, true),
            Function::Timestamp => self.timestamp(arg(call, 0)?, grid)?,
            Function::Vector => {
                let mut column = self.column(Labels::default(), grid)?;
                column.values = self.scalar(arg(call, 0)?, grid)?;
                vec![column]
            }
        };
        Ok(Evaluated::Vector(columns))
    }

    fn window_call(&self, call: &Call, window: WindowCall, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let scalar = call.args.iter().find(|a| a.kind() == Kind::Scalar);
        let params = scalar.map(|s| self.scalar(s, grid)).transpose()?;
        let ranges = call.args.iter().find_map(range_of).ok_or_else(missing)?;
        let ranges = self.ranges(ranges, grid)?;
        let columns = self.windows(&ranges, grid, params.as_deref(), window.apply)?;
        if window.keeps_name { Ok(columns) } else { drop_names(columns) }
    }

    fn calendar_call(&self, call: &Call, f: fn(i64) -> f64, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let Some(arg) = call.args.first() else {
            let mut column = self.column(Labels::default(), grid)?;
            column.values = grid.times().map(|t| f(t.div_euclid(1000))).collect();
            return Ok(vec![column]);
        };
        let columns = self.vector(arg, grid)?;
        drop_names(columns.into_iter().map(|c| c.map(|v| f(v as i64))).collect())
    }

    /// 1 at the steps at which the argument has no series, with the labels that its selector is sure of.
    fn absent(&self, arg: &Expr, grid: Grid) -> Result<Column, QueryError> {
        let (columns, matchers): (_, &[Matcher]) = match arg {
            Expr::Range(range) => {
                let ranges = self.ranges(range, grid)?;
                let columns = self.windows(&ranges, grid, None, window::present_over_time)?;
                match &range.of {
                    RangeOf::Samples(selector) => (columns, &selector.matchers),
                    RangeOf::Subquery { .. } => (columns, &[]),
                }
            }
            Expr::Vector(selector) => (self.vector(arg, grid)?, &selector.matchers),
            _ => (self.vector(arg, grid)?, &[]),
        };
        let mut column = self.column(sure_labels(matchers), grid)?;
        column.values.fill(1.0);
        for other in &columns {
            for (value, _) in column.values.iter_mut().zip(&other.values).filter(|(_, v)| !is_absent(**v)) {
                *value = absent();
            }
        }
        Ok(column)
    }

    fn clamp(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut columns = self.vector(arg(call, 0)?, grid)?;
        let first = self.scalar(arg(call, 1)?, grid)?;
        let second = call.args.get(2).map(|a| self.scalar(a, grid)).transpose()?;
        let bounds: Vec<(f64, f64)> = match (call.function, second) {
            (Function::ClampMin, _) => first.into_iter().map(|min| (min, f64::INFINITY)).collect(),
            (Function::ClampMax, _) => first.into_iter().map(|max| (f64::NEG_INFINITY, max)).collect(),
            (_, second) => first.into_iter().zip(second.unwrap_or_default()).collect(),
        };
        for column in &mut columns {
            for (value, (min, max)) in column.values.iter_mut().zip(&bounds).filter(|(v, _)| !is_absent(**v))
            {
                *value = if max < min { absent() } else { at_least(at_most(*value, *max), *min) };
            }
        }
        columns.retain(|c| !c.is_empty());
        drop_names(columns)
    }

    fn round(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut columns = self.vector(arg(call, 0)?, grid)?;
        let to = call.args.get(1).map(|a| self.scalar(a, grid)).transpose()?;
        let to = to.unwrap_or_else(|| vec![1.0; grid.count]);
        for column in &mut columns {
            for (value, to) in column.values.iter_mut().zip(&to).filter(|(v, _)| !is_absent(**v)) {
                // By the inverse, as Prometheus does: 0.1 is not exact, 10 is.
                let inverse = 1.0 / to;
                *value = (*value * inverse + 0.5).floor() / inverse;
            }
        }
        drop_names(columns)
    }

    fn timestamp(&self, arg: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        if let Expr::Vector(selector) = arg {
            return drop_names(self.instant_vector(selector, grid, Pick::Time)?);
        }
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            for (value, at) in column.values.iter_mut().zip(grid.times()).filter(|(v, _)| !is_absent(**v)) {
                *value = seconds(at);
            }
        }
        drop_names(columns)
    }

    fn label_replace(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        let (target, replacement, from) = (text(call, 1)?, text(call, 2)?, text(call, 3)?);
        // `lower` has compiled the same pattern under the size limit of matchers.
        let pattern = Regex::new(&format!("^(?s:{})$", text(call, 4)?))
            .map_err(|e| QueryError::bad(format!("invalid regular expression in label_replace(): {e}")))?;
        self.relabel(columns, REPLACE_COST, |labels| {
            let found = pattern.captures(labels.get(from))?;
            let mut value = String::new();
            found.expand(replacement, &mut value);
            Some((target, value))
        })
    }

    fn label_join(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        let (target, separator) = (text(call, 1)?, text(call, 2)?);
        let from = (3..call.args.len()).map(|i| text(call, i)).collect::<Result<Vec<_>, _>>()?;
        self.relabel(columns, from.len(), |labels| {
            let values: Vec<_> = from.iter().map(|name| labels.get(name)).collect();
            Some((target, values.join(separator)))
        })
    }

    /// Sets one label on every column for which `label` gives one; an empty value removes it. `cost` is the work of
    /// one call of `label`.
    fn relabel<'t>(
        &self,
        mut columns: Vec<Column>,
        cost: usize,
        label: impl Fn(&Labels) -> Option<(&'t str, String)>,
    ) -> Result<Vec<Column>, QueryError> {
        for column in &mut columns {
            self.work(cost)?;
            let Some((name, value)) = label(&column.labels) else { continue };
            if value.len() > LABEL_VALUE_MAX {
                return Err(QueryError::failed(format!(
                    "label {name} would get {} bytes; at most {LABEL_VALUE_MAX} are accepted",
                    value.len()
                )));
            }
            self.charge(value.len() / 8 + 1)?;
            let others = column.labels.iter().filter(|(n, _)| *n != name);
            column.labels = Labels::new(others.chain([(name, value.as_str())]));
        }
        merge(columns, |_| "vector cannot contain metrics with the same labelset".to_owned())
    }
}

fn missing() -> QueryError {
    QueryError::failed("a function lacks an argument")
}

fn arg(call: &Call, i: usize) -> Result<&Expr, QueryError> {
    call.args.get(i).ok_or_else(missing)
}

fn text(call: &Call, i: usize) -> Result<&str, QueryError> {
    match call.args.get(i) {
        Some(Expr::Text(text)) => Ok(text),
        _ => Err(missing()),
    }
}

fn range_of(expr: &Expr) -> Option<&RangeExpr> {
    match expr {
        Expr::Range(range) => Some(range),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date stay far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Unlike `f64::min`, NaN if either is.
fn at_most(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Unlike `f64::max`, NaN if either is.
fn at_least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The value at the steps at which there is exactly one series, else NaN.
fn only_value(columns: &[Column], grid: Grid) -> Vec<f64> {
    let mut values = vec![absent(); grid.count];
    for column in columns {
        for (value, other) in values.iter_mut().zip(&column.values).filter(|(_, o)| !is_absent(**o)) {
            *value = if is_absent(*value) { *other } else { f64::NAN };
        }
    }
    values.into_iter().map(|v| if is_absent(v) { f64::NAN } else { v }).collect()
}

/// Sorted by value with NaN last; only a single step has an order.
fn sorted(mut columns: Vec<Column>, grid: Grid, descending: bool) -> Vec<Column> {
    if grid.count == 1 {
        let value = |c: &Column| c.values.first().copied().unwrap_or(f64::NAN);
        columns.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            let by_value = if descending { stats::ascending(b, a) } else { stats::ascending(a, b) };
            a.is_nan().cmp(&b.is_nan()).then(by_value)
        });
    }
    columns
}

/// Labels that a selector fixes by exactly one `=`.
fn sure_labels(matchers: &[Matcher]) -> Labels {
    let mut sure: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for matcher in matchers.iter().filter(|m| m.name() != METRIC_NAME) {
        let value = (matcher.op() == MatchOp::Equal).then_some(matcher.value());
        sure.entry(matcher.name()).and_modify(|v| *v = None).or_insert(value);
    }
    Labels::new(sure.into_iter().filter_map(|(name, value)| Some((name, value?))))
}
