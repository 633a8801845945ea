//! The write-ahead log: what was taken since the last segment, so that nothing acknowledged is lost.
//!
//! Files only grow. Each names in its header the file before it and how far that one is good: whatever lies beyond
//! was never acknowledged and was written again. A write or a sync that failed ends a file; everything not yet
//! acknowledged goes into the next one from memory. Each file begins with all notes, so that those before it can go
//! as soon as their lines are in a segment. Each record stands alone: one lost record costs its own lines only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::LogBatch;
use crate::codec::{Corrupt, Reader, crc32};
use crate::disk::{Disk, DiskFile};
use crate::error::LogStoreError;

/// Folder of the files.
pub(crate) const DIR: &str = "wal";

const MAGIC: &[u8; 6] = b"WKLGW\n";

/// Version of the format.
pub(crate) const VERSION: u16 = 1;

/// Magic, version, number, number before, good length of that one, checksum.
pub(crate) const HEADER: usize = 6 + 2 + 8 + 8 + 8 + 4;

/// Mark, length, checksum.
const FRAME: usize = 2 + 4 + 4;
const MARK: [u8; 2] = [0x6c, 0xb3];

/// Bytes of lines beyond which a commit becomes several records.
const RECORD_BYTES: usize = 4 << 20;

/// Notes by key.
pub(crate) type Notes = BTreeMap<String, Vec<u8>>;

/// A file and how many of its bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Good {
    /// 0: none.
    pub(crate) file: u64,
    pub(crate) len: u64,
}

/// Path of a file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{DIR}/{number:010}.log")
}

/// Number of a file from its name without the folder.
pub(crate) fn file_number(file: &str) -> Option<u64> {
    file.strip_suffix(".log")?.parse().ok().filter(|&n| n > 0)
}

fn header(number: u64, before: Good) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&before.file.to_le_bytes());
    out.extend_from_slice(&before.len.to_le_bytes());
    let sum = crc32(&[&out]);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Format version, number and what was before it.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(u16, u64, Good), Corrupt> {
    let mut r = Reader::new(bytes);
    if r.take(MAGIC.len())? != MAGIC {
        return Err(Corrupt("the first bytes are not those of a write-ahead log"));
    }
    let found = (r.u16()?, r.u64()?, Good { file: r.u64()?, len: r.u64()? });
    let sum = crc32(&[bytes.get(..HEADER - 4).unwrap_or_default()]);
    if r.u32()? == sum { Ok(found) } else { Err(Corrupt("the header's checksum does not fit")) }
}

/// Appends the frame of a record.
fn put_record(out: &mut Vec<u8>, file: u64, offset: u64, plain: &[u8]) -> std::io::Result<()> {
    let mut body = (plain.len() as u32).to_le_bytes().to_vec();
    body.extend(zstd::bulk::compress(plain, 1)?);
    let offset = offset + out.len() as u64;
    let len = (body.len() as u32).to_le_bytes();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&len);
    out.extend_from_slice(&crc32(&[&file.to_le_bytes(), &offset.to_le_bytes(), &len, &body]).to_le_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// The body of the record at an offset and where the next begins, when a valid one is there.
pub(crate) fn record_at(bytes: &[u8], file: u64, offset: usize) -> Option<(&[u8], usize)> {
    let mut r = Reader::new(bytes.get(offset..)?);
    if r.take(2).ok()? != MARK {
        return None;
    }
    let len = r.u32().ok()?;
    let sum = r.u32().ok()?;
    let body = r.take(len as usize).ok()?;
    let right = crc32(&[&file.to_le_bytes(), &(offset as u64).to_le_bytes(), &len.to_le_bytes(), body]);
    (right == sum).then_some((body, offset + FRAME + body.len()))
}

struct Open {
    number: u64,
    file: Box<dyn DiskFile>,
    /// Written, as far as we know.
    len: u64,
}

/// The writing end.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    open: Option<Open>,
    /// The newest file with acknowledged content.
    good: Good,
    next_number: u64,
    /// Durable notes.
    pub(crate) notes: Notes,
    /// Written nowhere durably yet; kept until a sync succeeds.
    unwritten: Vec<LogBatch>,
}

