//! Aggregations that are running totals, over whole columns: one series after the other is added to all steps at once.
//! Each step sees its series in the same order as if it were folded by itself, so that sums round in the same way.

use crate::column::{Column, absent, is_absent};
use crate::stats::{self, Sum};
use crate::syntax::tree::AggregateOp;

pub(crate) fn is_total(op: AggregateOp) -> bool {
    use AggregateOp::{Avg, Count, Group, Max, Min, Sum};
    matches!(op, Sum | Avg | Count | Min | Max | Group)
}

/// Folds columns without histograms into `out`, one value per step; true when there is any value.
pub(crate) fn fold(columns: &[Column], op: AggregateOp, out: &mut [f64]) -> bool {
    match op {
        AggregateOp::Sum => sums(columns, out, |sum, _| sum.total()),
        AggregateOp::Avg => means(columns, out),
        AggregateOp::Count => counts(columns, out),
        AggregateOp::Group => each(columns, out, |_, _| 1.0),
        AggregateOp::Min => {
            each(columns, out, |least, v| if v < least || least.is_nan() { v } else { least })
        }
        _ => each(columns, out, |most, v| if v > most || most.is_nan() { v } else { most }),
    }
    out.iter().any(|v| !is_absent(*v))
}

/// A fold whose state is the result itself; the first value goes through it twice.
fn each(columns: &[Column], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for column in columns {
        for (so_far, value) in out.iter_mut().zip(&column.values).filter(|(_, v)| !is_absent(**v)) {
            *so_far = if is_absent(*so_far) { f(*value, *value) } else { f(*so_far, *value) };
        }
    }
}

fn counts(columns: &[Column], out: &mut [f64]) {
    for column in columns {
        for (count, _) in out.iter_mut().zip(&column.values).filter(|(_, v)| !is_absent(**v)) {
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
}

fn sums(columns: &[Column], out: &mut [f64], total: impl Fn(Sum, f64) -> f64) {
    let mut states = vec![(Sum::default(), 0.0); out.len()];
    for column in columns {
        for ((sum, count), value) in states.iter_mut().zip(&column.values).filter(|(_, v)| !is_absent(**v)) {
            sum.add(*value);
            *count += 1.0;
        }
    }
    for (at, (sum, count)) in out.iter_mut().zip(states) {
        *at = if count == 0.0 { absent() } else { total(sum, count) };
    }
}

fn means(columns: &[Column], out: &mut [f64]) {
    sums(columns, out, Sum::mean);
    // A sum that left the numbers is averaged step by step, or was infinite from the start.
    for (step, at) in out.iter_mut().enumerate().filter(|(_, v)| !v.is_finite() && !is_absent(**v)) {
        *at = stats::mean(columns.iter().filter_map(|c| c.float(step)));
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::Labels;

    use super::*;

    fn check(op: AggregateOp, columns: &[[f64; 3]], wanted: [f64; 3]) {
        let column =
            |values: &[f64; 3]| Column { values: values.to_vec(), ..Column::empty(Labels::default(), 0) };
        let columns: Vec<Column> = columns.iter().map(column).collect();
        let mut out = vec![absent(); 3];
        fold(&columns, op, &mut out);
        let bits = |v: &[f64]| {
            v.iter().map(|v| if v.is_nan() { f64::NAN } else { *v }.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(&out), bits(&wanted), "{op:?}: {out:?}");
    }

    #[test]
    fn a_total_is_taken_at_each_step() {
        let columns = [[1.0, absent(), f64::NAN], [3.0, 5.0, 2.0], [1e300, absent(), 4.0]];
        check(AggregateOp::Sum, &columns, [1e300, 5.0, f64::NAN]);
        check(AggregateOp::Count, &columns, [3.0, 1.0, 3.0]);
        check(AggregateOp::Min, &columns, [1.0, 5.0, 2.0]);
        check(AggregateOp::Max, &columns, [1e300, 5.0, 4.0]);
        check(AggregateOp::Group, &columns, [1.0, 1.0, 1.0]);
        check(AggregateOp::Avg, &[[f64::MAX; 3], [f64::MAX; 3]], [f64::MAX; 3]);
        check(AggregateOp::Avg, &[[1.0; 3], [2.0; 3]], [1.5; 3]);
        check(AggregateOp::Sum, &[[absent(); 3]], [absent(); 3]);
    }
}
