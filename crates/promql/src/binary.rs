//! Operators between scalars and between a scalar and a vector. Two vectors meet in `matching`.

use std::sync::Arc;

use wellkept_model::Histogram;

use crate::QueryError;
use crate::column::{Cell, Column, Grid, absent, is_absent};
use crate::eval::{Evaluated, Evaluator};
use crate::matching;
use crate::native::{Hints, Mismatch, Native, trim};
use crate::syntax::tree::{Binary, Op};

/// Applies an operator to two values of the kinds that the parser accepted.
pub(crate) fn apply(
    eval: &Evaluator<'_>,
    binary: &Binary,
    lhs: Evaluated,
    rhs: Evaluated,
    grid: Grid,
) -> Result<Evaluated, QueryError> {
    use Evaluated::{Scalar, Vector};
    match (lhs, rhs) {
        (Scalar(a), Scalar(b)) => {
            let both = a.into_iter().zip(b);
            Ok(Scalar(both.map(|(a, b)| floats(binary, a, b, a).unwrap_or(f64::NAN)).collect()))
        }
        (Scalar(a), Vector(columns)) => with_scalar(eval, binary, columns, &a, true).map(Vector),
        (Vector(columns), Scalar(b)) => with_scalar(eval, binary, columns, &b, false).map(Vector),
        (Vector(a), Vector(b)) if binary.op.is_set() => matching::set(eval, binary, a, b, grid).map(Vector),
        (Vector(a), Vector(b)) => matching::join(eval, binary, &a, &b, grid).map(Vector),
        _ => Err(QueryError::failed("an operator cannot take a string")),
    }
}

fn with_scalar(
    eval: &Evaluator<'_>,
    binary: &Binary,
    mut columns: Vec<Column>,
    scalar: &[f64],
    scalar_first: bool,
) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        for (value, scalar) in column.values.iter_mut().zip(scalar).filter(|(v, _)| !is_absent(**v)) {
            let (a, b) = if scalar_first { (*scalar, *value) } else { (*value, *scalar) };
            *value = floats(binary, a, b, *value).unwrap_or_else(|| {
                tell_if_trimmed(eval, binary);
                absent()
            });
        }
        eval.work(scalar.len())?;
        if column.histograms.is_none() {
            continue;
        }
        for (step, scalar) in scalar.iter().enumerate() {
            let Some(histogram) = column.histogram(step).cloned() else { continue };
            let (scalar, histogram) = (Operand::Float(*scalar), Operand::Histogram(&histogram));
            let (a, b) = if scalar_first { (scalar, histogram) } else { (histogram, scalar) };
            let cell = eval.combine(binary, a, b);
            eval.charge_cell(&cell)?;
            column.set(step, cell);
        }
    }
    columns.retain(|c| !c.is_empty());
    if drops_name(binary) { eval.drop_names(columns) } else { Ok(columns) }
}

fn tell_if_trimmed(eval: &Evaluator<'_>, binary: &Binary) {
    if matches!(binary.op, Op::TrimUpper | Op::TrimLower) {
        eval.incompatible(binary, "float", "float");
    }
}

/// Whether the result is no longer a value of the metric itself.
pub(crate) fn drops_name(binary: &Binary) -> bool {
    binary.as_bool || changes_meaning(binary.op)
}

/// Whether the operator gives something else than what it was given.
pub(crate) fn changes_meaning(op: Op) -> bool {
    !(op.is_comparison() || op.is_set() || matches!(op, Op::TrimUpper | Op::TrimLower))
}

/// The value of `a op b`. A comparison that filters gives `kept` when it holds and nothing when it does not.
pub(crate) fn floats(binary: &Binary, a: f64, b: f64, kept: f64) -> Option<f64> {
    match compare(binary.op, a, b) {
        None => arithmetic(binary.op, a, b),
        Some(holds) if binary.as_bool => Some(if holds { 1.0 } else { 0.0 }),
        Some(true) => Some(kept),
        Some(false) => None,
    }
}

