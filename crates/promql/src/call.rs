//! Evaluation of function calls that take each series by itself, or none.

use std::collections::BTreeMap;

use wellkept_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use crate::QueryError;
use crate::column::{Cell, Column, Grid, absent, is_absent};
use crate::eval::{Evaluated, Evaluator};
use crate::native::{Native, variance};
use crate::select::Pick;
use crate::stats;
use crate::syntax::functions::{Function, Part, WindowFn};
use crate::syntax::number::seconds;
use crate::syntax::token::Span;
use crate::syntax::tree::{Call, Expr, Kind, RangeExpr, RangeOf};

impl Evaluator<'_> {
    /// Evaluates a call at all steps.
    pub(crate) fn call(&self, call: &Call, grid: Grid) -> Result<Evaluated, QueryError> {
        let constant = |value: f64| Ok(Evaluated::Scalar(vec![value; grid.count]));
        let columns = match call.signature.function {
            Function::Pi => return constant(std::f64::consts::PI),
            Function::QueryStart => return constant(seconds(self.first)),
            Function::QueryEnd => return constant(seconds(self.last)),
            Function::QueryRange => return constant(seconds(self.last.saturating_sub(self.first))),
            Function::QueryStep => return constant(seconds(self.step)),
            Function::Time => return Ok(Evaluated::Scalar(grid.times().map(seconds).collect())),
            Function::Scalar => {
                return Ok(Evaluated::Scalar(only_value(&self.vector(arg(call, 0)?, grid)?, grid)));
            }
            Function::Map(f) => self.map(call, grid, f)?,
            Function::Window(window) => self.window_call(call, window, grid)?,
            Function::Calendar(f) => self.calendar_call(call, f, grid)?,
            Function::HistogramPart(part) => self.histogram_part(call, part, grid)?,
            Function::Absent | Function::AbsentOverTime => self.absent(arg(call, 0)?, grid)?,
            Function::Clamp | Function::ClampMin | Function::ClampMax => self.clamp(call, grid)?,
            Function::HistogramFraction | Function::HistogramQuantile | Function::HistogramQuantiles => {
                self.histogram_call(call, grid)?
            }
            Function::Info => self.info(call, grid)?,
            Function::LabelJoin => self.label_join(call, grid)?,
            Function::LabelReplace => self.label_replace(call, grid)?,
            Function::Round => self.round(call, grid)?,
            Function::Sort => sorted(self.vector(arg(call, 0)?, grid)?, grid, false),
            Function::SortDesc => sorted(self.vector(arg(call, 0)?, grid)?, grid, true),
            Function::SortByLabel => self.sorted_by_label(call, grid, false)?,
            Function::SortByLabelDesc => self.sorted_by_label(call, grid, true)?,
            Function::Timestamp => self.timestamp(arg(call, 0)?, grid)?,
            Function::Vector => {
                let mut column = self.column(Labels::default(), grid)?;
                column.values = self.scalar(arg(call, 0)?, grid)?;
                vec![column]
            }
        };
        Ok(Evaluated::Vector(columns))
    }

    fn map(&self, call: &Call, grid: Grid, f: fn(f64) -> f64) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        self.mapped(columns, f)
    }

    /// Each float through `f`; histograms and names go.
    fn mapped(&self, columns: Vec<Column>, f: impl Fn(f64) -> f64) -> Result<Vec<Column>, QueryError> {
        let mut mapped = Vec::with_capacity(columns.len());
        for column in columns {
            self.work(column.values.len())?;
            let had = column.histograms.is_some();
            let column = column.map(&f);
            if !had || !column.is_empty() {
                mapped.push(column);
            }
        }
        self.drop_names(mapped)
    }

    fn window_call(&self, call: &Call, function: WindowFn, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut scalars = call.args.iter().filter(|a| a.kind() == Kind::Scalar);
        let mut param = || scalars.next().map(|s| self.scalar(s, grid)).transpose();
        let (first, second) = (param()?, param()?);
        let found = call.args.iter().find_map(|a| Some((range_of(a)?, a.span())));
        let (range, span) = found.ok_or_else(missing)?;
        let ranges = self.ranges(range, grid, Some((function, call.signature.name)))?;
        let function = if ranges.counted { WindowFn::Tally } else { function };
        if function == WindowFn::Quantile
            && let Some(params) = first.as_deref().filter(|_| !ranges.series.is_empty())
        {
            let at = call.args.first().map_or(span, Expr::span);
            let bad = params.iter().filter(|q| !(0.0..=1.0).contains(*q));
            bad.for_each(|q| self.notes.bad_quantile(*q, at));
        }
        let columns = self.windows(ranges, grid, [first.as_deref(), second.as_deref()], function, span)?;
        if function.keeps_name() { Ok(columns) } else { self.drop_names(columns) }
    }

    fn calendar_call(&self, call: &Call, f: fn(i64) -> f64, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let Some(arg) = call.args.first() else {
            let mut column = self.column(Labels::default(), grid)?;
            column.values = grid.times().map(|t| f(t.div_euclid(1000))).collect();
            return Ok(vec![column]);
        };
        let columns = self.vector(arg, grid)?;
        self.mapped(columns, |v| f(v as i64))
    }

    fn histogram_part(&self, call: &Call, part: Part, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut out = Vec::new();
        for mut column in self.vector(arg(call, 0)?, grid)? {
            let Some(histograms) = column.histograms.take() else { continue };
            self.work(grid.count * 8)?;
            for (value, histogram) in column.values.iter_mut().zip(&histograms) {
                *value = histogram.as_ref().map_or_else(absent, |h| match part {
                    Part::Avg => h.sum / h.count,
                    Part::Count => h.count,
                    Part::Sum => h.sum,
                    Part::Stddev => variance(&Native::from(h.as_ref())).sqrt(),
                    Part::Stdvar => variance(&Native::from(h.as_ref())),
                });
            }
            if !column.is_empty() {
                out.push(column);
            }
        }
        self.drop_names(out)
    }

    /// 1 at the steps at which the argument has no series, with the labels that its selector is sure of.
    fn absent(&self, arg: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let (columns, matchers): (_, &[Matcher]) = match arg.bare() {
            Expr::Range(range) => {
                let ranges = self.ranges(range, grid, Some((WindowFn::Present, "")))?;
                let span = Span::default();
                let columns = self.windows(ranges, grid, [None, None], WindowFn::Present, span)?;
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
            self.work(grid.count)?;
            for step in (0..grid.count).filter(|step| other.has(*step)) {
                column.clear(step);
            }
        }
        Ok(if column.is_empty() { Vec::new() } else { vec![column] })
    }

    fn clamp(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut columns = self.vector(arg(call, 0)?, grid)?;
        let first = self.scalar(arg(call, 1)?, grid)?;
        let second = call.args.get(2).map(|a| self.scalar(a, grid)).transpose()?;
        let bounds: Vec<(f64, f64)> = match (call.signature.function, second) {
            (Function::ClampMin, _) => first.into_iter().map(|min| (min, f64::INFINITY)).collect(),
            (Function::ClampMax, _) => first.into_iter().map(|max| (f64::NEG_INFINITY, max)).collect(),
            (_, second) => first.into_iter().zip(second.unwrap_or_default()).collect(),
        };
        for column in &mut columns {
            self.work(grid.count)?;
            column.histograms = None;
            for (value, (min, max)) in column.values.iter_mut().zip(&bounds).filter(|(v, _)| !is_absent(**v))
            {
                *value = if max < min { absent() } else { at_least(at_most(*value, *max), *min) };
            }
        }
        columns.retain(|c| !c.is_empty());
        self.drop_names(columns)
    }

    fn round(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let mut columns = self.vector(arg(call, 0)?, grid)?;
        let to = call.args.get(1).map(|a| self.scalar(a, grid)).transpose()?;
        let to = to.unwrap_or_else(|| vec![1.0; grid.count]);
        for column in &mut columns {
            self.work(grid.count)?;
            column.histograms = None;
            for (value, to) in column.values.iter_mut().zip(&to).filter(|(v, _)| !is_absent(**v)) {
                // By the inverse, as Prometheus does: 0.1 is not exact, 10 is.
                let inverse = 1.0 / to;
                *value = (*value * inverse + 0.5).floor() / inverse;
            }
        }
        columns.retain(|c| !c.is_empty());
        self.drop_names(columns)
    }

    fn timestamp(&self, arg: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        if let Expr::Vector(selector) = arg.bare() {
            return self.drop_names(self.instant_vector(selector, grid, Pick::Time)?);
        }
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            self.work(grid.count)?;
            for step in (0..grid.count).filter(|step| column.has(*step)).collect::<Vec<_>>() {
                column.set(step, Cell::Float(seconds(grid.time(step))));
            }
        }
        self.drop_names(columns)
    }
}

