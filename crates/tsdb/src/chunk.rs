//! Rows of one group, sealed: turned into columns and packed. In memory only.

use std::sync::Arc;

use crate::cells::Cell;
use crate::codec::{Corrupt, Reader, put_varint};
use crate::column;
use crate::pack;
use crate::row::{Row, RowHistogram};

/// Sealed rows of one group.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    rows: u32,
    /// Times, then the columns.
    data: Box<[u8]>,
    /// Where the columns of slots 0, 1, 2, … are, when all of them have every row: most groups are so.
    dense: Box<[u32]>,
    /// Else: slots that have values, rising.
    columns: Box<[Column]>,
    /// As they came: histograms are shared and not packed.
    histograms: Vec<(i64, RowHistogram)>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    slot: u32,
    offset: u32,
    count: u32,
}

/// Values by slot, while rows become columns.
struct Transposed {
    times: Vec<i64>,
    /// Of each slot: where its cells begin in `rows` and `values`, and how many there are.
    places: Vec<(u32, u32)>,
    rows: Vec<u32>,
    values: Vec<f64>,
}

impl Chunk {
    /// Packs rows, of which a later one holds over an earlier one at the same time. `None` without any row.
    pub(crate) fn seal(rows: &[Arc<Row>]) -> Option<Self> {
        let all = transpose(rows);
        let (min, max) = (rows.iter().map(|r| r.at).min()?, rows.iter().map(|r| r.at).max()?);
        let mut data = column::encode_times_quick(&all.times);
        let mut columns = Vec::new();
        for (slot, &(first, count)) in (0..).zip(&all.places) {
            let (from, to) = (first as usize, first as usize + count as usize);
            let (Some(places), Some(values)) = (all.rows.get(from..to), all.values.get(from..to)) else {
                continue;
            };
            if values.is_empty() {
                continue;
            }
            columns.push(Column { slot, offset: data.len() as u32, count });
            if values.len() < all.times.len() {
                put_presence(&mut data, places);
            }
            pack::encode(&mut data, values);
        }
        let dense =
            columns.iter().zip(0..).all(|(c, slot)| c.slot == slot && c.count as usize == all.times.len());
        let offsets = if dense { std::mem::take(&mut columns) } else { Vec::new() };
        let dense = offsets.into_iter().map(|c| c.offset).collect();
        let histograms = rows.iter().flat_map(|r| r.histograms.iter().map(|h| (r.at, h.clone()))).collect();
        let (rows, data, columns) = (all.times.len() as u32, data.into(), columns.into());
        Some(Self { min, max, rows, data, dense, columns, histograms })
    }

    pub(crate) fn times(&self) -> Result<Vec<i64>, Corrupt> {
        let mut r = Reader::new(&self.data);
        column::decode_times_quick(&mut r, self.rows as usize)
    }

    /// Whether a slot has any value here.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.column(slot).is_some()
    }

    /// Values in it.
    pub(crate) fn n_values(&self) -> u64 {
        let dense = self.dense.len() as u64 * u64::from(self.rows);
        dense + self.columns.iter().map(|c| u64::from(c.count)).sum::<u64>()
    }

    fn column(&self, slot: u32) -> Option<Column> {
        if let Some(&offset) = self.dense.get(slot as usize) {
            return Some(Column { slot, offset, count: self.rows });
        }
        let place = self.columns.binary_search_by_key(&slot, |c| c.slot).ok()?;
        self.columns.get(place).copied()
    }

    /// Hands each cell of one slot to `take`, in order of time; `times` as [`Self::times`] gave them.
    pub(crate) fn cells(&self, times: &[i64], slot: u32, mut take: impl FnMut(Cell)) -> Result<(), Corrupt> {
        let Some(column) = self.column(slot) else { return Ok(()) };
        let bytes = self.data.get(column.offset as usize..).unwrap_or_default();
        if column.count == self.rows {
            return pack::decode(bytes, times.len(), |i, value| {
                take((times.get(i).copied().unwrap_or_default(), value));
            });
        }
        let mut r = Reader::new(bytes);
        let places = read_presence(&mut r, column.count as usize, times.len())?;
        pack::decode(r.rest(), places.len(), |i, value| {
            let time = places.get(i).and_then(|&p| times.get(p as usize));
            take((time.copied().unwrap_or_default(), value));
        })
    }

    /// Histograms with their times, in order of writing.
    pub(crate) fn histograms(&self) -> &[(i64, RowHistogram)] {
        &self.histograms
    }

    /// Memory that it takes, bytes.
    pub(crate) fn memory(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|h| 32 + crate::histogram::memory(&h.1.1)).sum();
        size_of::<Self>()
            + 64
            + self.data.len()
            + self.dense.len() * 4
            + self.columns.len() * size_of::<Column>()
            + histograms
    }
}

