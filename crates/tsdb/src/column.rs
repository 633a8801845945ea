//! Value columns: many numbers of one series, in the cheapest of a few forms.
//!
//! Most series of a host never change, many only now and then, the rest are counters and gauges. So a column is
//! a constant, a list of runs, or `pco` over doubles or over whole numbers with a decimal scale. The first byte
//! says which. The number of values and the checksum are kept by whoever stores the column.

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, data_types::Number};

use crate::codec::{Corrupt, Reader, SCALE_MAX, as_decimal, from_decimal, put_value, put_varint};

const CONSTANT: u8 = 0;
const RUNS: u8 = 1;
const PCO_FLOAT: u8 = 2;
/// Plus the decimal scale, so 3 to 12.
const PCO_DECIMAL: u8 = 3;

/// Most values of one column: bounds what a damaged or hostile count can ask for.
pub(crate) const COLUMN_MAX: usize = 1 << 22;

/// How hard to look for the smallest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For a block that will be merged into another soon: one form is guessed.
    Quick,
    /// For blocks that stay: all forms are tried, the smallest is kept.
    Best,
}

/// Writes `values` (at least one, at most [`COLUMN_MAX`]) in the smallest form found.
pub(crate) fn encode(values: &[f64], effort: Effort) -> Vec<u8> {
    debug_assert!(
        !values.is_empty() && values.len() <= COLUMN_MAX,
        "a column has a bounded number of values"
    );
    let mut best = runs(values);
    // Runs that cost less than a bit and a half a value are taken as they are: pco would rarely do better.
    if best.len() <= 24 || (effort == Effort::Quick && best.len() * 6 < values.len()) {
        return best;
    }
    let level = if effort == Effort::Best { 10 } else { 6 };
    let mut candidates = Vec::new();
    match decimals(values) {
        Some((scale, integers)) => {
            let tag = PCO_DECIMAL + scale as u8;
            let order = likely_order(&integers);
            candidates.extend(squeeze(tag, &integers, level, fixed_delta(order)));
            if effort == Effort::Best {
                candidates.extend(squeeze(tag, &integers, level, DeltaSpec::Auto));
            }
        }
        None => candidates.extend(squeeze(PCO_FLOAT, values, level, DeltaSpec::Auto)),
    }
    for candidate in candidates {
        if candidate.len() < best.len() {
            best = candidate;
        }
    }
    best
}

/// Which differences of the numbers are smallest, by the bits that they take: the numbers themselves (0), first (1) or
/// second (2) differences. Asking `pco` to try costs many times more than this sum.
fn likely_order(numbers: &[i64]) -> usize {
    let bits = |n: i64| u64::from(64 - crate::codec::zigzag(n).leading_zeros());
    let least = numbers.iter().copied().min().unwrap_or(0);
    let (mut before, mut step) = (numbers.first().copied().unwrap_or(0), 0_i64);
    let mut sums = [0_u64; 3];
    for &n in numbers {
        let new_step = n.wrapping_sub(before);
        let new = [n.wrapping_sub(least), new_step, new_step.wrapping_sub(step)];
        sums.iter_mut().zip(new).for_each(|(sum, n)| *sum += bits(n));
        (before, step) = (n, new_step);
    }
    (0..).zip(sums).min_by_key(|s| s.1).map_or(1, |s| s.0)
}

/// Reads `n` values back.
pub(crate) fn decode(bytes: &[u8], n: usize) -> Result<Vec<f64>, Corrupt> {
    if n == 0 || n > COLUMN_MAX {
        return Err(Corrupt("a column has no or too many values"));
    }
    let mut r = Reader::new(bytes);
    match r.u8()? {
        CONSTANT => Ok(vec![r.value()?; n]),
        RUNS => decode_runs(&mut r, n),
        PCO_FLOAT => expand::<f64>(r.rest(), n),
        tag => {
            let scale = u32::from(tag - PCO_DECIMAL);
            if scale > SCALE_MAX {
                return Err(Corrupt("a column has an unknown form"));
            }
            Ok(expand::<i64>(r.rest(), n)?.into_iter().map(|i| from_decimal(i, scale)).collect())
        }
    }
}

/// Writes rising timestamps, milliseconds.
pub(crate) fn encode_times(times: &[i64]) -> Vec<u8> {
    let mut plain = vec![RUNS];
    put_steps(&mut plain, times);
    if times.len() < 16 {
        return plain;
    }
    let tries = [DeltaSpec::Auto, fixed_delta(1), fixed_delta(2)];
    let squeezed = tries.into_iter().filter_map(|d| squeeze(PCO_DECIMAL, times, 8, d));
    squeezed.chain([plain]).min_by_key(Vec::len).unwrap_or_default()
}

/// Appends rising timestamps without looking for the smallest form: for memory only.
pub(crate) fn encode_times_quick(times: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(times.len() + 16);
    put_steps(&mut out, times);
    out
}

/// Takes [`encode_times_quick`] back.
pub(crate) fn decode_times_quick(r: &mut Reader<'_>, n: usize) -> Result<Vec<i64>, Corrupt> {
    read_steps(r, n)
}

/// Second differences.
fn put_steps(out: &mut Vec<u8>, times: &[i64]) {
    let (mut last, mut step) = (0_i64, 0_i64);
    for &t in times {
        let new_step = t.wrapping_sub(last);
        put_varint(out, crate::codec::zigzag(new_step.wrapping_sub(step)));
        (last, step) = (t, new_step);
    }
}