impl Wal {
    /// Begins after what was found at start. No file is made before the first batch.
    pub(crate) fn new(disk: Arc<dyn Disk>, good: Good, next_number: u64, notes: Notes) -> Self {
        Self { disk, open: None, good, next_number, notes, unwritten: Vec::new() }
    }

    /// Bytes that are not durable yet.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.unwritten.iter().map(LogBatch::size).sum()
    }

    /// Writes and syncs `batches` with all that earlier calls could not. After `Ok` all of it is durable; after
    /// `Err` it is kept for the next call.
    pub(crate) fn commit(&mut self, batches: Vec<LogBatch>) -> Result<(), LogStoreError> {
        self.unwritten.extend(batches);
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.unwritten);
        match self.write(&batches) {
            Ok(()) => {
                for (key, value) in batches.into_iter().flat_map(|b| b.into_notes()) {
                    if value.is_empty() {
                        self.notes.remove(&key);
                    } else {
                        self.notes.insert(key, value);
                    }
                }
                Ok(())
            }
            Err(e) => {
                self.unwritten = batches;
                self.abandon();
                Err(e)
            }
        }
    }

    /// Begins a new file that holds all notes, durably. Gives the number of the last file before it.
    pub(crate) fn roll(&mut self) -> Result<u64, LogStoreError> {
        debug_assert!(self.unwritten.is_empty(), "everything is committed before a file ends");
        self.open = None;
        let before = self.next_number - 1;
        self.write(&[]).inspect_err(|_| self.abandon())?;
        Ok(before)
    }

    fn write(&mut self, batches: &[LogBatch]) -> Result<(), LogStoreError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let name = file_name(open.number);
        let mut out = Vec::new();
        let mut plain = Vec::new();
        for batch in batches {
            batch.write(&mut plain);
            if plain.len() >= RECORD_BYTES {
                put_record(&mut out, open.number, open.len, &plain)
                    .map_err(LogStoreError::io("pack", &name))?;
                plain.clear();
            }
        }
        if !plain.is_empty() {
            put_record(&mut out, open.number, open.len, &plain).map_err(LogStoreError::io("pack", &name))?;
        }
        let open = self.open.insert(open);
        open.len += out.len() as u64;
        if !out.is_empty() {
            open.file.append(&out).map_err(LogStoreError::io("write", &name))?;
        }
        open.file.sync().map_err(LogStoreError::io("sync", &name))?;
        if self.good.file != open.number {
            self.disk.sync_dir(DIR).map_err(LogStoreError::io("sync folder", DIR))?;
        }
        self.good = Good { file: open.number, len: open.len };
        Ok(())
    }

    fn begin(&mut self) -> Result<Open, LogStoreError> {
        let number = self.next_number;
        let name = file_name(number);
        self.next_number += 1;
        let mut file = self.disk.create(&name).map_err(LogStoreError::io("create", &name))?;
        let mut out = header(number, self.good);
        if !self.notes.is_empty() {
            let notes = self.notes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            let mut plain = Vec::new();
            LogBatch::of_notes(notes).write(&mut plain);
            put_record(&mut out, number, 0, &plain).map_err(LogStoreError::io("pack", &name))?;
        }
        if let Err(e) = file.append(&out) {
            let _ = self.disk.remove(&name);
            return Err(LogStoreError::io("write", &name)(e));
        }
        Ok(Open { number, file, len: out.len() as u64 })
    }

    /// Gives up the file after a failed call. One without anything acknowledged is removed to free its room.
    fn abandon(&mut self) {
        if let Some(open) = self.open.take()
            && open.number != self.good.file
        {
            let _ = self.disk.remove(&file_name(open.number));
        }
    }
}