fn transpose(rows: &[Arc<Row>]) -> Transposed {
    let mut ordered: Vec<&Row> = rows.iter().map(Arc::as_ref).filter(|r| r.n_values() > 0).collect();
    if !ordered.is_sorted_by_key(|r| r.at) {
        // Stable: of rows with one time the later written stays later.
        ordered.sort_by_key(|r| r.at);
    }
    let mut times: Vec<i64> = ordered.iter().map(|r| r.at).collect();
    times.dedup();
    let width = ordered.iter().filter_map(|r| r.slots_end()).max().unwrap_or(0);
    let mut places = vec![(0_u32, 0_u32); width as usize];
    for row in &ordered {
        for (slot, _) in row.iter() {
            if let Some(place) = places.get_mut(slot as usize) {
                place.1 += 1;
            }
        }
    }
    let mut all = 0;
    for place in &mut places {
        place.0 = all;
        all += std::mem::take(&mut place.1);
    }
    let mut cells =
        Transposed { times, places, rows: vec![0; all as usize], values: vec![0.0; all as usize] };
    let mut number = 0;
    let mut before = None;
    for row in ordered {
        if before.is_some_and(|b| b != row.at) {
            number += 1;
        }
        before = Some(row.at);
        cells.put(number, row);
    }
    cells
}

impl Transposed {
    fn put(&mut self, number: u32, row: &Row) {
        for (slot, value) in row.iter() {
            let Some((first, count)) = self.places.get_mut(slot as usize) else { continue };
            let next = (*first + *count) as usize;
            // The same time again: the later value holds.
            let again = *count > 0 && next.checked_sub(1).and_then(|p| self.rows.get(p)) == Some(&number);
            let place = if again { next - 1 } else { next };
            *count += u32::from(!again);
            if let (Some(r), Some(v)) = (self.rows.get_mut(place), self.values.get_mut(place)) {
                (*r, *v) = (number, value);
            }
        }
    }
}

/// Gaps and run lengths of the rows that a column has.
fn put_presence(out: &mut Vec<u8>, places: &[u32]) {
    let mut end = 0;
    for run in places.chunk_by(|a, b| a + 1 == *b) {
        let first = run.first().copied().unwrap_or(0);
        put_varint(out, u64::from(first - end));
        put_varint(out, run.len() as u64);
        end = first + run.len() as u32;
    }
}

fn read_presence(r: &mut Reader<'_>, count: usize, rows: usize) -> Result<Vec<u32>, Corrupt> {
    let bad = Corrupt("the rows of a chunk's column do not add up");
    let (mut places, mut at) = (Vec::with_capacity(count.min(rows)), 0_usize);
    while places.len() < count {
        at = at.checked_add(r.size()?).ok_or(bad)?;
        let end = at.checked_add(r.size()?).filter(|&e| e > at && e <= rows).ok_or(bad)?;
        places.extend(at as u32..end as u32);
        at = end;
    }
    if places.len() == count { Ok(places) } else { Err(bad) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_comes_back_with_the_last_write_of_each_time(
            raw in prop::collection::vec((0..20_i64, prop::collection::vec((0..6_u32, any::<u64>()), 0..8)), 1..40),
        ) {
            let mut want: BTreeMap<(u32, i64), u64> = BTreeMap::new();
            let rows: Vec<Arc<Row>> = raw.into_iter().map(|(at, cells)| {
                for &(slot, bits) in &cells {
                    want.insert((slot, at), bits);
                }
                Arc::new(Row::new(at, cells.into_iter().map(|(s, b)| (s, f64::from_bits(b))).collect(), Vec::new()))
            }).collect();
            let chunk = Chunk::seal(&rows).unwrap();
            let times = chunk.times().unwrap();
            prop_assert!(times.is_sorted_by(|a, b| a < b));
            let mut got = BTreeMap::new();
            for slot in 0..7 {
                chunk.cells(&times, slot, |(at, v)| { got.insert((slot, at), v.to_bits()); }).unwrap();
            }
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn sealed_rows_are_small() {
        let rows: Vec<Arc<Row>> = (0..60_i64)
            .map(|i| {
                let cells = (0..50).map(|s| (s, (i * i64::from(s % 9)) as f64)).collect();
                Arc::new(Row::new(i * 15_000, cells, Vec::new()))
            })
            .collect();
        let chunk = Chunk::seal(&rows).unwrap();
        assert!(chunk.memory() < 3000, "{} bytes for 3,000 samples", chunk.memory());
        assert_eq!(chunk.n_values(), 3000);
    }
}
