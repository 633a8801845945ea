//! Records of the log, as bytes: target groups, their series, and batches.
//!
//! A batch is one header and a run of values, each written as its difference to the previous value of the same
//! series, unchanged ones as one bit. So a record can only be read when all before it were: it carries a sequence
//! number, and a reader that is out of step drops the group's records until the next *key* record, which starts
//! from zero. That way a lost record is a gap and never a wrong number.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::{Batch, Labels, TimestampMs};

use crate::codec::{
    Corrupt, Reader, as_decimal, crc32, from_decimal, put_text, put_varint, unzigzag, zigzag,
};
use crate::head::{GroupDef, Prepared};

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

const GROUP: u8 = 1;
const SERIES: u8 = 2;
const BATCH: u8 = 3;

const FLAG_KEY: u8 = 1;
const FLAG_DENSE: u8 = 2;

/// How a change is written, with the decimal scale of whole-number differences.
const DIFFERENCES: [(u64, u32); 3] = [(0, 0), (1, 2), (3, 6)];
const XOR: u64 = 2;

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
struct Deltas {
    seq: u64,
    time: i64,
    values: Vec<f64>,
}

impl Deltas {
    fn reset(&mut self) {
        self.time = 0;
        self.values.fill(0.0);
    }
}

/// Writes records into one segment.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    groups: HashMap<usize, (u64, Arc<GroupDef>, Deltas)>,
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
        if !known {
            let mut body = vec![GROUP];
            put_varint(&mut body, *id);
            put_labels(&mut body, &group.target);
            put_frame(out, segment, base, &body);
        }
        if deltas.values.len() < group.len() {
            put_series(out, segment, base, *id, group, deltas);
        }
        let body = batch_body(*id, deltas, batch);
        put_frame(out, segment, base, &body);
    }
}

fn put_series(out: &mut Vec<u8>, segment: u64, base: u64, id: u64, group: &GroupDef, deltas: &mut Deltas) {
    // Pieces, so that a group with very many series still makes records of bounded length.
    for piece in group.labels_from(deltas.values.len()).chunks(1024) {
        let mut body = vec![SERIES];
        put_varint(&mut body, id);
        put_varint(&mut body, deltas.values.len() as u64);
        put_varint(&mut body, piece.len() as u64);
        for labels in piece {
            put_labels(&mut body, labels);
        }
        put_frame(out, segment, base, &body);
        deltas.values.resize(deltas.values.len() + piece.len(), 0.0);
    }
}

fn batch_body(id: u64, deltas: &mut Deltas, batch: &Prepared) -> Vec<u8> {
    let key = deltas.seq.is_multiple_of(KEY_EVERY);
    if key {
        deltas.reset();
    }
    let dense = batch.values.len() == deltas.values.len();
    let mut body = vec![BATCH];
    put_varint(&mut body, id);
    put_varint(&mut body, deltas.seq);
    put_varint(&mut body, deltas.values.len() as u64);
    body.push(if key { FLAG_KEY } else { 0 } | if dense { FLAG_DENSE } else { 0 });
    put_varint(&mut body, zigzag(batch.at.wrapping_sub(deltas.time)));
    if !dense {
        put_slots(&mut body, &batch.values);
    }
    put_values(&mut body, &mut deltas.values, &batch.values);
    deltas.seq += 1;
    deltas.time = batch.at;
    body
}

/// Which slots a batch has: gaps and run lengths.
fn put_slots(body: &mut Vec<u8>, values: &[(u32, f64)]) {
    put_varint(body, values.len() as u64);
    let mut end = 0;
    for run in values.chunk_by(|a, b| a.0 + 1 == b.0) {
        let first = run.first().map_or(0, |v| v.0);
        put_varint(body, u64::from(first - end));
        put_varint(body, run.len() as u64);
        end = first + run.len() as u32;
    }
}

