//! What one target gave at one instant, resolved: the unit that moves from the doors to head and log.
//!
//! A row is made once, outside of every lock, and then shared: the head and the log's queue hold the same one. A
//! series is a *slot* of its target group; slots are only ever added, so a slot keeps its meaning.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use wellkept_model::{Histogram, Labels};

use crate::fingerprint::Fingerprint;

/// Name and slots of one target group. When too many of its series have ended, the head begins a new one in its
/// place and this one stays as it was.
#[derive(Debug)]
pub(crate) struct GroupDef {
    /// Place in the head while the head has it.
    pub(crate) index: u32,
    pub(crate) target: Labels,
    series: RwLock<Vec<Labels>>,
    /// Names of the series' bytes on the wire, by slot; 0 where none is known. A client sends a target's series in the same
    /// order every time, so the next one is nearly always the next slot's.
    names: RwLock<Arc<Vec<Fingerprint>>>,
}

impl GroupDef {
    pub(crate) fn new(index: u32, target: Labels) -> Self {
        Self { index, target, series: RwLock::default(), names: RwLock::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.labels().len()
    }

    /// Labels by slot.
    pub(crate) fn labels(&self) -> RwLockReadGuard<'_, Vec<Labels>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the series on the wire, by slot.
    pub(crate) fn names(&self) -> Arc<Vec<Fingerprint>> {
        Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says how a series is called on the wire.
    pub(crate) fn name(&self, slot: u32, name: Fingerprint) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = Arc::make_mut(&mut names);
        if names.len() <= slot as usize {
            names.resize(slot as usize + 1, 0);
        }
        if let Some(place) = names.get_mut(slot as usize) {
            *place = name;
        }
    }

    /// Adds a series and gives its slot.
    pub(crate) fn add(&self, labels: Labels) -> u32 {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.push(labels);
        series.len() as u32 - 1
    }
}

/// A native histogram with its slot.
pub(crate) type RowHistogram = (u32, Arc<Histogram>);

/// Samples of one group at one time. Every slot at most once among the values, and among the histograms.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) at: i64,
    /// Slots of the values, rising; empty when they are 0, 1, 2, …
    slots: Box<[u32]>,
    values: Box<[f64]>,
    pub(crate) histograms: Vec<RowHistogram>,
}

impl Row {
    /// A row of cells in any order; the last of two for one slot holds.
    pub(crate) fn new(at: i64, mut cells: Vec<(u32, f64)>, mut histograms: Vec<RowHistogram>) -> Self {
        if !cells.is_sorted_by(|a, b| a.0 < b.0) {
            cells.sort_by_key(|c| c.0);
            keep_last(&mut cells);
        }
        if !histograms.is_sorted_by(|a, b| a.0 < b.0) {
            histograms.sort_by_key(|h| h.0);
            keep_last(&mut histograms);
        }
        Self::of_sorted(at, &cells, histograms)
    }

    /// A row of cells whose slots rise strictly.
    pub(crate) fn of_sorted(at: i64, cells: &[(u32, f64)], histograms: Vec<RowHistogram>) -> Self {
        let dense = cells.last().is_none_or(|c| c.0 as usize + 1 == cells.len());
        let slots = if dense { Box::default() } else { cells.iter().map(|c| c.0).collect() };
        Self { at, slots, values: cells.iter().map(|c| c.1).collect(), histograms }
    }

    /// Samples in it.
    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.histograms.len()
    }

    /// Number of values.
    pub(crate) fn n_values(&self) -> usize {
        self.values.len()
    }

    /// True when the values are those of slots 0, 1, 2, …
    pub(crate) fn is_dense(&self) -> bool {
        self.slots.is_empty()
    }

    /// Slots and values, slots rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f64)> {
        let slots = self.slots.iter().copied().chain(if self.is_dense() { 0..u32::MAX } else { 0..0 });
        slots.zip(self.values.iter().copied())
    }

    /// The slot after the last one that has a value.
    pub(crate) fn slots_end(&self) -> Option<u32> {
        let dense = u32::try_from(self.values.len()).ok().filter(|&n| n > 0);
        self.slots.last().map(|s| s + 1).or(dense)
    }

    /// The value of one slot.
    pub(crate) fn get(&self, slot: u32) -> Option<f64> {
        let place = if self.is_dense() { slot as usize } else { self.slots.binary_search(&slot).ok()? };
        self.values.get(place).copied()
    }

    /// The histogram of one slot.
    pub(crate) fn histogram(&self, slot: u32) -> Option<&Arc<Histogram>> {
        let place = self.histograms.binary_search_by_key(&slot, |h| h.0).ok()?;
        self.histograms.get(place).map(|h| &h.1)
    }

    /// The same samples under other slots; those without one are left out.
    pub(crate) fn renamed(&self, mut slot: impl FnMut(u32) -> Option<u32>) -> Self {
        let cells = self.iter().filter_map(|(s, v)| Some((slot(s)?, v))).collect();
        let histograms =
            self.histograms.iter().filter_map(|(s, h)| Some((slot(*s)?, Arc::clone(h)))).collect();
        Self::new(self.at, cells, histograms)
    }

    /// Memory that it takes, bytes.
    pub(crate) fn memory(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|h| 16 + crate::histogram::memory(&h.1)).sum();
        // Two counters of the shared pointer, and what the allocator adds to three allocations.
        size_of::<Self>() + 16 + 32 + self.slots.len() * 4 + self.values.len() * 8 + histograms
    }
}

fn keep_last<T>(items: &mut Vec<(u32, T)>) {
    items.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}

/// A row on its way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) group: Arc<GroupDef>,
    pub(crate) row: Arc<Row>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_values_for_one_slot_holds() {
        let row = Row::new(5, vec![(2, 1.0), (0, 3.0), (2, 4.0), (1, 9.0)], Vec::new());
        assert!(row.is_dense());
        assert_eq!(row.iter().collect::<Vec<_>>(), [(0, 3.0), (1, 9.0), (2, 4.0)]);
        let row = Row::new(5, vec![(2, 1.0), (7, 3.0)], Vec::new());
        assert!(!row.is_dense());
        assert_eq!(row.iter().collect::<Vec<_>>(), [(2, 1.0), (7, 3.0)]);
        assert_eq!((row.get(7), row.get(1), row.get(0)), (Some(3.0), None, None));
    }

    #[test]
    fn a_row_without_values_has_none() {
        assert_eq!(Row::new(0, Vec::new(), Vec::new()).iter().count(), 0);
    }
}
