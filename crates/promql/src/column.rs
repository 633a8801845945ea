//! The value that flows between expressions: series as columns over the steps of one grid.

use std::sync::Arc;

use wellkept_model::{Histogram, Labels, is_stale, stale_marker};

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

/// What a column has at one step.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    None,
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Cell {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// One series over the grid: at each step a float, a histogram, or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) labels: Labels,
    /// Its value is no longer that of the metric itself: the name is to go, and counts as gone (see `Names`).
    pub(crate) nameless: bool,
    /// One per step, [`absent`] where there is no float.
    pub(crate) values: Vec<f64>,
    /// One per step, when there are any: most series never have one.
    pub(crate) histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

impl Column {
    pub(crate) fn empty(labels: Labels, count: usize) -> Self {
        Self { labels, nameless: false, values: vec![absent(); count], histograms: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
            && self.histograms.as_ref().is_none_or(|h| h.iter().all(Option::is_none))
    }

    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref()?.get(step)?.as_ref()
    }

    pub(crate) fn float(&self, step: usize) -> Option<f64> {
        self.values.get(step).copied().filter(|v| !is_absent(*v))
    }

    pub(crate) fn cell(&self, step: usize) -> Cell {
        match (self.float(step), self.histogram(step)) {
            (Some(value), _) => Cell::Float(value),
            (None, Some(histogram)) => Cell::Histogram(Arc::clone(histogram)),
            (None, None) => Cell::None,
        }
    }

    pub(crate) fn has(&self, step: usize) -> bool {
        self.float(step).is_some() || self.histogram(step).is_some()
    }

    pub(crate) fn set(&mut self, step: usize, cell: Cell) {
        let count = self.values.len();
        let (value, histogram) = match cell {
            Cell::None => (absent(), None),
            Cell::Float(value) => (value, None),
            Cell::Histogram(histogram) => (absent(), Some(histogram)),
        };
        if let Some(at) = self.values.get_mut(step) {
            *at = value;
        }
        if histogram.is_some() && self.histograms.is_none() {
            self.histograms = Some(vec![None; count]);
        }
        if let Some(at) = self.histograms.as_mut().and_then(|h| h.get_mut(step)) {
            *at = histogram;
        }
    }

    /// Takes the value of one step away.
    pub(crate) fn clear(&mut self, step: usize) {
        self.set(step, Cell::None);
    }

    /// Applies `f` to every float; histograms go.
    pub(crate) fn map(mut self, mut f: impl FnMut(f64) -> f64) -> Self {
        for value in self.values.iter_mut().filter(|v| !is_absent(**v)) {
            *value = f(*value);
        }
        self.histograms = None;
        self
    }

    /// Copies the values of another column where it has some; false when both have one at a step.
    pub(crate) fn overlay(&mut self, other: &Self) -> bool {
        for (step, value) in other.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            if self.has(step) {
                return false;
            }
            self.set(step, Cell::Float(*value));
        }
        for (step, histogram) in other.histograms.iter().flatten().enumerate() {
            let Some(histogram) = histogram else { continue };
            if self.has(step) {
                return false;
            }
            self.set(step, Cell::Histogram(Arc::clone(histogram)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_nan_is_a_value() {
        assert!(!is_absent(f64::NAN));
        assert!(is_absent(absent()));
    }

    #[test]
    fn columns_are_laid_over_each_other_where_they_do_not_meet() {
        let mut a = Column::empty(Labels::default(), 2);
        let mut b = a.clone();
        a.set(0, Cell::Float(1.0));
        b.set(1, Cell::Histogram(Arc::default()));
        assert!(a.overlay(&b));
        assert!(a.has(0) && a.histogram(1).is_some());
        assert!(!a.overlay(&b));
    }
}