/// One bit per value (changed), then the changes.
fn put_values(body: &mut Vec<u8>, previous: &mut [f64], values: &[(u32, f64)]) {
    let bits_at = body.len();
    body.resize(bits_at + values.len().div_ceil(8), 0);
    for (i, &(slot, value)) in values.iter().enumerate() {
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

fn read_change(r: &mut Reader<'_>, before: f64) -> Result<f64, Corrupt> {
    let head = r.varint()?;
    let (tag, rest) = (head & 3, head >> 2);
    if tag == XOR {
        let (lead, trail) = ((rest >> 3) as usize, (rest & 7) as usize);
        let len =
            8_usize.checked_sub(lead + trail).filter(|_| lead < 8).ok_or(Corrupt("a change is too long"))?;
        let mut xor = [0; 8];
        xor.get_mut(trail..trail + len).ok_or(Corrupt("a change is too long"))?.copy_from_slice(r.take(len)?);
        return Ok(f64::from_bits(before.to_bits() ^ u64::from_le_bytes(xor)));
    }
    let scale = DIFFERENCES.iter().find(|d| d.0 == tag).map_or(0, |d| d.1);
    let a = as_decimal(before, scale).ok_or(Corrupt("a change does not fit the value before it"))?;
    Ok(from_decimal(a.wrapping_add(unzigzag(rest)), scale))
}

fn put_labels(body: &mut Vec<u8>, labels: &Labels) {
    put_varint(body, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_text(body, name);
        put_text(body, value);
    }
}

fn read_labels(r: &mut Reader<'_>) -> Result<Labels, Corrupt> {
    let count = r.count()?;
    let pairs = (0..count).map(|_| Ok((r.text()?.to_owned(), r.text()?.to_owned())));
    Ok(Labels::new(pairs.collect::<Result<Vec<_>, Corrupt>>()?))
}

/// What one record gave.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A definition.
    Definition,
    /// A batch.
    Batch(Batch),
    /// A batch that cannot be read because one before it is missing.
    OutOfStep,
}

/// Reads the records of one segment.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    groups: HashMap<u64, DecodedGroup>,
}

#[derive(Debug)]
struct DecodedGroup {
    target: Labels,
    series: Vec<Labels>,
    deltas: Deltas,
    in_step: bool,
}

impl Decoder {
    pub(crate) fn decode(&mut self, body: &[u8]) -> Result<Decoded, Corrupt> {
        let mut r = Reader::new(body);
        let kind = r.u8()?;
        let id = r.varint()?;
        match kind {
            GROUP => {
                let target = read_labels(&mut r)?;
                let group =
                    DecodedGroup { target, series: Vec::new(), deltas: Deltas::default(), in_step: false };
                self.groups.insert(id, group);
                Ok(Decoded::Definition)
            }
            SERIES => self.series(id, &mut r),
            BATCH => self.batch(id, &mut r),
            _ => Err(Corrupt("a record has an unknown kind")),
        }
    }

    fn series(&mut self, id: u64, r: &mut Reader<'_>) -> Result<Decoded, Corrupt> {
        let first = r.size()?;
        let count = r.count()?;
        let Some(group) = self.groups.get_mut(&id).filter(|g| g.series.len() == first) else {
            return Ok(Decoded::Definition);
        };
        if first + count > GROUP_SERIES_MAX {
            return Err(Corrupt("a group has too many series"));
        }
        let labels = (0..count).map(|_| read_labels(r)).collect::<Result<Vec<_>, Corrupt>>()?;
        group.series.extend(labels);
        group.deltas.values.resize(group.series.len(), 0.0);
        Ok(Decoded::Definition)
    }

    fn batch(&mut self, id: u64, r: &mut Reader<'_>) -> Result<Decoded, Corrupt> {
        let (seq, slots, flags) = (r.varint()?, r.size()?, r.u8()?);
        let Some(group) = self.groups.get_mut(&id).filter(|g| g.series.len() == slots) else {
            return Ok(Decoded::OutOfStep);
        };
        if flags & FLAG_KEY != 0 {
            group.deltas.reset();
            group.deltas.seq = seq;
            group.in_step = true;
        }
        if !group.in_step || group.deltas.seq != seq {
            group.in_step = false;
            return Ok(Decoded::OutOfStep);
        }
        // Until the whole record is read, the group counts as out of step.
        group.in_step = false;
        let at = group.deltas.time.wrapping_add(r.signed()?);
        let present = if flags & FLAG_DENSE != 0 { (0..slots).collect() } else { read_slots(r, slots)? };
        let samples = group.read_values(r, &present)?;
        group.deltas.seq += 1;
        group.deltas.time = at;
        group.in_step = true;
        Ok(Decoded::Batch(Batch { at: TimestampMs(at), target: group.target.clone(), samples }))
    }
}

impl DecodedGroup {
    fn read_values(&mut self, r: &mut Reader<'_>, slots: &[usize]) -> Result<Vec<(Labels, f64)>, Corrupt> {
        let bad = Corrupt("a batch names a series that its group does not have");
        let bits = r.take(slots.len().div_ceil(8))?;
        let mut samples = Vec::with_capacity(slots.len());
        for (i, &slot) in slots.iter().enumerate() {
            let value = self.deltas.values.get_mut(slot).ok_or(bad)?;
            if bits.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1) {
                *value = read_change(r, *value)?;
            }
            samples.push((self.series.get(slot).ok_or(bad)?.clone(), *value));
        }
        Ok(samples)
    }
}

