//! What the simulated disk remembers: two planes of content and names, and what a power cut leaves of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Damage;

/// The unit that a disk writes as a whole, bytes.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Appended and not synced: offset and length in `live`.
    pub(super) unsynced: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

impl NameChange {
    pub(super) fn touches(&self, dir: &str) -> bool {
        match self {
            Self::Link(name, _) | Self::Unlink(name) => folder(name) == dir,
            Self::Rename(from, to) => folder(from) == dir || folder(to) == dir,
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) changes: Vec<NameChange>,
    pub(super) locks: BTreeSet<String>,
    pub(super) ops: u64,
    pub(super) fail: Option<(u64, io::ErrorKind)>,
    /// Copies after each changing call, when recording.
    pub(super) history: Option<Vec<Plane>>,
}

impl Plane {
    pub(super) fn check(&self, needs_room: bool) -> io::Result<()> {
        match self.fail {
            Some((from, kind)) if self.ops >= from && (needs_room || kind != io::ErrorKind::StorageFull) => {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn number(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn inode(&mut self, name: &str) -> io::Result<&mut Inode> {
        let index = self.number(name)?;
        self.inodes.get_mut(index).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn rename_change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }
}

impl Inode {
    pub(super) fn sync(&mut self) {
        for (offset, len) in std::mem::take(&mut self.unsynced) {
            self.promote(offset, len);
        }
    }

    /// Copies a stretch to the durable plane; a hole before it is zeros.
    pub(super) fn promote(&mut self, offset: usize, len: usize) {
        let Some(bytes) = self.live.get(offset..offset + len) else { return };
        if self.durable.len() < offset + len {
            self.durable.resize(offset + len, 0);
        }
        if let Some(to) = self.durable.get_mut(offset..offset + len) {
            to.copy_from_slice(bytes);
        }
    }

    pub(super) fn after(&self, damage: Damage, dice: &mut Dice) -> Vec<u8> {
        match damage {
            Damage::DropUnsynced => self.durable.clone(),
            Damage::NamesLost => {
                let mut copy = self.clone();
                copy.sync();
                copy.durable
            }
            Damage::Torn => {
                let mut copy = self.clone();
                copy.sync();
                let extra = copy.durable.len() - self.durable.len();
                let keep = self.durable.len() + dice.below(extra + 1);
                let cut = if dice.coin() { keep } else { keep / SECTOR * SECTOR };
                copy.durable.truncate(cut.max(self.durable.len()));
                copy.durable
            }
            Damage::RandomSubset => {
                let mut copy = self.clone();
                for (offset, len) in std::mem::take(&mut copy.unsynced) {
                    let mut at = offset;
                    while at < offset + len {
                        let end = ((at / SECTOR + 1) * SECTOR).min(offset + len);
                        if dice.coin() {
                            copy.promote(at, end - at);
                        }
                        at = end;
                    }
                }
                copy.durable
            }
        }
    }
}

pub(super) fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A small generator (SplitMix64), so that a state can be named by its seed.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.roll() % limit as u64) as usize }
    }

    /// True in half of the cases.
    pub fn coin(&mut self) -> bool {
        self.roll() & 1 == 1
    }
}
