//! One series within a group: which rows of the shared timestamps it has, and its values there.
//!
//! Chunks of the head and columns of blocks use the same form: when a series has every row, only its value column
//! is written; otherwise run lengths of absent and present rows come before it, so the cost follows the number
//! of samples, never rows times series.

use wellkept_model::{HistogramSample, TimestampMs};

use crate::codec::{Corrupt, Reader, put_varint};
use crate::column::{self, Effort};

/// Time (ms) and value.
pub(crate) type Cell = (i64, f64);

/// Writes `cells` (not empty, rising times, every time one of `times`).
pub(crate) fn encode(times: &[i64], cells: &[Cell], effort: Effort) -> Vec<u8> {
    let values: Vec<f64> = cells.iter().map(|c| c.1).collect();
    let column = column::encode(&values, effort);
    if cells.len() == times.len() {
        return column;
    }
    let mut out = presence(times, cells.iter().map(|c| c.0));
    out.extend_from_slice(&column);
    out
}

/// Bytes that it takes to say which of `times` the cells have.
pub(crate) fn presence_len(times: &[i64], cells: &[Cell]) -> usize {
    presence(times, cells.iter().map(|c| c.0)).len()
}

/// Writes histograms (not empty, rising times, every time one of `times`).
pub(crate) fn encode_histograms(times: &[i64], samples: &[HistogramSample]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if samples.len() < times.len() {
        out = presence(times, samples.iter().map(|s| s.at.0));
    }
    let histograms: Vec<_> = samples.iter().map(|s| std::sync::Arc::clone(&s.histogram)).collect();
    out.extend_from_slice(&crate::histogram::encode_column(&histograms)?);
    Ok(out)
}

/// Reads `count` histograms of `times` back.
pub(crate) fn decode_histograms(
    times: &[i64],
    count: usize,
    bytes: &[u8],
) -> Result<Vec<HistogramSample>, Corrupt> {
    let mut r = Reader::new(bytes);
    let rows = if count == times.len() { times.to_vec() } else { decode_presence(&mut r, times, count)? };
    let histograms = crate::histogram::decode_column(r.rest(), count)?;
    let samples = rows.into_iter().zip(histograms);
    Ok(samples.map(|(at, histogram)| HistogramSample { at: TimestampMs(at), histogram }).collect())
}

/// Reads `count` cells of `times` back.
pub(crate) fn decode(times: &[i64], count: usize, bytes: &[u8]) -> Result<Vec<Cell>, Corrupt> {
    if count == times.len() {
        let values = column::decode(bytes, count)?;
        return Ok(times.iter().copied().zip(values).collect());
    }
    let mut r = Reader::new(bytes);
    let rows = decode_presence(&mut r, times, count)?;
    Ok(rows.into_iter().zip(column::decode(r.rest(), count)?).collect())
}

/// Run lengths: absent, present, absent, … until all cells are named.
pub(crate) fn presence(times: &[i64], own: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut cells = own.peekable();
    let (mut run, mut present) = (0, false);
    for &time in times {
        let here = cells.next_if(|c| *c == time).is_some();
        if here != present {
            put_varint(&mut out, run);
            (run, present) = (0, here);
        }
        run += 1;
        if here && cells.peek().is_none() {
            break;
        }
    }
    put_varint(&mut out, run);
    out
}

pub(crate) fn decode_presence(r: &mut Reader<'_>, times: &[i64], count: usize) -> Result<Vec<i64>, Corrupt> {
    let bad = Corrupt("the rows of a series do not fit its group");
    let mut rows = Vec::with_capacity(count.min(times.len()));
    let mut at = 0_usize;
    while rows.len() < count {
        at = at.checked_add(r.size()?).ok_or(bad)?;
        let end = at.checked_add(r.size()?).ok_or(bad)?;
        rows.extend_from_slice(times.get(at..end).ok_or(bad)?);
        at = end;
    }
    if rows.len() == count { Ok(rows) } else { Err(bad) }
}

/// Joins runs of cells, each with rising times, into one with rising times; for equal times the later run wins.
pub(crate) fn merge(runs: Vec<Vec<Cell>>) -> Vec<Cell> {
    let mut all: Vec<Cell> = Vec::with_capacity(runs.iter().map(Vec::len).sum());
    let mut in_order = true;
    for run in runs {
        in_order &= match (all.last(), run.first()) {
            (Some(a), Some(b)) => a.0 < b.0,
            _ => true,
        };
        all.extend(run);
    }
    if !in_order {
        all.sort_by_key(|c| c.0);
        all.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_subset_of_rows_comes_back(
            rows in prop::collection::btree_map(-1000_i64..1000, prop::option::of(any::<f64>()), 1..80),
        ) {
            let times: Vec<i64> = rows.keys().copied().collect();
            let cells: Vec<Cell> = rows.iter().filter_map(|(t, v)| v.map(|v| (*t, v))).collect();
            prop_assume!(!cells.is_empty());
            let back = decode(&times, cells.len(), &encode(&times, &cells, Effort::Quick)).unwrap();
            let bits = |c: &[Cell]| c.iter().map(|c| (c.0, c.1.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&cells));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            rows in 1..50_i64,
            count in 0..60_usize,
        ) {
            let times: Vec<i64> = (0..rows).collect();
            let _ = decode(&times, count, &bytes);
        }
    }

    #[test]
    fn the_later_run_wins_where_times_are_equal() {
        let got = merge(vec![vec![(1, 1.0), (3, 3.0)], vec![(2, 2.0), (3, 4.0)], vec![(3, 5.0)]]);
        assert_eq!(got, [(1, 1.0), (2, 2.0), (3, 5.0)]);
    }
}
