//! A block: some hours of all groups in one file that never changes after it has its name.
//!
//! Opening reads the index and checks every column; a bad column is set aside alone, a bad frame or index the
//! whole file. What is damaged later is found by the same checksums when it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wellkept_model::{Labels, TimestampMs};

use crate::block_format::{
    FOOTER, HEADER, Header, Place, Stretch, VERSION, column_sum, read_footer, read_index,
};
use crate::cells::{self, Cell};
use crate::codec::Corrupt;
use crate::column;
use crate::disk::Disk;
use crate::error::{Quarantined, StoreError};
use crate::registry::{Registry, SeriesId};

/// Folder of the blocks.
pub(crate) const DIR: &str = "blocks";

/// An open block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) bytes: u64,
    groups: Vec<GroupTimes>,
    /// Ordered by id; a series that is in two groups comes twice.
    series: Vec<BlockSeries>,
    /// Places of columns that are known to be damaged.
    damaged: Mutex<BTreeSet<u64>>,
    /// Its file is gone or about to go: retention came while a query had it.
    removed: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct GroupTimes {
    rows: u32,
    times: Stretch,
}

/// One series of a block.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    id: SeriesId,
    pub(crate) group: u32,
    pub(crate) count: u32,
    place: Place,
}

/// A block that cannot be served.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The whole file is to be set aside.
    Damaged(Quarantined),
    /// The store must not be opened.
    Refused(StoreError),
}

/// A block read from disk, not yet known to the registry.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) bytes: u64,
    groups: Vec<crate::block_format::IndexGroup>,
}

/// Reads header, footer and index. `range`: the times that the file's name tells.
pub(crate) fn load(disk: &dyn Disk, name: &str, number: u64, range: (i64, i64)) -> Result<Loaded, OpenError> {
    let refuse = |action| move |e| OpenError::Refused(StoreError::io(action, name)(e));
    let len = disk.len(name).map_err(refuse("measure"))?;
    let bad = |offset: u64, len: u64, e: Corrupt| {
        let (from, to) = (Some(TimestampMs(range.0)), Some(TimestampMs(range.1)));
        OpenError::Damaged(Quarantined { file: name.to_owned(), offset, len, from, to, what: e.to_string() })
    };
    let head = disk.read(name, 0, HEADER).map_err(refuse("read"))?;
    let (version, header) = Header::read(&head).map_err(|e| bad(0, HEADER as u64, e))?;
    if version > VERSION {
        let (found, supported) = (u32::from(version), u32::from(VERSION));
        return Err(OpenError::Refused(StoreError::NewerFormat { file: name.to_owned(), found, supported }));
    }
    if header.number != number || (header.min, header.max) != range {
        return Err(bad(0, HEADER as u64, Corrupt("the header is that of another block")));
    }
    let foot_at = len.saturating_sub(FOOTER as u64);
    let foot = disk.read(name, foot_at, FOOTER).map_err(refuse("read"))?;
    let index = read_footer(&foot, number).map_err(|e| bad(foot_at, FOOTER as u64, e))?;
    let bad_index = |e| bad(index.offset, u64::from(index.len), e);
    if index.offset.saturating_add(u64::from(index.len)) != foot_at {
        return Err(bad_index(Corrupt("the index does not end where the footer begins")));
    }
    let bytes = disk.read(name, index.offset, index.len as usize).map_err(refuse("read"))?;
    if column_sum(number, index.offset, &bytes) != index.sum {
        return Err(bad_index(Corrupt("the index's checksum does not fit")));
    }
    let groups = read_index(&bytes, HEADER as u64).map_err(bad_index)?;
    Ok(Loaded { name: name.to_owned(), header, bytes: len, groups })
}

impl Loaded {
    /// Takes references in the registry for all series.
    pub(crate) fn register(self, registry: &mut Registry) -> Block {
        let mut groups = Vec::with_capacity(self.groups.len());
        let mut series = Vec::new();
        for group in self.groups {
            let number = groups.len() as u32;
            groups.push(GroupTimes { rows: group.rows, times: group.times });
            series.extend(group.series.into_iter().map(|s| BlockSeries {
                id: registry.acquire(&s.labels),
                group: number,
                count: s.count,
                place: s.place,
            }));
        }
        series.sort_by_key(|s| s.id);
        series.shrink_to_fit();
        let (name, header, bytes) = (self.name, self.header, self.bytes);
        Block {
            name,
            header,
            bytes,
            groups,
            series,
            damaged: Mutex::default(),
            removed: AtomicBool::new(false),
        }
    }
}

impl Block {
    /// Gives the references back.
    pub(crate) fn release(&self, registry: &mut Registry) {
        for series in &self.series {
            registry.release(series.id);
        }
    }

    /// Says that its file goes: a query that still has it finds nothing there, without an error.
    pub(crate) fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Samples in all columns.
    pub(crate) fn samples(&self) -> u64 {
        self.series.iter().map(|s| u64::from(s.count)).sum()
    }