#[expect(clippy::float_cmp, reason = "that is what the operator asks for")]
fn compare(op: Op, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        Op::Equal => a == b,
        Op::NotEqual => a != b,
        Op::Greater => a > b,
        Op::GreaterEqual => a >= b,
        Op::Less => a < b,
        Op::LessEqual => a <= b,
        _ => return None,
    })
}

fn arithmetic(op: Op, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Mod => a % b,
        Op::Pow => a.powf(b),
        Op::Atan2 => a.atan2(b),
        // Only histograms can be trimmed; comparisons and set operators never come here.
        _ => return None,
    })
}

/// One side of an operator at one step.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Evaluator<'_> {
    /// `a op b` at one step; for two floats see [`floats`]. What cannot be is told of and gives nothing.
    pub(crate) fn combine(&self, binary: &Binary, a: Operand<'_>, b: Operand<'_>) -> Cell {
        use Operand::{Float, Histogram};
        let (cell, kinds) = match (a, b) {
            (Float(a), Float(b)) => (floats(binary, a, b, a).map(Cell::Float), ("float", "float")),
            (Float(a), Histogram(b)) => (scaled(binary.op, b, a, true), ("float", "histogram")),
            (Histogram(a), Float(b)) => (scaled(binary.op, a, b, false), ("histogram", "float")),
            (Histogram(a), Histogram(b)) => match self.histograms(binary, a, b) {
                Ok(cell) => (cell, ("histogram", "histogram")),
                Err(_) => {
                    let op = binary.op.symbol();
                    self.notes.warn(
                        binary.span,
                        &format!("incompatible bucket layout encountered for binary operator {op}"),
                    );
                    return Cell::None;
                }
            },
        };
        let both_floats = kinds == ("float", "float");
        cell.unwrap_or_else(|| {
            if !both_floats || matches!(binary.op, Op::TrimUpper | Op::TrimLower) {
                self.incompatible(binary, kinds.0, kinds.1);
            }
            Cell::None
        })
    }

    fn incompatible(&self, binary: &Binary, a: &str, b: &str) {
        let op = binary.op.symbol();
        self.notes.info(
            binary.span,
            &format!("incompatible sample types encountered for binary operator {op:?}: {a} {op} {b}"),
        );
    }

    fn histograms(
        &self,
        binary: &Binary,
        a: &Arc<Histogram>,
        b: &Arc<Histogram>,
    ) -> Result<Option<Cell>, Mismatch> {
        let holds = match binary.op {
            Op::Equal => Native::same(a, b),
            Op::NotEqual => !Native::same(a, b),
            Op::Add | Op::Sub => {
                let mut total = Native::from(a.as_ref());
                let other = Native::from(b.as_ref());
                let add = binary.op == Op::Add;
                let operation = if add { "addition" } else { "subtraction" };
                self.notes.reconciled(&total, &other, operation, binary.span);
                let mut hints = Hints::default();
                hints.see(total.hint);
                hints.see(other.hint);
                if hints.collide() {
                    self.notes.collision(operation, binary.span);
                }
                if add {
                    total.add(&other)?
                } else {
                    total.sub(&other)?
                }
                return Ok(Some(Cell::Histogram(total.shared())));
            }
            _ => return Ok(None),
        };
        Ok(Some(match (binary.as_bool, holds) {
            (true, holds) => Cell::Float(f64::from(u8::from(holds))),
            (false, true) => Cell::Histogram(Arc::clone(a)),
            (false, false) => Cell::None,
        }))
    }
}

/// A histogram and a number; nothing where the operator makes no sense for them.
fn scaled(op: Op, h: &Arc<Histogram>, number: f64, number_first: bool) -> Option<Cell> {
    let mut native = Native::from(h.as_ref());
    match op {
        Op::Mul => native.scale(number),
        Op::Div if !number_first => native.divide(number),
        Op::TrimUpper if !number_first => native = trim(&native, number, true),
        Op::TrimLower if !number_first => native = trim(&native, number, false),
        _ => return None,
    }
    Some(Cell::Histogram(native.shared()))
}
