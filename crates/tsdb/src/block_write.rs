//! Writing a block: under another name, synced, then renamed, then the folder synced.
//!
//! Series that share their times share one time column. Of a group in which most series have times of their own
//! (pushed one by one, or of many hosts without a label that tells them apart) those series are split off: they get a
//! group of their own in the file, with the others that have exactly the same times.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use wellkept_model::{HistogramSample, Labels};

use crate::block::DIR;
use crate::block_format::{
    HEADER, Header, INLINE_MAX, Index, IndexGroup, IndexSeries, Place, Stretch, block_name, column_sum,
    write_footer, write_index,
};
use crate::cells::{self, Cell};
use crate::column::{self, Effort};
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;

/// Bytes that are gathered before a write.
const WRITE_BYTES: usize = 1 << 18;

/// What a group of its own costs in the index, bytes, beside its times.
const GROUP_BYTES: usize = 16;

/// Where the series of one group come from, one at a time so that memory stays small.
pub(crate) trait Columns {
    /// Target of the group.
    fn target(&self) -> &Labels;

    /// Number of series.
    fn len(&self) -> usize;

    /// All times of floats, rising, each once.
    fn times(&mut self) -> Result<Vec<i64>, StoreError>;

    /// Floats of one series, times rising; none is fine. May be called twice for the same series.
    fn cells(&mut self, place: usize) -> Result<(Labels, Vec<Cell>), StoreError>;

    /// Samples in it, about.
    fn samples(&self) -> u64;
}

/// A block being written.
pub(crate) struct BlockWriter<'a> {
    disk: &'a dyn Disk,
    file: Box<dyn DiskFile>,
    temporary: String,
    header: Header,
    effort: Effort,
    at: u64,
    buffer: Vec<u8>,
    index: Index,
}

impl<'a> BlockWriter<'a> {
    /// Begins a file. Everything that is not ended by [`Self::finish`] is removed at the next start at the latest.
    pub(crate) fn begin(disk: &'a dyn Disk, header: Header, effort: Effort) -> Result<Self, StoreError> {
        let temporary = format!("{DIR}/{:010}.tmp", header.number);
        let file = disk.create(&temporary).map_err(StoreError::io("create", &temporary))?;
        let (at, buffer, index) = (0, Vec::new(), Index::default());
        let mut writer = Self { disk, file, temporary, header, effort, at, buffer, index };
        writer.put(&header.write())?;
        debug_assert_eq!(writer.at, HEADER as u64, "columns begin right after the header");
        Ok(writer)
    }

    /// Writes the floats of one group.
    pub(crate) fn floats(&mut self, columns: &mut dyn Columns) -> Result<(), StoreError> {
        let times = columns.times()?;
        if times.is_empty() {
            return Ok(());
        }
        let even = columns.samples() * 3 >= times.len() as u64 * columns.len() as u64;
        let all: Vec<usize> = (0..columns.len()).collect();
        if even || times.len() < 8 {
            return self.group(columns, &times, &all);
        }
        let (shared, apart) = split(columns, &times)?;
        let mut shared_times = Vec::new();
        for &place in &shared {
            shared_times.extend(columns.cells(place)?.1.into_iter().map(|c| c.0));
            if shared_times.len() > times.len() * 4 {
                shared_times.sort_unstable();
                shared_times.dedup();
            }
        }
        shared_times.sort_unstable();
        shared_times.dedup();
        self.group(columns, &shared_times, &shared)?;
        for places in apart {
            let first = places.first().copied().unwrap_or_default();
            let own: Vec<i64> = columns.cells(first)?.1.into_iter().map(|c| c.0).collect();
            self.group(columns, &own, &places)?;
        }
        Ok(())
    }

    /// Writes series of a group under the given times; those that have others get a group of their own.
    fn group(
        &mut self,
        columns: &mut dyn Columns,
        times: &[i64],
        places: &[usize],
    ) -> Result<(), StoreError> {
        if times.is_empty() || places.is_empty() {
            return Ok(());
        }
        let mut stray = Vec::new();
        let times_at = self.stretch(&column::encode_times(times))?;
        let mut series = Vec::with_capacity(places.len());
        for &place in places {
            let (labels, cells) = columns.cells(place)?;
            if cells.is_empty() {
                continue;
            }
            let fits = cells.len() == times.len() && cells.iter().map(|c| c.0).eq(times.iter().copied())
                || cells.len() < times.len() && cells.iter().all(|c| times.binary_search(&c.0).is_ok());
            if !fits {
                stray.push(place);
                continue;
            }
            let bytes = cells::encode(times, &cells, self.effort);
            series.push(IndexSeries { labels, count: cells.len() as u32, place: self.place(bytes)? });
        }
        let (target, rows) = (columns.target().clone(), times.len() as u32);
        self.index.floats.push(IndexGroup { target, rows, times: times_at, series });
        for place in stray {
            let own: Vec<i64> = columns.cells(place)?.1.into_iter().map(|c| c.0).collect();
            self.group(columns, &own, &[place])?;
        }
        Ok(())
    }

