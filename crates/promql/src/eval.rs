//! Evaluation of a checked query: what one query shares (source, limits, budget, notes) and the walk over the tree.

use std::cell::Cell as Counter;

use wellkept_model::{Labels, SeriesSource};

use crate::column::{Cell, Column, Grid};
use crate::native::Native;
use crate::notes::Notes;
use crate::select::{Pick, histogram_size};
use crate::syntax::duration::{Scale, Time};
use crate::syntax::token::Span;
use crate::syntax::tree::Expr;
use crate::{Limits, QueryError, binary};

/// How much work lies between two looks at `cancelled`: about a tenth of a millisecond.
const WORK_BETWEEN_CHECKS: usize = 1 << 16;

/// A value on its way, over the steps of a grid.
#[derive(Debug)]
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Column>),
}

/// What one evaluation shares.
pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a dyn SeriesSource,
    pub(crate) limits: &'a Limits,
    cancelled: &'a dyn Fn() -> bool,
    /// First and last step of the whole query, milliseconds, for `@ start()` and `@ end()`.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Milliseconds between two steps of the whole query; 0 for an instant.
    pub(crate) step: i64,
    /// Samples loaded and computed so far.
    pub(crate) spent: Counter<usize>,
    worked: Counter<usize>,
    pub(crate) notes: Notes,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        source: &'a dyn SeriesSource,
        limits: &'a Limits,
        cancelled: &'a dyn Fn() -> bool,
        grid: Grid,
        step: i64,
    ) -> Self {
        Self {
            source,
            limits,
            cancelled,
            first: grid.start,
            last: grid.end(),
            step,
            spent: Counter::new(0),
            worked: Counter::new(0),
            notes: Notes::default(),
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

    /// Pays for a histogram that was made on the way; floats are paid for with their column.
    pub(crate) fn charge_cell(&self, cell: &Cell) -> Result<(), QueryError> {
        match cell {
            Cell::Histogram(histogram) => self.charge(histogram_size(histogram)),
            Cell::None | Cell::Float(_) => Ok(()),
        }
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

    /// Milliseconds of a duration in the query.
    pub(crate) fn ms(&self, time: &Time, positive: bool) -> Result<i64, QueryError> {
        let scale = Scale {
            step: crate::syntax::number::seconds(self.step),
            range: crate::syntax::number::seconds(self.last.saturating_sub(self.first)),
        };
        time.ms(scale, positive).map_err(QueryError::bad)
    }

    /// Evaluates an expression at all steps. The parser has bounded the recursion.
    pub(crate) fn eval(&self, expr: &Expr, grid: Grid) -> Result<Evaluated, QueryError> {
        match expr {
            Expr::Number(n) => Ok(Evaluated::Scalar(vec![n.value; grid.count])),
            Expr::Text { value, .. } => Ok(Evaluated::Text(value.clone())),
            Expr::Vector(selector) => {
                Ok(Evaluated::Vector(self.instant_vector(selector, grid, Pick::Value)?))
            }
            // Only a function takes a range, and it asks for it by `ranges`.
            Expr::Range(_) => Err(QueryError::failed("a range vector is no value by itself here")),
            Expr::Paren { inner, .. } | Expr::Sign { minus: false, inner, .. } => self.eval(inner, grid),
            Expr::Sign { inner, span, .. } => self.negate(inner, grid, *span),
            Expr::Binary(_) => self.chain(expr, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid).map(Evaluated::Vector),
            Expr::Call(call) => self.call(call, grid),
        }
    }

    fn negate(&self, inner: &Expr, grid: Grid, _: Span) -> Result<Evaluated, QueryError> {
        match self.eval(inner, grid)? {
            Evaluated::Scalar(values) => Ok(Evaluated::Scalar(values.into_iter().map(|v| -v).collect())),
            Evaluated::Vector(mut columns) => {
                for column in &mut columns {
                    self.work(grid.count)?;
                    for step in 0..grid.count {
                        match column.cell(step) {
                            Cell::None => {}
                            Cell::Float(value) => column.set(step, Cell::Float(-value)),
                            Cell::Histogram(histogram) => {
                                let mut native = Native::from(histogram.as_ref());
                                native.scale(-1.0);
                                let cell = Cell::Histogram(native.shared());
                                self.charge_cell(&cell)?;
                                column.set(step, cell);
                            }
                        }
                    }
                }
                Ok(Evaluated::Vector(self.drop_names(columns)?))
            }
            text @ Evaluated::Text(_) => Ok(text),
        }
    }

    /// `a + b + c`: the left side in a loop, as it was read.
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

    /// As [`Self::eval`] for an expression that the parser checked to be a vector.
    pub(crate) fn vector(&self, expr: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        match self.eval(expr, grid)? {
            Evaluated::Vector(columns) => Ok(columns),
            Evaluated::Scalar(_) | Evaluated::Text(_) => {
                Err(QueryError::failed("expected an instant vector"))
            }
        }
    }

    /// As [`Self::eval`] for an expression that the parser checked to be a scalar.
    pub(crate) fn scalar(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Evaluated::Scalar(values) => Ok(values),
            Evaluated::Vector(_) | Evaluated::Text(_) => Err(QueryError::failed("expected a scalar")),
        }
    }
}
