//! The table by which series are recognised from their bytes on the wire.
//!
//! In pieces, each with a lock of its own that is held for one look: requests of several clients hardly ever wait for
//! each other. A piece that is full is emptied; what is still sent finds its way back by its labels.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

use crate::fingerprint::{Fingerprint, Key};
use crate::row::GroupDef;

const PIECES: usize = 16;

struct Wire {
    name: Fingerprint,
    group: Arc<GroupDef>,
    slot: u32,
}

/// A series that was found.
pub(crate) enum Known {
    /// In the group that the caller named; its slot.
    Same(u32),
    /// In this group.
    Other(Arc<GroupDef>, u32),
}

pub(crate) struct Wires {
    key: Key,
    pieces: [RwLock<HashTable<Wire>>; PIECES],
    /// Most series of one piece.
    piece_max: usize,
}

impl Wires {
    pub(crate) fn new(series_max: usize) -> Self {
        let pieces = std::array::from_fn(|_| RwLock::default());
        Self { key: Key::random(), pieces, piece_max: series_max.div_ceil(PIECES).max(1) }
    }

    pub(crate) fn name(&self, door: u8, wire: &[u8]) -> Option<Fingerprint> {
        self.key.name(door, wire)
    }

    /// Looks for a series. `last`: the group in which it most likely is.
    pub(crate) fn find(&self, name: Fingerprint, last: Option<&Arc<GroupDef>>) -> Option<Known> {
        let piece = self.piece(name).read().unwrap_or_else(PoisonError::into_inner);
        let found = piece.find(name as u64, |w| w.name == name)?;
        Some(if last.is_some_and(|g| Arc::ptr_eq(g, &found.group)) {
            Known::Same(found.slot)
        } else {
            Known::Other(Arc::clone(&found.group), found.slot)
        })
    }

    pub(crate) fn remember(&self, name: Fingerprint, group: &Arc<GroupDef>, slot: u32) {
        group.name(slot, name);
        let mut piece = self.piece(name).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = piece.find_mut(name as u64, |w| w.name == name) {
            (found.group, found.slot) = (Arc::clone(group), slot);
            return;
        }
        if piece.len() >= self.piece_max {
            piece.clear();
        }
        let wire = Wire { name, group: Arc::clone(group), slot };
        piece.insert_unique(name as u64, wire, |w| w.name as u64);
    }

    /// Forgets series of groups that `keep` does not know.
    pub(crate) fn retain(&self, keep: impl Fn(&Arc<GroupDef>) -> bool) {
        for piece in &self.pieces {
            piece.write().unwrap_or_else(PoisonError::into_inner).retain(|w| keep(&w.group));
        }
    }

    fn piece(&self, name: Fingerprint) -> &RwLock<HashTable<Wire>> {
        let [first, ..] = &self.pieces;
        // Bits that the table itself does not use.
        self.pieces.get((name >> 100) as usize % PIECES).unwrap_or(first)
    }
}