    /// Whether any of its samples could be in `from..=to`.
    pub(crate) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.header.min <= to && self.header.max >= from
    }

    /// Columns of a series, as places for [`Self::cells`].
    pub(crate) fn places(&self, id: SeriesId) -> std::ops::Range<usize> {
        let from = self.series.partition_point(|s| s.id < id);
        let to = self.series.partition_point(|s| s.id <= id);
        from..to
    }

    pub(crate) fn series(&self, place: usize) -> Option<&BlockSeries> {
        self.series.get(place)
    }

    /// Times of a group. `None`: already known to be damaged, and set aside.
    ///
    /// # Errors
    /// The damage, the first time it is met.
    pub(crate) fn times(&self, disk: &dyn Disk, group: u32) -> Result<Option<Vec<i64>>, BlockError> {
        let Some(g) = self.groups.get(group as usize) else { return Ok(None) };
        let Some(bytes) = self.stretch(disk, g.times)? else { return Ok(None) };
        match column::decode_times(&bytes, g.rows as usize) {
            Ok(times) => Ok(Some(times)),
            Err(e) => Err(self.set_aside(g.times, e).into()),
        }
    }

    /// Cells of one column. `None`: already known to be damaged, and set aside.
    ///
    /// # Errors
    /// The damage, the first time it is met.
    pub(crate) fn cells(
        &self,
        disk: &dyn Disk,
        times: &[i64],
        place: usize,
    ) -> Result<Option<Vec<Cell>>, BlockError> {
        let Some(series) = self.series.get(place) else { return Ok(None) };
        match &series.place {
            Place::Inline(bytes) => match cells::decode(times, series.count as usize, bytes) {
                Ok(cells) => Ok(Some(cells)),
                Err(e) => Err(self.set_aside(Stretch { offset: 0, len: 0, sum: 0 }, e).into()),
            },
            Place::At(stretch) => {
                let Some(bytes) = self.stretch(disk, *stretch)? else { return Ok(None) };
                let cells = cells::decode(times, series.count as usize, &bytes);
                cells.map(Some).map_err(|e| self.set_aside(*stretch, e).into())
            }
        }
    }

    /// Reads every column once. Gives what is damaged; it is set aside from now on.
    pub(crate) fn verify(&self, disk: &dyn Disk) -> Result<Vec<Quarantined>, StoreError> {
        let columns = self.series.iter().filter_map(|s| match &s.place {
            Place::At(stretch) => Some(*stretch),
            Place::Inline(_) => None,
        });
        // By place, so that a group's times and columns are read in one pass over the file.
        let places: BTreeMap<u64, Stretch> =
            self.groups.iter().map(|g| g.times).chain(columns).map(|s| (s.offset, s)).collect();
        let mut found = Vec::new();
        for stretch in places.into_values() {
            match self.stretch(disk, stretch) {
                Ok(_) => {}
                Err(BlockError::Damaged(d)) => found.push(d),
                Err(BlockError::Store(e)) => return Err(e),
            }
        }
        Ok(found)
    }

    fn stretch(&self, disk: &dyn Disk, s: Stretch) -> Result<Option<Vec<u8>>, BlockError> {
        if self.known_damaged().contains(&s.offset) {
            return Ok(None);
        }
        let bytes = disk.read(&self.name, s.offset, s.len as usize);
        if bytes.is_err() && self.removed.load(Ordering::Acquire) {
            return Ok(None);
        }
        let bytes = bytes.map_err(|e| BlockError::Store(StoreError::io("read", &self.name)(e)))?;
        if bytes.len() != s.len as usize || column_sum(self.header.number, s.offset, &bytes) != s.sum {
            return Err(self.set_aside(s, Corrupt("a column's checksum does not fit")).into());
        }
        Ok(Some(bytes))
    }

    fn set_aside(&self, s: Stretch, e: Corrupt) -> Quarantined {
        self.known_damaged().insert(s.offset);
        Quarantined {
            file: self.name.clone(),
            offset: s.offset,
            len: u64::from(s.len),
            from: Some(TimestampMs(self.header.min)),
            to: Some(TimestampMs(self.header.max)),
            what: e.to_string(),
        }
    }

    fn known_damaged(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A column that could not be read.
#[derive(Debug)]
pub(crate) enum BlockError {
    /// Damaged; set aside from now on.
    Damaged(Quarantined),
    /// The disk did not answer; it may do so later.
    Store(StoreError),
}

impl From<Quarantined> for BlockError {
    fn from(damage: Quarantined) -> Self {
        Self::Damaged(damage)
    }
}

/// Series with their cells, one at a time.
pub(crate) type SeriesCells<'a> = Box<dyn Iterator<Item = Result<(Labels, Vec<Cell>), Corrupt>> + 'a>;

/// What a writer of blocks hands in for one group.
pub(crate) struct GroupColumns<'a> {
    pub(crate) target: Labels,
    pub(crate) times: Vec<i64>,
    /// Each series with its cells, made one at a time so that memory stays small.
    pub(crate) series: SeriesCells<'a>,
}

/// Shared by queries that read the same block.
pub(crate) type SharedBlock = Arc<Block>;
