//! The value that flows between expressions: series as columns over the steps of one grid.

use std::collections::HashMap;

use wellkept_model::{Labels, METRIC_NAME, is_stale, stale_marker};

use crate::QueryError;

/// The instants that an expression is evaluated at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    /// First instant, milliseconds.
    pub(crate) start: i64,
    /// Milliseconds between two instants, at least 1.
    pub(crate) step: i64,
    /// Number of instants; zero is possible in subqueries.
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.time(i))
    }

    pub(crate) fn time(self, i: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i64::try_from(i).unwrap_or(i64::MAX)))
    }

    pub(crate) fn end(self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }
}

/// The value of a step that has none. No arithmetic yields these bits, and the store's own stale markers mean the
/// same, so that a column needs no second array.
pub(crate) fn absent() -> f64 {
    stale_marker()
}

pub(crate) fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// One series over the grid: one value per step, [`absent`] where it has none.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<f64>,
}

impl Column {
    pub(crate) fn empty(labels: Labels, count: usize) -> Self {
        Self { labels, values: vec![absent(); count] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
    }

    /// Applies `f` to every value that is there.
    pub(crate) fn map(mut self, mut f: impl FnMut(f64) -> f64) -> Self {
        for value in self.values.iter_mut().filter(|v| !is_absent(**v)) {
            *value = f(*value);
        }
        self
    }
}

/// The labels without the metric name.
pub(crate) fn nameless(labels: &Labels) -> Labels {
    labels.filter(|n| n != METRIC_NAME)
}

/// Drops the metric name of every column; columns that become one are merged.
pub(crate) fn drop_names(mut columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        if !column.labels.name().is_empty() {
            column.labels = nameless(&column.labels);
        }
    }
    merge(columns, |_| "vector cannot contain metrics with the same labelset".to_owned())
}

/// Merges columns with equal labels that have values at different steps. Two values at one step are an error with
/// the text that `clash` gives.
pub(crate) fn merge(
    columns: Vec<Column>,
    clash: impl Fn(&Labels) -> String,
) -> Result<Vec<Column>, QueryError> {
    let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(columns.len());
    let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        if let Some(into) = seen.get(&column.labels).and_then(|i| merged.get_mut(*i)) {
            for (a, b) in into.values.iter_mut().zip(&column.values).filter(|(_, b)| !is_absent(**b)) {
                if !is_absent(*a) {
                    return Err(QueryError::failed(clash(&column.labels)));
                }
                *a = *b;
            }
        } else {
            seen.insert(column.labels.clone(), merged.len());
            merged.push(column);
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(labels: &[(&str, &str)], values: &[f64]) -> Column {
        Column { labels: Labels::new(labels.iter().copied()), values: values.to_vec() }
    }

    #[test]
    fn series_that_follow_each_other_become_one_when_their_names_go() {
        let a = column(&[("__name__", "a"), ("h", "1")], &[1.0, absent()]);
        let b = column(&[("__name__", "b"), ("h", "1")], &[absent(), 2.0]);
        let got = drop_names(vec![a, b]).unwrap();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].values, [1.0, 2.0]);
    }

    #[test]
    fn two_values_of_one_series_at_one_step_are_an_error() {
        let a = column(&[("__name__", "a")], &[1.0]);
        let b = column(&[("__name__", "b")], &[2.0]);
        assert_eq!(drop_names(vec![a, b]).unwrap_err().error_type(), "execution");
    }

    #[test]
    fn an_ordinary_nan_is_a_value() {
        assert!(!is_absent(f64::NAN));
        assert!(is_absent(absent()));
    }
}
