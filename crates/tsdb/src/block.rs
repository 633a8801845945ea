//! A block: some hours of all groups in one file that never changes after it has its name.
//!
//! Opening reads the index and checks every column; a bad column is set aside alone, a bad frame or index the
//! whole file. What is damaged later is found by the same checksums when it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use wellkept_model::{HistogramSample, Labels, TimestampMs};

use crate::block_format::{
    FOOTER, HEADER, Header, Index, IndexGroup, Place, Stretch, VERSION, column_sum, read_footer, read_index,
};
use crate::cells::{self, Cell};
use crate::codec::Corrupt;
use crate::column;
use crate::disk::{Disk, DiskReader};
use crate::error::{Quarantined, StoreError};
use crate::registry::{Registry, SeriesId};

/// Folder of the blocks.
pub(crate) const DIR: &str = "blocks";

/// Bytes between two columns that are read over rather than asked for apart.
const GAP_MAX: u64 = 4 << 10;

/// Most bytes of several columns that are read at once.
const READ_MAX: u64 = 1 << 20;

/// An open block.
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) bytes: u64,
    file: Box<dyn DiskReader>,
    groups: Vec<BlockGroup>,
    /// Ordered by id; a series that is in two groups comes twice.
    series: Vec<BlockSeries>,
    /// Places of columns that are known to be damaged.
    damaged: Mutex<BTreeSet<u64>>,
}

/// One group of a block.
#[derive(Debug)]
pub(crate) struct BlockGroup {
    pub(crate) target: Labels,
    pub(crate) rows: u32,
    pub(crate) histograms: bool,
    times: Stretch,
}

/// One series of a block.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    pub(crate) id: SeriesId,
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
    pub(crate) index: Index,
    file: Box<dyn DiskReader>,
}

/// Reads header, footer and index. `range`: the times that the file's name tells.
pub(crate) fn load(disk: &dyn Disk, name: &str, number: u64, range: (i64, i64)) -> Result<Loaded, OpenError> {
    let refuse = |action| move |e| OpenError::Refused(StoreError::io(action, name)(e));
    let len = disk.len(name).map_err(refuse("measure"))?;
    let bad = |offset: u64, len: u64, e: Corrupt| {
        let (from, to) = (Some(TimestampMs(range.0)), Some(TimestampMs(range.1)));
        OpenError::Damaged(Quarantined { file: name.to_owned(), offset, len, from, to, what: e.to_string() })
    };
    let file = disk.open(name).map_err(refuse("open"))?;
    let head = file.read(0, HEADER).map_err(refuse("read"))?;
    let (version, header) = Header::read(&head).map_err(|e| bad(0, HEADER as u64, e))?;
    if version > VERSION {
        let (found, supported) = (u32::from(version), u32::from(VERSION));
        return Err(OpenError::Refused(StoreError::NewerFormat { file: name.to_owned(), found, supported }));
    }
    if header.number != number || (header.min, header.max) != range {
        return Err(bad(0, HEADER as u64, Corrupt("the header is that of another block")));
    }
    let foot_at = len.saturating_sub(FOOTER as u64);
    let foot = file.read(foot_at, FOOTER).map_err(refuse("read"))?;
    let place = read_footer(&foot, number).map_err(|e| bad(foot_at, FOOTER as u64, e))?;
    let bad_index = |e| bad(place.offset, u64::from(place.len), e);
    if place.offset.saturating_add(u64::from(place.len)) != foot_at {
        return Err(bad_index(Corrupt("the index does not end where the footer begins")));
    }
    let bytes = file.read(place.offset, place.len as usize).map_err(refuse("read"))?;
    if column_sum(number, place.offset, &bytes) != place.sum {
        return Err(bad_index(Corrupt("the index's checksum does not fit")));
    }
    let index = read_index(&bytes, version).map_err(bad_index)?;
    Ok(Loaded { name: name.to_owned(), header, bytes: len, index, file })
}

