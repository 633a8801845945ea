//! The log: what was taken since the last block, so that nothing acknowledged is lost.
//!
//! Segments are files that only grow. Each begins with no memory of the one before, except that its header names
//! the segment before it and how far that one is good: whatever lies beyond was never acknowledged and was
//! written again. So nothing is ever cut or changed in place, and a write or a sync that failed ends a segment:
//! nothing more is acknowledged from it, and everything not yet acknowledged goes into the next one from memory.

use std::sync::Arc;

use crate::codec::{Corrupt, Reader, crc32};
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::row::Prepared;
use crate::wal_record::Encoder;

/// Folder of the segments.
pub(crate) const DIR: &str = "wal";

const MAGIC: &[u8; 6] = b"WKLOG\n";

/// Version of the segment format.
pub(crate) const VERSION: u16 = 2;

/// Magic, version, number, number before, good length of that one, checksum.
pub(crate) const HEADER: usize = 6 + 2 + 8 + 8 + 8 + 4;

/// A segment and how many of its bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Good {
    /// 0: none.
    pub(crate) segment: u64,
    pub(crate) len: u64,
}

/// Path of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{DIR}/{number:010}.log")
}

/// Number of a segment from its file name without the folder.
pub(crate) fn segment_number(file: &str) -> Option<u64> {
    file.strip_suffix(".log")?.parse().ok().filter(|&n| n > 0)
}

fn header(number: u64, before: Good) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&before.segment.to_le_bytes());
    out.extend_from_slice(&before.len.to_le_bytes());
    let sum = crc32(&[&out]);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// What a segment's header says: its format version, its number and what was before it.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(u16, u64, Good), Corrupt> {
    let mut r = Reader::new(bytes);
    if r.take(MAGIC.len())? != MAGIC {
        return Err(Corrupt("the first bytes are not those of a log segment"));
    }
    let found = (r.u16()?, r.u64()?, Good { segment: r.u64()?, len: r.u64()? });
    let sum = crc32(&[bytes.get(..HEADER - 4).unwrap_or_default()]);
    if r.u32()? == sum { Ok(found) } else { Err(Corrupt("the header's checksum does not fit")) }
}

struct Segment {
    number: u64,
    file: Box<dyn DiskFile>,
    /// Written, as far as we know.
    len: u64,
    encoder: Encoder,
}

/// How many times its definitions a segment holds at least, so that repeating them costs little: with very many
/// series they alone are longer than a usual segment.
const DEFINITIONS_TIMES: u64 = 6;

/// No segment is longer than about this, bytes: it is read at once at start.
const SEGMENT_MAX: u64 = 512 << 20;

impl Segment {
    fn is_full(&self, segment_bytes: u64) -> bool {
        let wanted = segment_bytes.max(self.encoder.definitions * DEFINITIONS_TIMES).min(SEGMENT_MAX);
        self.len >= wanted
    }
}

/// The writing end of the log.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    segment: Option<Segment>,
    /// The newest segment with acknowledged content.
    good: Good,
    next_number: u64,
    segment_bytes: u64,
    /// Written nowhere durably yet; kept until a sync succeeds.
    unwritten: Vec<Prepared>,
}

impl Wal {
    /// Begins after what was found at start. No file is made before the first batch.
    pub(crate) fn new(disk: Arc<dyn Disk>, good: Good, next_number: u64, segment_bytes: u64) -> Self {
        Self { disk, segment: None, good, next_number, segment_bytes, unwritten: Vec::new() }
    }

    /// Number of the segment that is written now or was last.
    pub(crate) fn last_number(&self) -> u64 {
        self.next_number - 1
    }

    /// Samples that are not durable yet.
    pub(crate) fn unwritten_samples(&self) -> usize {
        self.unwritten.iter().map(|p| p.row.len()).sum()
    }

    /// Writes and syncs `batches` with all that earlier calls could not. After `Ok` all of it is durable; after
    /// `Err` it is kept for the next call.
    pub(crate) fn commit(&mut self, batches: Vec<Prepared>) -> Result<(), StoreError> {
        self.unwritten.extend(batches);
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.unwritten);
        let result = self.write(&batches);
        if result.is_err() {
            self.unwritten = batches;
            self.abandon();
        }
        result
    }

    /// Ends the segment: the next batch begins a new one.
    pub(crate) fn roll(&mut self) {
        self.segment = None;
    }

    fn write(&mut self, batches: &[Prepared]) -> Result<(), StoreError> {
        let mut todo = batches;
        while !todo.is_empty() {
            let mut segment = match self.segment.take() {
                Some(segment) if !segment.is_full(self.segment_bytes) => segment,
                _ => self.begin()?,
            };
            let mut out = Vec::new();
            let begin = segment.len;
            while let Some((first, rest)) = todo.split_first() {
                segment.encoder.encode(&mut out, segment.number, begin, first);
                segment.len = begin + out.len() as u64;
                todo = rest;
                if segment.is_full(self.segment_bytes) {
                    break;
                }
            }
            let name = segment_name(segment.number);
            let segment = self.segment.insert(segment);
            segment.file.append(&out).map_err(StoreError::io("write", &name))?;
            segment.file.sync().map_err(StoreError::io("sync", &name))?;
            if self.good.segment != segment.number {
                self.disk.sync_dir(DIR).map_err(StoreError::io("sync folder", DIR))?;
            }
            self.good = Good { segment: segment.number, len: segment.len };
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Segment, StoreError> {
        let number = self.next_number;
        let name = segment_name(number);
        self.next_number += 1;
        let mut file = self.disk.create(&name).map_err(StoreError::io("create", &name))?;
        let header = header(number, self.good);
        if let Err(e) = file.append(&header) {
            let _ = self.disk.remove(&name);
            return Err(StoreError::io("write", &name)(e));
        }
        Ok(Segment { number, file, len: header.len() as u64, encoder: Encoder::default() })
    }

    /// Gives up the segment after a failed call. One without anything acknowledged is removed to free its room.
    fn abandon(&mut self) {
        if let Some(segment) = self.segment.take()
            && segment.number != self.good.segment
        {
            let _ = self.disk.remove(&segment_name(segment.number));
        }
    }
}