fn read_steps(r: &mut Reader<'_>, n: usize) -> Result<Vec<i64>, Corrupt> {
    let (mut last, mut step) = (0_i64, 0_i64);
    (0..n)
        .map(|_| {
            step = step.wrapping_add(r.signed()?);
            last = last.wrapping_add(step);
            Ok(last)
        })
        .collect()
}

/// Reads `n` timestamps back; refuses any that do not rise strictly.
pub(crate) fn decode_times(bytes: &[u8], n: usize) -> Result<Vec<i64>, Corrupt> {
    if n == 0 || n > COLUMN_MAX {
        return Err(Corrupt("a column has no or too many timestamps"));
    }
    let mut r = Reader::new(bytes);
    let times = match r.u8()? {
        RUNS => read_steps(&mut r, n)?,
        PCO_DECIMAL => expand::<i64>(r.rest(), n)?,
        _ => return Err(Corrupt("timestamps have an unknown form")),
    };
    if times.is_sorted_by(|a, b| a < b) { Ok(times) } else { Err(Corrupt("timestamps do not rise")) }
}

fn runs(values: &[f64]) -> Vec<u8> {
    let mut out = vec![RUNS];
    let mut count = 0;
    for run in values.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
        put_varint(&mut out, run.len() as u64);
        put_value(&mut out, run.first().copied().unwrap_or_default());
        count += 1;
    }
    if count == 1 {
        out.clear();
        out.push(CONSTANT);
        put_value(&mut out, values.first().copied().unwrap_or_default());
    }
    out
}

fn decode_runs(r: &mut Reader<'_>, n: usize) -> Result<Vec<f64>, Corrupt> {
    let mut values = Vec::with_capacity(n);
    while values.len() < n {
        let len = r.size()?;
        if len == 0 || len > n - values.len() {
            return Err(Corrupt("the runs of a column do not add up"));
        }
        values.extend(std::iter::repeat_n(r.value()?, len));
    }
    Ok(values)
}

/// The smallest decimal scale under which every value is a whole number, with these numbers.
fn decimals(values: &[f64]) -> Option<(u32, Vec<i64>)> {
    (0..=SCALE_MAX).find_map(|scale| {
        let integers: Option<Vec<i64>> = values.iter().map(|&v| as_decimal(v, scale)).collect();
        integers.map(|i| (scale, i))
    })
}

fn fixed_delta(order: usize) -> DeltaSpec {
    if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) }
}

/// `pco` without its own framing. `None` where it refuses; the caller has another form at hand.
fn squeeze<T: Number>(tag: u8, numbers: &[T], level: usize, delta: DeltaSpec) -> Option<Vec<u8>> {
    let config = ChunkConfig::default().with_compression_level(level).with_delta_spec(delta);
    let config = config.with_paging_spec(pco::PagingSpec::Exact(vec![numbers.len()]));
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(numbers, &config).ok()?;
    let mut out = file.write_header(vec![tag]).ok()?;
    out = chunk.write_meta(out).ok()?;
    chunk.write_page(0, out).ok()
}

fn expand<T: Number + Default>(bytes: &[u8], n: usize) -> Result<Vec<T>, Corrupt> {
    let bad = |_| Corrupt("a compressed column does not decode");
    let (file, rest) = FileDecompressor::new(bytes).map_err(bad)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(bad)?;
    let mut numbers = vec![T::default(); n];
    let mut page = chunk.page_decompressor(rest, n).map_err(bad)?;
    let progress = page.read(&mut numbers).map_err(bad)?;
    if progress.n_processed == n { Ok(numbers) } else { Err(Corrupt("a compressed column is too short")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    fn check(values: &[f64]) {
        for effort in [Effort::Quick, Effort::Best] {
            let bytes = encode(values, effort);
            assert_eq!(bits(&decode(&bytes, values.len()).unwrap()), bits(values), "{effort:?}");
        }
    }

    #[test]
    fn a_constant_takes_two_bytes() {
        assert_eq!(encode(&[0.0; 1000], Effort::Best).len(), 2);
    }

    #[test]
    fn counters_gauges_and_odd_values_keep_their_bits() {
        let n = 300;
        check(&(0..n).map(|i| f64::from(i * 37)).collect::<Vec<_>>());
        check(&(0..n).map(|i| f64::from(i * 7) / 100.0).collect::<Vec<_>>());
        check(&(0..n).map(|i| f64::from(i).sin()).collect::<Vec<_>>());
        check(&(0..n).map(|i| f64::from(i % 2)).collect::<Vec<_>>());
        let mut odd: Vec<f64> = (0..n).map(f64::from).collect();
        odd[7] = -0.0;
        odd[50] = f64::NAN;
        odd[51] = f64::from_bits(wellkept_model::STALE_NAN_BITS);
        odd[99] = f64::NEG_INFINITY;
        check(&odd);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_values_come_back(raw in prop::collection::vec(any::<u64>(), 1..200)) {
            check(&raw.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_come_back(raw in prop::collection::vec(-100_000_i64..100_000, 1..200), scale in 0..4_u32) {
            check(&raw.into_iter().map(|i| from_decimal(i, scale)).collect::<Vec<_>>());
        }

        #[test]
        fn any_rising_times_come_back(raw in prop::collection::btree_set(any::<i64>(), 1..200)) {
            let times: Vec<i64> = raw.into_iter().collect();
            prop_assert_eq!(decode_times(&encode_times(&times), times.len()).unwrap(), times);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            tag in 0..14_u8,
            n in 0..300_usize,
        ) {
            let mut tagged = vec![tag];
            tagged.extend(bytes);
            let _ = decode(&tagged, n);
            let _ = decode_times(&tagged, n);
        }
    }
}
