//! Records of the log, as bytes: target groups, their series, and batches.
//!
//! A batch is one header and a run of values, each written as its difference to the previous value of the same
//! series, unchanged ones as one bit. So a record can only be read when all before it were: it carries a sequence
//! number, and a reader that is out of step drops the group's records until the next *key* record, which starts
//! from zero. That way a lost record is a gap and never a wrong number.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::Labels;

use crate::codec::{Reader, as_decimal, crc32, put_text, put_varint, zigzag};
use crate::row::{GroupDef, Prepared, Row};

/// Begins every record, so that a reader finds the next one after a damaged stretch.
const MARK: [u8; 2] = [0xb7, 0x5e];

/// Mark, length, checksum.
pub(crate) const FRAME: usize = 2 + 4 + 4;

/// Longest body of a record, bytes; a batch of a million samples stays below.
pub(crate) const RECORD_MAX: usize = 32 << 20;

/// Most series of one target group.
pub(crate) const GROUP_SERIES_MAX: usize = 1 << 20;

/// Batches of a group from one key record to the next: a damaged record costs at most this many.
const KEY_EVERY: u64 = 60;

pub(crate) const GROUP: u8 = 1;
pub(crate) const SERIES: u8 = 2;
pub(crate) const BATCH: u8 = 3;
pub(crate) const HISTOGRAMS: u8 = 4;
/// Another record, compressed.
pub(crate) const PACKED: u8 = 5;

/// Bodies of definitions from this length on are compressed, bytes.
const PACK_FROM: usize = 256;

pub(crate) const FLAG_KEY: u8 = 1;
pub(crate) const FLAG_DENSE: u8 = 2;

/// How a change is written, with the decimal scale of whole-number differences.
pub(crate) const DIFFERENCES: [(u64, u32); 3] = [(0, 0), (1, 2), (3, 6)];
pub(crate) const XOR: u64 = 2;

/// Adds the frame. Segment number and offset go into the checksum: a record is only valid where it was written.
fn put_frame(out: &mut Vec<u8>, segment: u64, base: u64, body: &[u8]) {
    let offset = base + out.len() as u64;
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(segment, offset, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(segment: u64, offset: u64, body: &[u8]) -> u32 {
    crc32(&[&segment.to_le_bytes(), &offset.to_le_bytes(), &(body.len() as u32).to_le_bytes(), body])
}

/// The body of the record at `offset` of a segment's `bytes`, when a whole and undamaged one is there.
pub(crate) fn frame_at(bytes: &[u8], segment: u64, offset: usize) -> Option<&[u8]> {
    let mut r = Reader::new(bytes.get(offset..)?);
    if r.take(2).ok()? != MARK {
        return None;
    }
    let len = r.u32().ok()? as usize;
    let sum = r.u32().ok()?;
    let body = r.take(len).ok().filter(|_| len <= RECORD_MAX)?;
    (checksum(segment, offset as u64, body) == sum).then_some(body)
}

/// What a segment knows of one group; the writer's and the reader's copies stay equal.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    pub(crate) seq: u64,
    pub(crate) time: i64,
    pub(crate) values: Vec<f64>,
}

impl Deltas {
    pub(crate) fn reset(&mut self) {
        self.time = 0;
        self.values.fill(0.0);
    }
}

/// Writes records into one segment.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    groups: HashMap<usize, (u64, Arc<GroupDef>, Deltas)>,
    /// Bytes of definitions so far: they are repeated in every segment, so a segment should hold much besides.
    pub(crate) definitions: u64,
    body: Vec<u8>,
}

impl Encoder {
    /// Appends the records that a batch needs. `base`: where `out` will stand in the segment.
    pub(crate) fn encode(&mut self, out: &mut Vec<u8>, segment: u64, base: u64, batch: &Prepared) {
        let next = self.groups.len() as u64;
        let key = Arc::as_ptr(&batch.group).addr();
        let known = self.groups.contains_key(&key);
        // The Arc is kept, so the address cannot come to mean another group.
        let (id, group, deltas) =
            self.groups.entry(key).or_insert_with(|| (next, Arc::clone(&batch.group), Deltas::default()));
        let before = out.len();
        if !known {
            let mut body = vec![GROUP];
            put_varint(&mut body, *id);
            put_labels(&mut body, &group.target);
            put_frame(out, segment, base, &body);
        }
        if deltas.values.len() < group.len() {
            put_series(out, segment, base, *id, group, deltas);
        }
        self.definitions += (out.len() - before) as u64;
        if batch.row.n_values() > 0 {
            self.body.clear();
            batch_body(&mut self.body, *id, deltas, &batch.row);
            put_frame(out, segment, base, &self.body);
        }
        if !batch.row.histograms.is_empty() {
            put_histograms(out, segment, base, *id, &batch.row);
        }
    }
}