fn read_slots(r: &mut Reader<'_>, slots: usize) -> Result<Vec<usize>, Corrupt> {
    let bad = Corrupt("the series of a batch do not add up");
    let count = r.size()?;
    if count > slots {
        return Err(bad);
    }
    let (mut present, mut at) = (Vec::with_capacity(count), 0_usize);
    while present.len() < count {
        at = at.checked_add(r.size()?).ok_or(bad)?;
        let end = at.checked_add(r.size()?).filter(|&e| e > at && e <= slots).ok_or(bad)?;
        present.extend(at..end);
        at = end;
    }
    if present.len() == count { Ok(present) } else { Err(bad) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::head::Head;
    use crate::registry::Registry;

    fn bits(batch: &Batch) -> (i64, Vec<(Labels, u64)>) {
        let mut samples: Vec<_> = batch.samples.iter().map(|(l, v)| (l.clone(), v.to_bits())).collect();
        samples.sort();
        (batch.at.0, samples)
    }

    /// Encodes batches as one segment would have them and gives each record's body.
    fn records(batches: &[Batch]) -> Vec<Vec<u8>> {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        for b in batches {
            let prepared = head.insert(&mut registry, b, i64::MAX).unwrap();
            encoder.encode(&mut out, 7, 0, &prepared);
        }
        let (mut at, mut bodies) = (0, Vec::new());
        while at < out.len() {
            let body = frame_at(&out, 7, at).unwrap();
            at += FRAME + body.len();
            bodies.push(body.to_vec());
        }
        bodies
    }

    fn read(bodies: &[Vec<u8>]) -> Vec<Batch> {
        let mut decoder = Decoder::default();
        let decoded = bodies.iter().filter_map(|b| match decoder.decode(b) {
            Ok(Decoded::Batch(batch)) => Some(batch),
            _ => None,
        });
        decoded.collect()
    }

    fn batch(at: i64, target: &str, samples: &[(u8, u64)]) -> Batch {
        let samples: std::collections::BTreeMap<u8, u64> = samples.iter().copied().collect();
        Batch {
            at: TimestampMs(at),
            target: Labels::new([("t", target)]),
            samples: samples
                .into_iter()
                .map(|(n, v)| (Labels::metric("m", [("n", n.to_string().as_str())]), f64::from_bits(v)))
                .collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_batches_come_back(
            raw in prop::collection::vec(
                (any::<i32>(), 0..3_u8, prop::collection::vec((0..20_u8, any::<u64>()), 0..12)),
                1..100,
            ),
        ) {
            let batches: Vec<Batch> =
                raw.iter().map(|(at, t, s)| batch(i64::from(*at), &t.to_string(), s)).collect();
            let back = read(&records(&batches));
            prop_assert_eq!(back.iter().map(bits).collect::<Vec<_>>(), batches.iter().map(bits).collect::<Vec<_>>());
        }

        #[test]
        fn lost_records_are_gaps_and_never_wrong_numbers(
            lost in prop::collection::btree_set(0..200_usize, 0..80),
            start in 0..50_i64,
        ) {
            let value = |i: i64, n: i64| ((start + i * n) as f64).to_bits();
            let batches: Vec<Batch> =
                (0..190_i64).map(|i| batch(i * 1000, "x", &[(1, value(i, 1)), (2, value(i, 3))])).collect();
            let mut bodies = records(&batches);
            let mut number = 0;
            bodies.retain(|_| { number += 1; !lost.contains(&(number - 1)) });
            let good: std::collections::HashSet<_> = batches.iter().map(bits).collect();
            for b in read(&bodies) {
                prop_assert!(good.contains(&bits(&b)));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..10),
            kind in 1..4_u8,
        ) {
            let mut decoder = Decoder::default();
            for mut body in records(&[batch(1, "x", &[(1, 5), (2, 6)])]).into_iter().chain(bodies) {
                let _ = decoder.decode(&body);
                if let Some(first) = body.first_mut() { *first = kind; }
                let _ = decoder.decode(&body);
            }
        }
    }

    #[test]
    fn a_lost_whole_key_period_is_noticed() {
        let batches: Vec<Batch> = (0..200_i64).map(|i| batch(i, "x", &[(1, (i as f64).to_bits())])).collect();
        let mut bodies = records(&batches);
        // Group, series, then batches: sixty from number 5 on, one key record among them.
        bodies.drain(7..67);
        let back = read(&bodies);
        assert!(back.iter().all(|b| b.samples[0].1 == b.at.0 as f64));
        assert_eq!(back.len(), 5 + 80);
    }

    #[test]
    fn a_steady_batch_costs_less_than_a_byte_a_sample() {
        let steady: Vec<Batch> = (0..60_i64)
            .map(|i| {
                let samples: Vec<(u8, u64)> =
                    (0..200).map(|n| (n, (if n % 3 == 0 { i as f64 } else { 1.0 }).to_bits())).collect();
                batch(i * 1000, "x", &samples)
            })
            .collect();
        let last = records(&steady).pop().unwrap();
        assert!(last.len() < 200, "{} bytes for 200 samples", last.len());
    }
}