impl Loaded {
    /// Takes references in the registry for all series.
    pub(crate) fn register(self, registry: &mut Registry) -> Block {
        let mut groups = Vec::with_capacity(self.index.floats.len());
        let mut series = Vec::new();
        let mut add = |group: IndexGroup, histograms: bool| {
            let number = groups.len() as u32;
            let (target, rows, times) = (group.target, group.rows, group.times);
            groups.push(BlockGroup { target, rows, histograms, times });
            series.extend(group.series.into_iter().map(|s| BlockSeries {
                id: registry.acquire(&s.labels),
                group: number,
                count: s.count,
                place: s.place,
            }));
        };
        self.index.floats.into_iter().for_each(|g| add(g, false));
        self.index.histograms.into_iter().for_each(|g| add(g, true));
        series.sort_by_key(|s| s.id);
        series.shrink_to_fit();
        let (name, header, bytes, file) = (self.name, self.header, self.bytes, self.file);
        Block { name, header, bytes, file, groups, series, damaged: Mutex::default() }
    }
}

impl Block {
    /// Gives the references back.
    pub(crate) fn release(&self, registry: &mut Registry) {
        for series in &self.series {
            registry.release(series.id);
        }
    }

    /// Samples in all columns.
    pub(crate) fn samples(&self) -> u64 {
        self.series.iter().map(|s| u64::from(s.count)).sum()
    }

