//! Writing a block: under another name, synced, then renamed, then the folder synced.

use std::sync::Arc;

use crate::block::{DIR, GroupColumns};
use crate::block_format::{
    HEADER, Header, INLINE_MAX, IndexGroup, IndexSeries, Place, Stretch, block_name, column_sum,
    write_footer, write_index,
};
use crate::cells::{self, Cell};
use crate::codec::Corrupt;
use crate::column::{self, Effort};
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::head::{Group, Head};

/// Bytes that are gathered before a write.
const WRITE_BYTES: usize = 1 << 18;

/// Writes everything in `head` as one block and gives its name. After `Ok` it is durable.
pub(crate) fn write_head(disk: &dyn Disk, header: Header, head: &Head) -> Result<String, StoreError> {
    let name = block_name(&header);
    let temporary = format!("{DIR}/{:010}.tmp", header.number);
    let written = write_groups(disk, &temporary, header, head).and_then(|()| {
        disk.rename(&temporary, &name).map_err(StoreError::io("rename", &temporary))?;
        disk.sync_dir(DIR).map_err(StoreError::io("sync folder", DIR))
    });
    if written.is_err() {
        let _ = disk.remove(&temporary);
        let _ = disk.remove(&name);
    }
    written.map(|()| name)
}

fn write_groups(disk: &dyn Disk, temporary: &str, header: Header, head: &Head) -> Result<(), StoreError> {
    let file = disk.create(temporary).map_err(StoreError::io("create", temporary))?;
    let mut out = Writer { file, name: temporary, number: header.number, at: 0, buffer: Vec::new() };
    out.put(&header.write())?;
    debug_assert_eq!(out.at, HEADER as u64, "columns begin right after the header");
    let mut index = Vec::new();
    for group in &head.groups {
        let columns = group_columns(group).map_err(|e| in_memory(temporary, e))?;
        if !columns.times.is_empty() {
            index.push(out.group(columns)?);
        }
    }
    let stretch = out.stretch(&write_index(&index))?;
    out.put(&write_footer(header.number, stretch))?;
    out.finish()
}

/// All rows of a group, with an iterator that joins the pieces of each series.
fn group_columns(group: &Group) -> Result<GroupColumns<'_>, Corrupt> {
    let chunk_times: Vec<Vec<i64>> = group.chunks.iter().map(|c| c.times()).collect::<Result<_, _>>()?;
    let mut times: Vec<i64> = chunk_times.iter().flatten().copied().collect();
    times.extend(group.series.iter().flat_map(|s| s.open.iter().map(|c| c.0)));
    times.sort_unstable();
    times.dedup();
    let series = group.series.iter().zip(0..).map(move |(series, slot)| {
        let mut runs: Vec<Vec<Cell>> = Vec::with_capacity(group.chunks.len() + 1);
        for (chunk, times) in group.chunks.iter().zip(&chunk_times) {
            runs.push(chunk.cells(times, slot)?);
        }
        runs.push(series.open.clone());
        Ok((series.labels.clone(), cells::merge(runs)))
    });
    Ok(GroupColumns { target: group.def.target.clone(), times, series: Box::new(series) })
}

/// A chunk in memory that does not decode: only a fault of memory or of this program can do that.
fn in_memory(name: &str, e: Corrupt) -> StoreError {
    StoreError::io("compress the head for", name)(std::io::Error::other(e))
}

struct Writer<'a> {
    file: Box<dyn DiskFile>,
    name: &'a str,
    number: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn group(&mut self, group: GroupColumns<'_>) -> Result<IndexGroup, StoreError> {
        let times = self.stretch(&column::encode_times(&group.times))?;
        let mut series = Vec::new();
        for item in group.series {
            let (labels, cells) = item.map_err(|e| in_memory(self.name, e))?;
            if cells.is_empty() {
                continue;
            }
            let bytes = cells::encode(&group.times, &cells, Effort::Best);
            let place = if bytes.len() <= INLINE_MAX {
                Place::Inline(bytes.into())
            } else {
                Place::At(self.stretch(&bytes)?)
            };
            series.push(IndexSeries { labels, count: cells.len() as u32, place });
        }
        Ok(IndexGroup { target: group.target, rows: group.times.len() as u32, times, series })
    }

    fn stretch(&mut self, bytes: &[u8]) -> Result<Stretch, StoreError> {
        let offset = self.at;
        self.put(bytes)?;
        Ok(Stretch { offset, len: bytes.len() as u32, sum: column_sum(self.number, offset, bytes) })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let buffer = std::mem::take(&mut self.buffer);
        self.file.append(&buffer).map_err(StoreError::io("write", self.name))
    }

    fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.file.sync().map_err(StoreError::io("sync", self.name))
    }
}

/// The range and number that a block of `head` gets.
pub(crate) fn header_for(head: &Arc<Head>, number: u64, covers: u64) -> Option<Header> {
    let (min, max) = head.range?;
    Some(Header { number, min, max, covers })
}