pub(crate) fn missing() -> QueryError {
    QueryError::failed("a function lacks an argument")
}

pub(crate) fn arg(call: &Call, i: usize) -> Result<&Expr, QueryError> {
    call.args.get(i).ok_or_else(missing)
}

pub(crate) fn text(call: &Call, i: usize) -> Result<&str, QueryError> {
    match call.args.get(i).map(Expr::bare) {
        Some(Expr::Text { value, .. }) => Ok(value),
        _ => Err(missing()),
    }
}

fn range_of(expr: &Expr) -> Option<&RangeExpr> {
    match expr.bare() {
        Expr::Range(range) => Some(range),
        _ => None,
    }
}

/// Unlike `f64::min`, NaN if either is.
fn at_most(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Unlike `f64::max`, NaN if either is.
fn at_least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The float at the steps at which there is exactly one, else NaN.
fn only_value(columns: &[Column], grid: Grid) -> Vec<f64> {
    let mut values = vec![absent(); grid.count];
    for column in columns {
        for (value, other) in values.iter_mut().zip(&column.values).filter(|(_, o)| !is_absent(**o)) {
            *value = if is_absent(*value) { *other } else { f64::NAN };
        }
    }
    values.into_iter().map(|v| if is_absent(v) { f64::NAN } else { v }).collect()
}

/// Floats sorted by value with NaN last; only a single step has an order.
fn sorted(mut columns: Vec<Column>, grid: Grid, descending: bool) -> Vec<Column> {
    for column in &mut columns {
        column.histograms = None;
    }
    columns.retain(|c| !c.is_empty());
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
