//! Evaluation of a checked query: what one query shares (source, limits, budget, warnings), the walk over the tree,
//! and the two doors [`instant`] and [`range`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use wellkept_model::{Labels, Sample, SeriesData, SeriesSource, TimestampMs};

use crate::column::{Column, Grid, drop_names, is_absent};
use crate::expr::{AggregateOp, Expr, Kind};
use crate::functions::Function;
use crate::select::{Pick, samples};
use crate::{Limits, Query, QueryError, binary};

/// How much work lies between two looks at `cancelled`: about a tenth of a millisecond.
const WORK_BETWEEN_CHECKS: usize = 1 << 16;

/// Most different warnings of one query; more say nothing new.
const WARNINGS_MAX: usize = 10;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked for.
    pub value: Value,
    /// What looks wrong with the data or the query, in words; sorted, each once.
    pub warnings: Vec<String>,
}

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number without labels; instant queries only.
    Scalar {
        /// The instant asked for.
        at: TimestampMs,
        /// The number.
        value: f64,
    },
    /// A text; instant queries only.
    String {
        /// The instant asked for.
        at: TimestampMs,
        /// The text.
        value: String,
    },
    /// One sample per series; instant queries only. Sorted by labels, or as `sort`, `topk` and the like say.
    Vector(Vec<(Labels, Sample)>),
    /// Many samples per series, sorted by labels: range queries, and instant queries of a range selector.
    Matrix(Vec<SeriesData>),
}

/// A value on its way, over the steps of a grid.
#[derive(Debug)]
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Column>),
}

