//! A copy of the store while it runs.
//!
//! Blocks and ended log segments never change, so they are linked where both folders are on one file system, and copied
//! elsewhere. What was acknowledged before the call is in it; what comes during the call may be.

use std::sync::PoisonError;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::store::Store;
use crate::{block, wal};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Files of blocks and log.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are links, not copies.
    pub linked: usize,
}

impl Store {
    /// Writes a copy of the store to an empty disk, which [`Store::open`] then takes as it is. Appends and queries go on
    /// meanwhile; [`Store::maintain`] waits.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], or as the disks give them. What was written so far stays then, without a `FORMAT`.
    pub fn snapshot(&self, to: &dyn Disk) -> Result<Snapshot, StoreError> {
        // No block comes or goes meanwhile, and no segment goes.
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let last = {
            let mut log = self.log();
            self.commit_log(&mut log)?;
            log.wal.roll();
            log.wal.last_number()
        };
        for dir in ["", wal::DIR, block::DIR] {
            to.make_dir(dir).map_err(StoreError::io("make folder", dir))?;
            if to.list(dir).map_err(StoreError::io("list", dir))?.iter().any(|f| f != "LOCK") {
                return Err(StoreError::NotEmpty { folder: dir.to_owned() });
            }
        }
        let mut done = Snapshot::default();
        let segments = self.disk.list(wal::DIR).map_err(StoreError::io("list", wal::DIR))?;
        let segments = segments.iter().filter_map(|f| wal::segment_number(f)).filter(|&n| n <= last);
        let blocks: Vec<String> = self.state().blocks.iter().map(|b| b.name.clone()).collect();
        for name in segments.map(wal::segment_name).chain(blocks) {
            self.give(to, &name, &mut done)?;
        }
        for dir in [wal::DIR, block::DIR] {
            to.sync_dir(dir).map_err(StoreError::io("sync folder", dir))?;
        }
        crate::open::write_format(to)?;
        Ok(done)
    }

    fn give(&self, to: &dyn Disk, name: &str, done: &mut Snapshot) -> Result<(), StoreError> {
        let len = self.disk.len(name).map_err(StoreError::io("measure", name))?;
        done.files += 1;
        done.bytes += len;
        if let (Some(from), Some(to)) = (self.disk.root(), to.root())
            && std::fs::hard_link(from.join(name), to.join(name)).is_ok()
        {
            done.linked += 1;
            return Ok(());
        }
        let from = self.disk.open(name).map_err(StoreError::io("open", name))?;
        let mut file = to.create(name).map_err(StoreError::io("create", name))?;
        let mut at = 0;
        while at < len {
            let bytes = from.read(at, COPY_BYTES).map_err(StoreError::io("read", name))?;
            if bytes.is_empty() {
                break;
            }
            file.append(&bytes).map_err(StoreError::io("write", name))?;
            at += bytes.len() as u64;
        }
        file.sync().map_err(StoreError::io("sync", name))
    }
}
