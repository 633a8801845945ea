//! A disk in memory that loses power: for the tests of everything that writes through [`Disk`].
//!
//! It has two planes. The *live* plane is what calls see. The *durable* plane is what a power cut leaves: file
//! content reaches it by a sync of the file, a name only by a sync of its folder. [`SimDisk::crash`] gives the
//! disk as it would be found afterwards, under one [`Damage`]. With [`SimDisk::record`] on, the disk keeps a copy
//! of itself after every changing call, so one run of a workload yields the crash state at each of its
//! operations.
//!
//! What it does not model: bad sectors (tests flip bytes with [`SimDisk::corrupt`]) and folders that vanish.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile, DiskLock, DiskReader};

mod plane;

pub use plane::Dice;
use plane::{Inode, NameChange, Plane, folder};

/// What a power cut does to the calls that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Everything that was not synced is gone: content and names.
    DropUnsynced,
    /// Names are there; of unsynced content a random first part is, cut at a sector.
    Torn,
    /// Each unsynced sector and each unsynced change of a name is there or not, at random; holes are zeros.
    RandomSubset,
    /// Content is there, unsynced changes of names are gone.
    NamesLost,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::DropUnsynced, Self::Torn, Self::RandomSubset, Self::NamesLost];
}

/// A disk in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<Plane>>);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changing calls were made.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.plane().ops
    }

    /// Starts to keep a copy after every changing call.
    pub fn record(&self) {
        self.plane().history = Some(Vec::new());
    }

    /// The copies kept since [`Self::record`]: the disk after each changing call, oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<SimDisk> {
        let history = self.plane().history.clone().unwrap_or_default();
        history.into_iter().map(|p| Self(Arc::new(Mutex::new(p)))).collect()
    }

    /// Makes every changing call fail from the one with number `op` on (counted as [`Self::ops`]).
    /// [`io::ErrorKind::StorageFull`] spares removing, renaming and syncing, as a full disk does.
    pub fn fail_from(&self, op: u64, kind: io::ErrorKind) {
        self.plane().fail = Some((op, kind));
    }

    /// Ends [`Self::fail_from`].
    pub fn heal(&self) {
        self.plane().fail = None;
    }

    /// The disk as it is found after a power cut now. `seed` decides what `damage` leaves open.
    #[must_use]
    pub fn crash(&self, damage: Damage, seed: u64) -> Self {
        let plane = self.plane();
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ plane.ops);
        let mut names = plane.durable_names.clone();
        for change in &plane.changes {
            let kept = match damage {
                Damage::DropUnsynced | Damage::NamesLost => false,
                Damage::Torn => true,
                Damage::RandomSubset => dice.coin(),
            };
            if kept {
                change.apply(&mut names);
            }
        }
        let content: Vec<Vec<u8>> = plane.inodes.iter().map(|i| i.after(damage, &mut dice)).collect();
        let mut after = Plane::default();
        for (name, inode) in names {
            let bytes = content.get(inode).cloned().unwrap_or_default();
            after.names.insert(name, after.inodes.len());
            after.inodes.push(Inode { durable: bytes.clone(), live: bytes, unsynced: Vec::new() });
        }
        after.durable_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// A copy that shares nothing, with all locks open: what another process would find after a `kill -9`.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut plane = self.plane().clone();
        plane.locks.clear();
        plane.history = None;
        Self(Arc::new(Mutex::new(plane)))
    }

    /// Changes the content of a file behind the store's back: `change` gets all its bytes.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut plane = self.plane();
        if let Some(inode) = plane.names.get(name).copied().and_then(|i| plane.inodes.get_mut(i)) {
            change(&mut inode.live);
            inode.durable = inode.live.clone();
            inode.unsynced.clear();
        }
    }

    /// All names, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.plane().names.keys().cloned().collect()
    }

    fn plane(&self) -> MutexGuard<'_, Plane> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs one changing call; counts it, lets it fail where asked, keeps a copy.
    fn change<T>(&self, needs_room: bool, call: impl FnOnce(&mut Plane) -> io::Result<T>) -> io::Result<T> {
        let mut plane = self.plane();
        plane.ops += 1;
        plane.check(needs_room)?;
        let result = call(&mut plane);
        if plane.history.is_some() {
            let mut copy = plane.clone();
            copy.history = None;
            copy.locks.clear();
            if let Some(history) = plane.history.as_mut() {
                history.push(copy);
            }
        }
        result
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.change(true, |p| {
            if p.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = p.inodes.len();
            p.inodes.push(Inode::default());
            p.rename_change(NameChange::Link(name.to_owned(), inode));
            Ok(inode)
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.open(name)?.read(offset, len)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskReader>> {
        let inode = self.plane().number(name)?;
        Ok(Box::new(SimReader { disk: self.clone(), inode }))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.plane().inode(name)?.live.len() as u64)
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        self.change(false, |p| {
            p.inode(name)?.sync();
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(false, |p| {
            p.inode(from)?;
            p.rename_change(NameChange::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(false, |p| {
            p.inode(name)?;
            p.rename_change(NameChange::Unlink(name.to_owned()));
            Ok(())
        })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let plane = self.plane();
        let inside = plane.names.keys().filter(|n| folder(n) == dir);
        Ok(inside.map(|n| n.rsplit('/').next().unwrap_or(n).to_owned()).collect())
    }

    fn make_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.change(false, |p| {
            let (done, left) = std::mem::take(&mut p.changes).into_iter().partition(|c| c.touches(dir));
            p.changes = left;
            let done: Vec<NameChange> = done;
            for change in done {
                change.apply(&mut p.durable_names);
            }
            Ok(())
        })
    }

    fn lock(&self, name: &str) -> io::Result<DiskLock> {
        if !self.plane().locks.insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), name: name.to_owned() }))
    }
}

struct SimReader {
    disk: SimDisk,
    inode: usize,
}

impl DiskReader for SimReader {
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let plane = self.disk.plane();
        let live = plane.inodes.get(self.inode).map(|i| i.live.as_slice()).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
        let to = from.saturating_add(len).min(live.len());
        Ok(live.get(from..to).unwrap_or_default().to_vec())
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A call that finds no room has often written a part.
        let failing = { self.disk.plane().fail };
        let ops = self.disk.ops() + 1;
        let part = match failing {
            Some((from, _)) if ops >= from => bytes.len() / 2,
            _ => bytes.len(),
        };
        let inode = self.inode;
        {
            let mut plane = self.disk.plane();
            if let Some(i) = plane.inodes.get_mut(inode) {
                let offset = i.live.len();
                i.live.extend(bytes.iter().take(part));
                i.unsynced.push((offset, part));
            }
        }
        self.disk.change(true, |_| Ok(()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let inode = self.inode;
        let result = self.disk.change(false, |p| {
            if let Some(i) = p.inodes.get_mut(inode) {
                i.sync();
            }
            Ok(())
        });
        if result.is_err() {
            // As on Linux: the pages count as clean after a failed sync and are never written again.
            if let Some(i) = self.disk.plane().inodes.get_mut(inode) {
                i.unsynced.clear();
            }
        }
        result
    }
}

struct SimLock {
    disk: SimDisk,
    name: String,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.plane().locks.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn write(disk: &SimDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
        let mut f = disk.create(name).unwrap();
        f.append(bytes).unwrap();
        f
    }

    #[test]
    fn content_without_a_synced_name_is_lost() {
        let disk = SimDisk::new();
        write(&disk, "d/a", b"x").sync().unwrap();
        assert!(disk.crash(Damage::DropUnsynced, 1).files().is_empty());
        disk.sync_dir("d").unwrap();
        assert_eq!(disk.crash(Damage::DropUnsynced, 1).read("d/a", 0, 9).unwrap(), b"x");
    }

    #[test]
    fn unsynced_content_is_lost_or_torn() {
        let disk = SimDisk::new();
        let mut f = write(&disk, "d/a", b"keep");
        f.sync().unwrap();
        disk.sync_dir("d").unwrap();
        f.append(&[7; 2000]).unwrap();
        assert_eq!(disk.crash(Damage::DropUnsynced, 1).len("d/a").unwrap(), 4);
        let lens: BTreeSet<u64> = (0..50).map(|s| disk.crash(Damage::Torn, s).len("d/a").unwrap()).collect();
        assert!(lens.len() > 10 && lens.iter().all(|l| (4..=2004).contains(l)));
    }

    #[test]
    fn a_failed_sync_never_becomes_durable_later() {
        let disk = SimDisk::new();
        let mut f = write(&disk, "a", b"x");
        disk.sync_dir("").unwrap();
        disk.fail_from(0, io::ErrorKind::Other);
        assert!(f.sync().is_err());
        disk.heal();
        f.sync().unwrap();
        assert_eq!(disk.crash(Damage::DropUnsynced, 1).len("a").unwrap(), 0);
    }
}