    /// Whether any of its samples could be in `from..=to`.
    pub(crate) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.header.min <= to && self.header.max >= from
    }

    /// Columns of many series, as places for [`Self::read`], with what the caller calls each series. `ids` must rise.
    pub(crate) fn places<T: Copy>(&self, ids: &[(SeriesId, T)], mut take: impl FnMut(usize, T)) {
        let mut at = 0;
        // Few ids: jump to each; many: walk along both lists.
        let jump = ids.len() < self.series.len() / 8;
        for &(id, name) in ids {
            if jump {
                let rest = self.series.get(at..).unwrap_or_default();
                at += rest.partition_point(|s| s.id < id);
            }
            while let Some(series) = self.series.get(at).filter(|s| s.id <= id) {
                if series.id == id {
                    take(at, name);
                }
                at += 1;
            }
        }
    }

    pub(crate) fn series(&self, place: usize) -> Option<&BlockSeries> {
        self.series.get(place)
    }

    pub(crate) fn all_series(&self) -> &[BlockSeries] {
        &self.series
    }

    pub(crate) fn groups(&self) -> &[BlockGroup] {
        &self.groups
    }

    /// Where in the file the column of a place is; those inside the index come first.
    pub(crate) fn offset(&self, place: usize) -> (u32, u64) {
        self.series.get(place).map_or((0, 0), |s| match s.place {
            Place::Inline(_) => (s.group, 0),
            Place::At(stretch) => (s.group, stretch.offset),
        })
    }

    /// Times of a group. `None`: already known to be damaged, and set aside.
    ///
    /// # Errors
    /// The damage, the first time it is met.
    pub(crate) fn times(&self, group: u32) -> Result<Option<Vec<i64>>, BlockError> {
        let Some(g) = self.groups.get(group as usize) else { return Ok(None) };
        if self.is_damaged(g.times) {
            return Ok(None);
        }
        let bytes = self.file.read(g.times.offset, g.times.len as usize);
        let bytes = bytes.map_err(|e| BlockError::Store(StoreError::io("read", &self.name)(e)))?;
        self.check(g.times, &bytes)?;
        match column::decode_times(&bytes, g.rows as usize) {
            Ok(times) => Ok(Some(times)),
            Err(e) => Err(self.set_aside(g.times, e).into()),
        }
    }

    /// Reads columns, given in order of [`Self::offset`], and hands the bytes of each to `take` with its number of
    /// cells. Columns near to each other are read at once. Those known to be damaged are left out.
    ///
    /// # Errors
    /// Damage, the first time it is met; what `take` says is none of a column.
    pub(crate) fn read(
        &self,
        places: &[usize],
        mut take: impl FnMut(usize, u32, &[u8]) -> Result<(), Corrupt>,
    ) -> Result<(), BlockError> {
        let mut rest = places;
        while let Some((&first, more)) = rest.split_first() {
            let Some(series) = self.series.get(first) else { return Ok(()) };
            let stretch = match &series.place {
                Place::Inline(bytes) => {
                    let none = Stretch { offset: 0, len: 0, sum: 0 };
                    take(first, series.count, bytes).map_err(|e| self.set_aside(none, e))?;
                    rest = more;
                    continue;
                }
                Place::At(stretch) => *stretch,
            };
            let (n, end) = self.together(rest, stretch);
            let len = usize::try_from(end - stretch.offset).unwrap_or(usize::MAX);
            let bytes = self.file.read(stretch.offset, len);
            let bytes = bytes.map_err(|e| BlockError::Store(StoreError::io("read", &self.name)(e)))?;
            let (now, later) = rest.split_at(n.min(rest.len()));
            for &place in now {
                let Some(BlockSeries { count, place: Place::At(s), .. }) = self.series.get(place) else {
                    continue;
                };
                if self.is_damaged(*s) {
                    continue;
                }
                let from = usize::try_from(s.offset - stretch.offset).unwrap_or(usize::MAX);
                let column = bytes.get(from..).unwrap_or_default();
                let column = column.get(..s.len as usize).unwrap_or(column);
                self.check(*s, column)?;
                take(place, *count, column).map_err(|e| self.set_aside(*s, e))?;
            }
            rest = later;
        }
        Ok(())
    }

    /// How many of the places can be read at once, the first included, and where they end.
    fn together(&self, places: &[usize], first: Stretch) -> (usize, u64) {
        let mut end = first.offset + u64::from(first.len);
        let mut n = 1;
        for &place in places.iter().skip(1) {
            let Some(BlockSeries { place: Place::At(s), .. }) = self.series.get(place) else { break };
            let new_end = s.offset + u64::from(s.len);
            if s.offset < end || s.offset > end + GAP_MAX || new_end > first.offset + READ_MAX {
                break;
            }
            (n, end) = (n + 1, new_end);
        }
        (n, end)
    }

    /// Reads every column once. Gives what is damaged; it is set aside from now on.
    pub(crate) fn verify(&self) -> Result<Vec<Quarantined>, StoreError> {
        let columns = self.series.iter().filter_map(|s| match &s.place {
            Place::At(stretch) => Some(*stretch),
            Place::Inline(_) => None,
        });
        // By place, so that a group's times and columns are read in one pass over the file.
        let places: BTreeMap<u64, Stretch> =
            self.groups.iter().map(|g| g.times).chain(columns).map(|s| (s.offset, s)).collect();
        let places: Vec<Stretch> = places.into_values().collect();
        let mut found = Vec::new();
        let mut rest = places.as_slice();
        while let Some(first) = rest.first().copied() {
            let end = |s: &Stretch| s.offset + u64::from(s.len);
            let n = rest.iter().take_while(|s| end(s) <= first.offset + READ_MAX).count().max(1);
            let (now, later) = rest.split_at(n.min(rest.len()));
            let len = now.last().map_or(0, |s| end(s) - first.offset);
            let bytes = self.file.read(first.offset, usize::try_from(len).unwrap_or(usize::MAX));
            let bytes = bytes.map_err(StoreError::io("read", &self.name))?;
            for s in now {
                let from = usize::try_from(s.offset - first.offset).unwrap_or(usize::MAX);
                let column = bytes.get(from..).unwrap_or_default();
                let column = column.get(..s.len as usize).unwrap_or(column);
                if let Err(BlockError::Damaged(damage)) = self.check(*s, column) {
                    found.push(damage);
                }
            }
            rest = later;
        }
        Ok(found)
    }

    fn check(&self, s: Stretch, bytes: &[u8]) -> Result<(), BlockError> {
        if bytes.len() != s.len as usize || column_sum(self.header.number, s.offset, bytes) != s.sum {
            return Err(self.set_aside(s, Corrupt("a column's checksum does not fit")).into());
        }
        Ok(())
    }

    /// Whether any column is set aside.
    pub(crate) fn has_damage(&self) -> bool {
        !self.known_damaged().is_empty()
    }

    fn is_damaged(&self, s: Stretch) -> bool {
        let damaged = self.known_damaged();
        !damaged.is_empty() && damaged.contains(&s.offset)
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

/// Cells of a float column.
pub(crate) fn decode_cells(times: &[i64], count: u32, bytes: &[u8]) -> Result<Vec<Cell>, Corrupt> {
    cells::decode(times, count as usize, bytes)
}

/// Samples of a histogram column.
pub(crate) fn decode_histograms(
    times: &[i64],
    count: u32,
    bytes: &[u8],
) -> Result<Vec<HistogramSample>, Corrupt> {
    cells::decode_histograms(times, count as usize, bytes)
}

/// Shared by queries that read the same block.
pub(crate) type SharedBlock = Arc<Block>;
