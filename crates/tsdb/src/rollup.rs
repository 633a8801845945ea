//! Consolidated rows: what remains of old samples, one row for each stretch of time.
//!
//! A row keeps the first, last, least and greatest sample of its stretch, their sum and number, and by how much the
//! series fell in between, so that means, extremes and the growth of a counter across its resets stay right. The row
//! of the stretch `(t - r, t]` stands at `t`, as PromQL's windows are open at their beginning. A column holds seven
//! columns one after the other; one that equals an earlier one (of a constant, most do) is a reference.

use wellkept_model::{Aggregate, is_stale};

use crate::cells::{self, Cell};
use crate::codec::{Corrupt, Reader, put_varint};
use crate::column::{self, Effort};

/// One series in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// End of the stretch, ms.
    pub(crate) at: i64,
    first: f64,
    last: f64,
    min: f64,
    max: f64,
    sum: f64,
    count: f64,
    /// Sum of the values from which the series fell: what a counter had reached before each reset.
    drops: f64,
}

const FIELDS: usize = 7;

impl Row {
    fn begin(at: i64, v: f64) -> Self {
        Self { at, first: v, last: v, min: v, max: v, sum: v, count: 1.0, drops: 0.0 }
    }

    fn add(&mut self, v: f64) {
        if v < self.last {
            self.drops += self.last;
        }
        self.last = v;
        // `min` and `max` of Rust prefer a number over NaN, as PromQL does.
        self.min = self.min.min(v);
        self.max = self.max.max(v);
        self.sum += v;
        self.count += 1.0;
    }

    fn fields(&self) -> [f64; FIELDS] {
        [self.first, self.last, self.min, self.max, self.sum, self.count, self.drops]
    }

    fn of(at: i64, fields: [f64; FIELDS]) -> Self {
        let [first, last, min, max, sum, count, drops] = fields;
        Self { at, first, last, min, max, sum, count, drops }
    }

    /// By how much a counter grew from an earlier value to the end of this stretch.
    pub(crate) fn growth_after(&self, before: f64) -> f64 {
        self.growth() + if self.first < before { self.first } else { self.first - before }
    }

    /// By how much a counter grew within the stretch.
    fn growth(&self) -> f64 {
        self.last - self.first + self.drops
    }
}

/// The end of the stretch of length `resolution` in which a time lies.
pub(crate) fn stretch_end(at: i64, resolution: i64) -> i64 {
    // The time before is in the same stretch, unless it is the end of the one before.
    at.saturating_sub(1).div_euclid(resolution).saturating_add(1).saturating_mul(resolution)
}

/// Rows of samples in order of time; stale markers are no samples.
pub(crate) fn consolidate(cells: &[Cell], resolution: i64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for &(at, value) in cells.iter().filter(|c| !is_stale(c.1)) {
        let end = stretch_end(at, resolution);
        match rows.last_mut() {
            Some(row) if row.at == end => row.add(value),
            _ => rows.push(Row::begin(end, value)),
        }
    }
    rows
}

/// Writes rows (not empty) of a series of a group that has `times`.
pub(crate) fn encode(times: &[i64], rows: &[Row], effort: Effort) -> Vec<u8> {
    let mut out = Vec::new();
    if rows.len() < times.len() {
        out = cells::presence(times, rows.iter().map(|r| r.at));
    }
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); FIELDS];
    for row in rows {
        columns.iter_mut().zip(row.fields()).for_each(|(column, value)| column.push(value));
    }
    let bits = |c: &[f64]| c.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    for (i, values) in columns.iter().enumerate() {
        let same = columns.iter().take(i).position(|c| bits(c) == bits(values));
        if let Some(same) = same {
            put_varint(&mut out, 0);
            put_varint(&mut out, same as u64);
        } else {
            let bytes = column::encode(values, effort);
            put_varint(&mut out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
        }
    }
    out
}

/// Reads `count` rows back.
pub(crate) fn decode(times: &[i64], count: u32, bytes: &[u8]) -> Result<Vec<Row>, Corrupt> {
    let count = count as usize;
    let mut r = Reader::new(bytes);
    let own =
        if count == times.len() { times.to_vec() } else { cells::decode_presence(&mut r, times, count)? };
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(FIELDS);
    for _ in 0..FIELDS {
        let len = r.count()?;
        let values = if len == 0 {
            let same = r.size()?;
            columns.get(same).ok_or(Corrupt("a column refers to one that is not there"))?.clone()
        } else {
            column::decode(r.take(len)?, count)?
        };
        columns.push(values);
    }
    let field =
        |column: usize, row: usize| columns.get(column).and_then(|c| c.get(row)).copied().unwrap_or(f64::NAN);
    Ok(own
        .into_iter()
        .enumerate()
        .map(|(row, at)| Row::of(at, std::array::from_fn(|f| field(f, row))))
        .collect())
}

