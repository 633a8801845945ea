//! Reading the records of one log segment. See [`crate::wal_record`] for what they are.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::Labels;

use crate::codec::{Corrupt, Reader, as_decimal, from_decimal, unzigzag};
use crate::histogram;
use crate::row::Row;
use crate::wal_record::{
    BATCH, DIFFERENCES, Deltas, FLAG_DENSE, FLAG_KEY, GROUP, GROUP_SERIES_MAX, HISTOGRAMS, PACKED,
    RECORD_MAX, SERIES, XOR,
};

/// What one record gave.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A definition.
    Definition,
    /// Samples: number of the group, and a row whose slots are those of the segment.
    Row(u64, Row),
    /// A batch that cannot be read because one before it is missing.
    OutOfStep,
}

/// Reads the records of one segment.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    groups: HashMap<u64, DecodedGroup>,
}

#[derive(Debug)]
pub(crate) struct DecodedGroup {
    pub(crate) target: Labels,
    /// By slot of the segment.
    pub(crate) series: Vec<Labels>,
    deltas: Deltas,
    in_step: bool,
}

impl Decoder {
    pub(crate) fn group(&self, id: u64) -> Option<&DecodedGroup> {
        self.groups.get(&id)
    }

    pub(crate) fn decode(&mut self, body: &[u8]) -> Result<Decoded, Corrupt> {
        let mut r = Reader::new(body);
        let kind = r.u8()?;
        if kind == PACKED {
            let plain = histogram::unpack(&mut r, RECORD_MAX)?;
            return match plain.first() {
                Some(&PACKED) => Err(Corrupt("a record is compressed twice")),
                _ => self.decode(&plain),
            };
        }
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
            HISTOGRAMS => self.histograms(id, &mut r),
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
        let cells = group.read_values(r, &present)?;
        group.deltas.seq += 1;
        group.deltas.time = at;
        group.in_step = true;
        Ok(Decoded::Row(id, Row::of_sorted(at, &cells, Vec::new())))
    }

    fn histograms(&mut self, id: u64, r: &mut Reader<'_>) -> Result<Decoded, Corrupt> {
        let (at, count) = (r.signed()?, r.count()?);
        let Some(group) = self.groups.get(&id) else { return Ok(Decoded::OutOfStep) };
        let mut found: Vec<(u32, Arc<wellkept_model::Histogram>)> = Vec::new();
        for _ in 0..count {
            let slot = r.size()?;
            if slot >= group.series.len() {
                return Ok(Decoded::OutOfStep);
            }
            let next = histogram::read(r, found.last().map(|h| h.1.as_ref()))?;
            found.push((slot as u32, Arc::new(next)));
        }
        Ok(Decoded::Row(id, Row::new(at, Vec::new(), found)))
    }
}

impl DecodedGroup {
    fn read_values(&mut self, r: &mut Reader<'_>, slots: &[usize]) -> Result<Vec<(u32, f64)>, Corrupt> {
        let bad = Corrupt("a batch names a series that its group does not have");
        let bits = r.take(slots.len().div_ceil(8))?;
        let mut cells = Vec::with_capacity(slots.len());
        for (i, &slot) in slots.iter().enumerate() {
            let value = self.deltas.values.get_mut(slot).ok_or(bad)?;
            if bits.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1) {
                *value = read_change(r, *value)?;
            }
            cells.push((slot as u32, *value));
        }
        Ok(cells)
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

fn read_labels(r: &mut Reader<'_>) -> Result<Labels, Corrupt> {
    let count = r.count()?;
    let pairs = (0..count).map(|_| Ok((r.text()?, r.text()?))).collect::<Result<Vec<_>, Corrupt>>()?;
    if pairs.is_sorted_by(|a, b| a.0 < b.0) { Ok(Labels::from_sorted(pairs)) } else { Ok(Labels::new(pairs)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use wellkept_model::{Batch, TimestampMs};

    use super::*;
    use crate::head::Head;
    use crate::registry::Registry;
    use crate::row::Prepared;
    use crate::wal_record::{Encoder, FRAME, frame_at};

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
            let group = head.group_for(&b.target);
            let samples = b.samples.iter();
            let cells = samples.map(|(l, v)| (head.slot_for(&mut registry, &group, l), *v)).collect();
            let row = Arc::new(Row::new(b.at.0, cells, Vec::new()));
            encoder.encode(&mut out, 7, 0, &Prepared { group, row });
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
        let mut batches = Vec::new();
        for body in bodies {
            if let Ok(Decoded::Row(id, row)) = decoder.decode(body) {
                let group = decoder.group(id).unwrap();
                let samples = row.iter().map(|(s, v)| (group.series[s as usize].clone(), v)).collect();
                let (at, target) = (TimestampMs(row.at), group.target.clone());
                batches.push(Batch { at, target, samples, ..Batch::default() });
            }
        }
        batches
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
            ..Batch::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_batches_come_back(
            raw in prop::collection::vec(
                (any::<i32>(), 0..3_u8, prop::collection::vec((0..20_u8, any::<u64>()), 1..12)),
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
            kind in 1..6_u8,
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