    /// Writes a group of columns that are bytes already, each with the number of its rows; all of them stand for rows
    /// among `times`.
    pub(crate) fn encoded(
        &mut self,
        target: &Labels,
        times: &[i64],
        columns: Vec<(Labels, u32, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let times_at = self.stretch(&column::encode_times(times))?;
        let mut series = Vec::with_capacity(columns.len());
        for (labels, count, bytes) in columns {
            series.push(IndexSeries { labels, count, place: self.place(bytes)? });
        }
        let (target, rows) = (target.clone(), times.len() as u32);
        self.index.floats.push(IndexGroup { target, rows, times: times_at, series });
        Ok(())
    }

    /// Writes the histograms of one group, series by series; to be called after all floats.
    pub(crate) fn histograms(
        &mut self,
        target: &Labels,
        all: Vec<(Labels, Vec<HistogramSample>)>,
    ) -> Result<(), StoreError> {
        let mut times: Vec<i64> = all.iter().flat_map(|s| s.1.iter().map(|h| h.at.0)).collect();
        times.sort_unstable();
        times.dedup();
        if times.is_empty() {
            return Ok(());
        }
        let times_at = self.stretch(&column::encode_times(&times))?;
        let mut series = Vec::with_capacity(all.len());
        for (labels, samples) in all {
            if samples.is_empty() {
                continue;
            }
            let bytes = cells::encode_histograms(&times, &samples)
                .map_err(StoreError::io("compress histograms for", &self.temporary))?;
            series.push(IndexSeries { labels, count: samples.len() as u32, place: self.place(bytes)? });
        }
        let (target, rows) = (target.clone(), times.len() as u32);
        self.index.histograms.push(IndexGroup { target, rows, times: times_at, series });
        Ok(())
    }

    /// Whether anything was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.index.floats.is_empty() && self.index.histograms.is_empty()
    }

    /// Gives the block its name. After `Ok` it is durable. `replaces`: numbers of the blocks that it stands for.
    pub(crate) fn finish(mut self, replaces: Vec<u64>) -> Result<String, StoreError> {
        self.index.replaces = replaces;
        let name = block_name(&self.header);
        let result = self.end(&name);
        if result.is_err() {
            let _ = self.disk.remove(&self.temporary);
            let _ = self.disk.remove(&name);
        }
        result.map(|()| name)
    }

    /// Gives up: removes what was written.
    pub(crate) fn abandon(self) {
        let _ = self.disk.remove(&self.temporary);
    }

    fn end(&mut self, name: &str) -> Result<(), StoreError> {
        let index =
            write_index(&self.index).map_err(StoreError::io("compress the index of", &self.temporary))?;
        let stretch = self.stretch(&index)?;
        self.put(&write_footer(self.header.number, stretch))?;
        self.flush()?;
        self.file.sync().map_err(StoreError::io("sync", &self.temporary))?;
        self.disk.rename(&self.temporary, name).map_err(StoreError::io("rename", &self.temporary))?;
        self.disk.sync_dir(DIR).map_err(StoreError::io("sync folder", DIR))
    }

    fn place(&mut self, bytes: Vec<u8>) -> Result<Place, StoreError> {
        Ok(if bytes.len() <= INLINE_MAX {
            Place::Inline(bytes.into())
        } else {
            Place::At(self.stretch(&bytes)?)
        })
    }

    fn stretch(&mut self, bytes: &[u8]) -> Result<Stretch, StoreError> {
        let offset = self.at;
        self.put(bytes)?;
        Ok(Stretch { offset, len: bytes.len() as u32, sum: column_sum(self.header.number, offset, bytes) })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let buffer = std::mem::take(&mut self.buffer);
        self.file.append(&buffer).map_err(StoreError::io("write", &self.temporary))
    }
}

/// Series that stay together, and sets of series that share times of their own.
type Split = (Vec<usize>, Vec<Vec<usize>>);

/// Says which series are better off apart: their times by themselves cost less than saying which of the group's they
/// have.
fn split(columns: &mut dyn Columns, times: &[i64]) -> Result<Split, StoreError> {
    let hasher = RandomState::new();
    let mut alike: BTreeMap<(usize, u64), (Vec<usize>, usize, usize)> = BTreeMap::new();
    for place in 0..columns.len() {
        let cells = columns.cells(place)?.1;
        if cells.is_empty() {
            continue;
        }
        let own: Vec<i64> = cells.iter().map(|c| c.0).collect();
        let set = alike.entry((own.len(), hasher.hash_one(&own))).or_insert_with(|| {
            let together = if own.len() * 2 > times.len() { 0 } else { cells::presence_len(times, &cells) };
            (Vec::new(), together, column::encode_times(&own).len() + GROUP_BYTES)
        });
        set.0.push(place);
    }
    let (mut shared, mut apart) = (Vec::new(), Vec::new());
    for (places, together, own) in alike.into_values() {
        if together * places.len() > own { apart.push(places) } else { shared.extend(places) }
    }
    shared.sort_unstable();
    Ok((shared, apart))
}