fn put_series(out: &mut Vec<u8>, segment: u64, base: u64, id: u64, group: &GroupDef, deltas: &mut Deltas) {
    // Pieces, so that a group with very many series still makes records of bounded length.
    let labels = group.labels();
    for piece in labels.get(deltas.values.len()..).unwrap_or_default().chunks(1024) {
        let mut body = vec![SERIES];
        put_varint(&mut body, id);
        put_varint(&mut body, deltas.values.len() as u64);
        put_varint(&mut body, piece.len() as u64);
        for labels in piece {
            put_labels(&mut body, labels);
        }
        put_frame(out, segment, base, &packed(body));
        deltas.values.resize(deltas.values.len() + piece.len(), 0.0);
    }
}

/// The body under `zstd`, where that is shorter: definitions are mostly one name after the other.
fn packed(body: Vec<u8>) -> Vec<u8> {
    if body.len() < PACK_FROM {
        return body;
    }
    let mut out = vec![PACKED];
    put_varint(&mut out, body.len() as u64);
    match zstd::bulk::compress(&body, 1) {
        Ok(small) if small.len() + out.len() < body.len() => {
            out.extend_from_slice(&small);
            out
        }
        _ => body,
    }
}

/// Histograms stand by themselves: each record can be read when the group is known.
fn put_histograms(out: &mut Vec<u8>, segment: u64, base: u64, id: u64, row: &Row) {
    for piece in row.histograms.chunks(64) {
        let mut body = vec![HISTOGRAMS];
        put_varint(&mut body, id);
        put_varint(&mut body, zigzag(row.at));
        put_varint(&mut body, piece.len() as u64);
        let mut before = None;
        for (slot, histogram) in piece {
            put_varint(&mut body, u64::from(*slot));
            crate::histogram::put(&mut body, histogram, before);
            before = Some(histogram);
        }
        put_frame(out, segment, base, &packed(body));
    }
}

fn batch_body(body: &mut Vec<u8>, id: u64, deltas: &mut Deltas, row: &Row) {
    let key = deltas.seq.is_multiple_of(KEY_EVERY);
    if key {
        deltas.reset();
    }
    let dense = row.is_dense() && row.n_values() == deltas.values.len();
    body.push(BATCH);
    put_varint(body, id);
    put_varint(body, deltas.seq);
    put_varint(body, deltas.values.len() as u64);
    body.push(if key { FLAG_KEY } else { 0 } | if dense { FLAG_DENSE } else { 0 });
    put_varint(body, zigzag(row.at.wrapping_sub(deltas.time)));
    if !dense {
        put_slots(body, row);
    }
    put_values(body, &mut deltas.values, row);
    deltas.seq += 1;
    deltas.time = row.at;
}

/// Which slots a batch has: gaps and run lengths.
fn put_slots(body: &mut Vec<u8>, row: &Row) {
    put_varint(body, row.n_values() as u64);
    if row.is_dense() {
        put_varint(body, 0);
        put_varint(body, row.n_values() as u64);
        return;
    }
    let (mut end, mut run) = (0, None);
    for (slot, _) in row.iter() {
        match run {
            Some((_, next)) if next == slot => {}
            Some((first, next)) => {
                put_varint(body, u64::from(first - end));
                put_varint(body, u64::from(next - first));
                end = next;
                run = Some((slot, slot));
            }
            None => run = Some((slot, slot)),
        }
        run = run.map(|(first, _)| (first, slot + 1));
    }
    if let Some((first, next)) = run {
        put_varint(body, u64::from(first - end));
        put_varint(body, u64::from(next - first));
    }
}

/// One bit per value (changed), then the changes.
fn put_values(body: &mut Vec<u8>, previous: &mut [f64], row: &Row) {
    let bits_at = body.len();
    body.resize(bits_at + row.n_values().div_ceil(8), 0);
    for (i, (slot, value)) in row.iter().enumerate() {
        let Some(before) = previous.get_mut(slot as usize) else { continue };
        if before.to_bits() == value.to_bits() {
            continue;
        }
        if let Some(byte) = body.get_mut(bits_at + i / 8) {
            *byte |= 1 << (i % 8);
        }
        put_change(body, *before, value);
        *before = value;
    }
}

/// A difference of whole numbers over 1, 100 or 10^6 where that is exact, else the bytes that differ.
fn put_change(body: &mut Vec<u8>, before: f64, value: f64) {
    for (tag, scale) in DIFFERENCES {
        if let (Some(a), Some(b)) = (as_decimal(before, scale), as_decimal(value, scale)) {
            put_varint(body, (zigzag(b - a) << 2) | tag);
            return;
        }
    }
    let xor = before.to_bits() ^ value.to_bits();
    let (lead, trail) = (xor.leading_zeros() / 8, xor.trailing_zeros() / 8);
    put_varint(body, (u64::from(lead << 3 | trail) << 2) | XOR);
    let bytes = xor.to_le_bytes();
    body.extend_from_slice(bytes.get(trail as usize..8 - lead as usize).unwrap_or_default());
}

fn put_labels(body: &mut Vec<u8>, labels: &Labels) {
    put_varint(body, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_text(body, name);
        put_text(body, value);
    }
}