/// Evaluates a query at one instant. Blocks while the source reads. `cancelled` is asked now and then (about every
/// 0.1 ms of work) and ends the query when it says true.
///
/// # Errors
/// Any [`QueryError`]; [`QueryError::Timeout`] when `cancelled` said so.
pub fn instant(
    query: &Query,
    source: &dyn SeriesSource,
    at: TimestampMs,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Outcome, QueryError> {
    let grid = Grid { start: at.0, step: 1, count: 1 };
    let eval = Evaluator::new(source, limits, cancelled, grid);
    if let Expr::Range(expr) = &query.expr {
        let ranges = eval.ranges(expr, grid)?;
        let mut series = ranges.series;
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        return Ok(eval.outcome(Value::Matrix(series)));
    }
    let value = match eval.eval(&query.expr, grid)? {
        Evaluated::Scalar(values) => Value::Scalar { at, value: values.first().copied().unwrap_or(f64::NAN) },
        Evaluated::Text(value) => Value::String { at, value },
        Evaluated::Vector(columns) => {
            let there = columns.into_iter().filter_map(|c| {
                let value = c.values.first().copied().filter(|v| !is_absent(*v))?;
                Some((c.labels, Sample { at, value }))
            });
            let mut vector: Vec<_> = there.collect();
            if !is_ordered(&query.expr) {
                vector.sort_by(|a, b| a.0.cmp(&b.0));
            }
            Value::Vector(vector)
        }
    };
    Ok(eval.outcome(value))
}

/// Evaluates a query at `from`, `from + step`, … up to `to`. Each selector is read once for the whole range.
/// `cancelled` as in [`instant`].
///
/// # Errors
/// Any [`QueryError`]; [`QueryError::BadData`] also for a step of zero, `to` before `from`, too many steps, or a
/// query that gives neither a scalar nor an instant vector.
pub fn range(
    query: &Query,
    source: &dyn SeriesSource,
    from: TimestampMs,
    to: TimestampMs,
    step: Duration,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Outcome, QueryError> {
    let grid = steps(from, to, step, limits)?;
    let kind = query.expr.kind();
    if !matches!(kind, Kind::Scalar | Kind::Vector) {
        return Err(QueryError::bad(format!(
            "invalid expression type {:?} for range query, must be scalar or instant vector",
            kind.word()
        )));
    }
    let eval = Evaluator::new(source, limits, cancelled, grid);
    let columns = match eval.eval(&query.expr, grid)? {
        Evaluated::Scalar(values) => vec![Column { labels: Labels::default(), values }],
        Evaluated::Vector(columns) => columns,
        Evaluated::Text(_) => Vec::new(),
    };
    let mut series: Vec<_> = columns.into_iter().map(|c| samples(c, grid)).collect();
    series.retain(|s| !s.samples.is_empty());
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(eval.outcome(Value::Matrix(series)))
}

fn steps(from: TimestampMs, to: TimestampMs, step: Duration, limits: &Limits) -> Result<Grid, QueryError> {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if step == 0 {
        return Err(QueryError::bad(
            "zero or negative query resolution step widths are not accepted; use at least 1 ms",
        ));
    }
    if to < from {
        return Err(QueryError::bad(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let count = (i128::from(to.0) - i128::from(from.0)) / i128::from(step) + 1;
    match usize::try_from(count).ok().filter(|c| *c <= limits.steps) {
        Some(count) => Ok(Grid { start: from.0, step, count }),
        None => Err(QueryError::bad(format!(
            "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
            limits.steps
        ))),
    }
}

/// Whether the order of an instant vector carries meaning.
fn is_ordered(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => matches!(call.function, Function::Sort | Function::SortDesc),
        Expr::Aggregate(a) => matches!(a.op, AggregateOp::TopK | AggregateOp::BottomK),
        _ => false,
    }
}

/// What one evaluation shares.
pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a dyn SeriesSource,
    pub(crate) limits: &'a Limits,
    cancelled: &'a dyn Fn() -> bool,
    /// First and last step of the whole query, milliseconds, for `@ start()` and `@ end()`.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Samples loaded and computed so far.
    pub(crate) spent: Cell<usize>,
    worked: Cell<usize>,
    warnings: RefCell<BTreeSet<String>>,
}

impl<'a> Evaluator<'a> {
    fn new(
        source: &'a dyn SeriesSource,
        limits: &'a Limits,
        cancelled: &'a dyn Fn() -> bool,
        grid: Grid,
    ) -> Self {
        Self {
            source,
            limits,
            cancelled,
            first: grid.start,
            last: grid.end(),
            spent: Cell::new(0),
            worked: Cell::new(0),
            warnings: RefCell::default(),
        }
    }

    fn outcome(self, value: Value) -> Outcome {
        let warnings = self.warnings.into_inner();
        Outcome { value, warnings: warnings.into_iter().collect() }
    }

    pub(crate) fn warn(&self, text: String) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < WARNINGS_MAX {
            warnings.insert(text);
        }
    }

    /// Takes from the budget of samples.
    pub(crate) fn charge(&self, samples: usize) -> Result<(), QueryError> {
        let spent = self.spent.get().saturating_add(samples);
        if spent > self.limits.samples {
            return Err(QueryError::TooMuch { what: "samples", limit: self.limits.samples });
        }
        self.spent.set(spent);
        self.work(samples)
    }

    /// Counts work done, and asks now and then whether to go on.
    pub(crate) fn work(&self, amount: usize) -> Result<(), QueryError> {
        let done = self.worked.get().saturating_add(amount);
        if done < WORK_BETWEEN_CHECKS {
            self.worked.set(done);
            return Ok(());
        }
        self.worked.set(0);
        if (self.cancelled)() { Err(QueryError::Timeout) } else { Ok(()) }
    }

    /// A new column without values, paid for.
    pub(crate) fn column(&self, labels: Labels, grid: Grid) -> Result<Column, QueryError> {
        // Labels and their bookkeeping cost about as much as a few values.
        self.charge(grid.count.saturating_add(4))?;
        Ok(Column::empty(labels, grid.count))
    }

    /// Evaluates an expression at all steps. `lower` has bounded the recursion.
    pub(crate) fn eval(&self, expr: &Expr, grid: Grid) -> Result<Evaluated, QueryError> {
        match expr {
            Expr::Number(n) => Ok(Evaluated::Scalar(vec![*n; grid.count])),
            Expr::Text(text) => Ok(Evaluated::Text(text.clone())),
            Expr::Vector(selector) => {
                Ok(Evaluated::Vector(self.instant_vector(selector, grid, Pick::Value)?))
            }
            // Only a function takes a range, and it asks for it by `ranges`.
            Expr::Range(_) => Err(QueryError::failed("a range vector is no value by itself here")),
            Expr::Negate(inner) => match self.eval(inner, grid)? {
                Evaluated::Scalar(values) => Ok(Evaluated::Scalar(values.into_iter().map(|v| -v).collect())),
                Evaluated::Vector(columns) => {
                    let negated = columns.into_iter().map(|c| c.map(|v| -v)).collect();
                    Ok(Evaluated::Vector(drop_names(negated)?))
                }
                text @ Evaluated::Text(_) => Ok(text),
            },
            Expr::Binary(_) => self.chain(expr, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid).map(Evaluated::Vector),
            Expr::Call(call) => self.call(call, grid),
        }
    }

    /// `a + b + c`: the left side in a loop, as it was lowered.
    fn chain(&self, expr: &Expr, grid: Grid) -> Result<Evaluated, QueryError> {
        let mut spine = Vec::new();
        let mut at = expr;
        while let Expr::Binary(binary) = at {
            spine.push(binary);
            at = &binary.lhs;
        }
        let mut lhs = self.eval(at, grid)?;
        for binary in spine.into_iter().rev() {
            let rhs = self.eval(&binary.rhs, grid)?;
            self.work(grid.count)?;
            lhs = binary::apply(self, binary, lhs, rhs, grid)?;
        }
        Ok(lhs)
    }

    /// As [`Self::eval`] for an expression that `lower` checked to be a vector.
    pub(crate) fn vector(&self, expr: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        match self.eval(expr, grid)? {
            Evaluated::Vector(columns) => Ok(columns),
            Evaluated::Scalar(_) | Evaluated::Text(_) => {
                Err(QueryError::failed("expected an instant vector"))
            }
        }
    }

    /// As [`Self::eval`] for an expression that `lower` checked to be a scalar.
    pub(crate) fn scalar(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Evaluated::Scalar(values) => Ok(values),
            Evaluated::Vector(_) | Evaluated::Text(_) => Err(QueryError::failed("expected a scalar")),
        }
    }
}
