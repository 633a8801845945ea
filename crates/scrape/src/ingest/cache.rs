//! What is remembered of a target between two scrapes: lines, series, and which of them have to end.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::{Histogram, Labels, stale_marker};

use super::Families;
use crate::seam::Scraped;

/// Lines beyond twice those of the last good scrape and this are forgotten although no good scrape has come since.
const UNSEEN_ROOM: usize = 1000;

/// What is known of a line by its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its series; `None` when rules drop it.
    pub(super) slot: Option<u32>,
    /// When it was last seen.
    pub(super) round: u64,
}

/// One series.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) labels: Labels,
    /// The last scrape that had a sample of it.
    pub(super) seen: u64,
    /// The last scrape after which it had to be followed.
    pub(super) tracked: u64,
    pub(super) is_histogram: bool,
}

/// What one target gave before.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Number of the scrape under way; 0 before the first.
    pub(super) round: u64,
    pub(super) wires: HashMap<Box<[u8]>, Known>,
    /// How many of `wires` the scrape under way has seen.
    pub(super) wires_seen: usize,
    /// Lines of the last good scrape.
    wires_good: usize,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32>,
    /// Series that end when they are not seen again.
    tracked: Vec<u32>,
    pub(super) families: Families,
}

impl Cache {
    /// Forgets how lines become series, because the rules have changed. Which series exist is still known, so those
    /// that the new rules do not make any more end.
    pub(crate) fn forget_lines(&mut self) {
        self.wires.clear();
    }

    pub(super) fn labels(&self, slot: u32) -> Option<Labels> {
        Some(self.slots.get(slot as usize)?.as_ref()?.labels.clone())
    }

    pub(super) fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Series of the last scrape that are followed: about as many as the next one will have.
    pub(super) fn tracked_len(&self) -> usize {
        self.tracked.len()
    }

    pub(super) fn slots_used(&self) -> usize {
        self.by_labels.len()
    }

    /// The slot of a series, new or not.
    pub(super) fn slot(&mut self, labels: Labels) -> u32 {
        if let Some(slot) = self.by_labels.get(&labels) {
            return *slot;
        }
        let new = Slot { labels: labels.clone(), seen: 0, tracked: 0, is_histogram: false };
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(at as usize) {
            *place = Some(new);
        }
        self.by_labels.insert(labels, at);
        at
    }

    pub(super) fn remember(&mut self, wire: &[u8], known: Known) {
        self.wires.insert(wire.into(), known);
        self.wires_seen += 1;
    }

    /// Ends a scrape: series that were followed and are not in `tracked` get stale markers, and what a `good` scrape
    /// did not have is forgotten.
    pub(super) fn end(&mut self, good: bool, tracked: Vec<u32>, scraped: &mut Scraped) {
        for slot in std::mem::replace(&mut self.tracked, tracked) {
            let Some(Some(gone)) = self.slots.get(slot as usize) else { continue };
            if gone.seen == self.round {
                continue;
            }
            if gone.is_histogram {
                let marker = Histogram { sum: stale_marker(), ..Histogram::default() };
                scraped.batch.histograms.push((gone.labels.clone(), Arc::new(marker)));
            } else {
                scraped.batch.samples.push((gone.labels.clone(), stale_marker()));
            }
        }
        if good {
            self.forget_lines_not_seen();
        } else {
            self.forget_when_many();
        }
    }

    fn forget_lines_not_seen(&mut self) {
        let round = self.round;
        if self.wires_seen != self.wires.len() {
            self.wires.retain(|_, known| known.round == round);
        }
        self.wires_good = self.wires.len();
        self.wires_seen = 0;
        self.forget_series();
    }

    /// After a scrape that failed its lines are kept, because the next one will most likely have the same; but not
    /// without a bound.
    fn forget_when_many(&mut self) {
        self.wires_seen = 0;
        if self.wires.len() > self.wires_good * 2 + UNSEEN_ROOM {
            self.wires.clear();
            self.forget_series();
        }
    }

    /// Drops series that no line and no stale marker to come needs.
    fn forget_series(&mut self) {
        if self.by_labels.len() <= self.wires.len() && self.by_labels.len() <= self.tracked.len() {
            return;
        }
        let mut needed = vec![false; self.slots.len()];
        let lines = self.wires.values().filter_map(|known| known.slot);
        for slot in lines.chain(self.tracked.iter().copied()) {
            if let Some(needed) = needed.get_mut(slot as usize) {
                *needed = true;
            }
        }
        for (at, (place, needed)) in self.slots.iter_mut().zip(needed).enumerate() {
            if !needed && let Some(slot) = place.take() {
                self.by_labels.remove(&slot.labels);
                self.free.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
    }
}