/// What a function of PromQL needs of a row.
pub(crate) fn aggregate_for(func: &str) -> Aggregate {
    match func {
        "rate" | "increase" | "irate" => Aggregate::Counter,
        "min_over_time" => Aggregate::Min,
        "max_over_time" => Aggregate::Max,
        "sum_over_time" => Aggregate::Sum,
        "count_over_time" => Aggregate::Count,
        "avg_over_time" => Aggregate::Average,
        _ => Aggregate::Last,
    }
}

/// One value of each row.
pub(crate) fn values(rows: &[Row], aggregate: Aggregate) -> Vec<Cell> {
    if aggregate == Aggregate::Counter {
        return counter(rows);
    }
    let value = |row: &Row| match aggregate {
        Aggregate::Min => row.min,
        Aggregate::Max => row.max,
        Aggregate::Sum => row.sum,
        Aggregate::Count => row.count,
        Aggregate::Average => row.sum / row.count,
        Aggregate::Last | Aggregate::Counter => row.last,
    };
    rows.iter().map(|row| (row.at, value(row))).collect()
}

/// A counter that ends at the last value and grew as the real one did, told backwards.
fn counter(rows: &[Row]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::with_capacity(rows.len());
    let mut value = rows.last().map_or(0.0, |r| r.last);
    for (i, row) in rows.iter().enumerate().rev() {
        cells.push((row.at, value));
        // Between two rows the counter was reset when the later one begins below the end of the earlier one.
        let before = i.checked_sub(1).and_then(|b| rows.get(b));
        value -= before.map_or(0.0, |b| row.growth_after(b.last));
    }
    cells.reverse();
    cells
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const R: i64 = 300_000;

    /// Growth of a counter as PromQL adds it up.
    fn growth(cells: &[Cell]) -> f64 {
        cells.windows(2).map(|w| if w[1].1 < w[0].1 { w[1].1 } else { w[1].1 - w[0].1 }).sum()
    }

    #[test]
    fn a_stretch_is_open_at_its_beginning() {
        assert_eq!([1, R - 1, R, R + 1].map(|t| stretch_end(t, R)), [R, R, R, 2 * R]);
        assert_eq!([0, -1, -R, -R - 1].map(|t| stretch_end(t, R)), [0, 0, -R, -R]);
    }

    #[test]
    fn a_reset_that_no_row_shows_counts() {
        let values = [10.0, 20.0, 5.0, 30.0, 40.0, 2.0, 50.0];
        let cells: Vec<Cell> = (1..).map(|i| i * 100_000).zip(values).collect();
        let rows = consolidate(&cells, R);
        let counter = values_of(&rows, Aggregate::Counter);
        assert!(counter.is_sorted_by(|a, b| a.1 <= b.1), "no reset is left: {counter:?}");
        assert_eq!(counter.last().unwrap().1, 50.0);
        // From the end of the first row on.
        assert_eq!(growth(&counter), growth(&cells[2..]));
    }

    fn values_of(rows: &[Row], aggregate: Aggregate) -> Vec<Cell> {
        values(rows, aggregate)
    }

    proptest! {
        #[test]
        fn rows_come_back_and_agree_with_the_samples(
            raw in prop::collection::vec((1..200_000_i64, 0..1000_i32), 1..80),
            absent in prop::collection::btree_set(-100..0_i64, 0..3),
        ) {
            let mut at = 0;
            let cells: Vec<Cell> = raw.iter().map(|(d, v)| { at += d; (at, f64::from(*v)) }).collect();
            let rows = consolidate(&cells, R);
            let mut times: Vec<i64> = absent.into_iter().map(|t| t * R).collect();
            times.extend(rows.iter().map(|r| r.at));
            let back = decode(&times, rows.len() as u32, &encode(&times, &rows, Effort::Best)).unwrap();
            prop_assert_eq!(&back, &rows);
            for row in &rows {
                let mine: Vec<f64> = cells.iter().filter(|c| c.0 > row.at - R && c.0 <= row.at).map(|c| c.1).collect();
                prop_assert_eq!(row.count, mine.len() as f64);
                prop_assert_eq!(row.sum, mine.iter().sum::<f64>());
                prop_assert_eq!(row.max, mine.iter().copied().fold(f64::MIN, f64::max));
                prop_assert_eq!(row.min, mine.iter().copied().fold(f64::MAX, f64::min));
            }
            let counter = values_of(&rows, Aggregate::Counter);
            let from = cells.iter().rposition(|c| c.0 <= rows[0].at).unwrap();
            prop_assert_eq!(growth(&counter), growth(&cells[from..]));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80), count in 1..5_u32,
        ) {
            let _ = decode(&[1, 2, 3, 4], count, &bytes);
        }
    }
}
