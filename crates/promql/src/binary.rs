//! Operators between scalars and between a scalar and a vector. Two vectors meet in `matching`.

use crate::QueryError;
use crate::column::{Column, Grid, absent, drop_names, is_absent};
use crate::eval::{Evaluated, Evaluator};
use crate::expr::{Binary, Op};
use crate::matching;

/// Applies an operator to two values of the kinds that `lower` accepted.
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
            Ok(Scalar(both.map(|(a, b)| combine(binary, a, b, a).unwrap_or(f64::NAN)).collect()))
        }
        (Scalar(a), Vector(columns)) => {
            with_scalar(eval, binary, columns, &a, |s, v| combine(binary, s, v, v)).map(Vector)
        }
        (Vector(columns), Scalar(b)) => {
            with_scalar(eval, binary, columns, &b, |s, v| combine(binary, v, s, v)).map(Vector)
        }
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
    combine: impl Fn(f64, f64) -> Option<f64>,
) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        for (value, scalar) in column.values.iter_mut().zip(scalar).filter(|(v, _)| !is_absent(**v)) {
            *value = combine(*scalar, *value).unwrap_or_else(absent);
        }
        eval.work(scalar.len())?;
    }
    columns.retain(|c| !c.is_empty());
    if drops_name(binary) { drop_names(columns) } else { Ok(columns) }
}

/// Whether the result is no longer a value of the metric itself.
pub(crate) fn drops_name(binary: &Binary) -> bool {
    binary.as_bool || !(binary.op.is_comparison() || binary.op.is_set())
}

/// The value of `a op b`. A comparison that filters gives `kept` when it holds and nothing when it does not.
pub(crate) fn combine(binary: &Binary, a: f64, b: f64, kept: f64) -> Option<f64> {
    match compare(binary.op, a, b) {
        None => Some(arithmetic(binary.op, a, b)),
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

fn arithmetic(op: Op, a: f64, b: f64) -> f64 {
    match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Mod => a % b,
        Op::Pow => a.powf(b),
        Op::Atan2 => a.atan2(b),
        // Comparisons and set operators never come here.
        _ => f64::NAN,
    }
}
