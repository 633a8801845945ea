//! Values of the head, packed quickly: a few nanoseconds a number where `pco` takes tens of microseconds a column.
//!
//! Columns of the head are short (an hour at most) and live for two hours, so what counts is that sealing them costs
//! little and that memory stays small. Numbers with few decimals become whole numbers, of which differences, or
//! differences of differences, are kept with as many bits as sixteen neighbours need. Others are kept as the bits
//! that differ from the number before. This form is never written to disk.

use crate::codec::{
    Corrupt, Reader, SCALE_MAX, as_decimal, from_decimal, put_value, put_varint, unzigzag, zigzag,
};

const CONSTANT: u8 = 0;
const FLOAT: u8 = 1;
/// Plus twice the decimal scale, plus one when differences of differences are kept.
const WHOLE: u8 = 2;

/// Numbers that share a width.
const SHARE: usize = 16;

/// Appends `values`, at least one.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[f64]) {
    let Some((&first, rest)) = values.split_first() else { return };
    if rest.iter().all(|v| v.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        put_value(out, first);
        return;
    }
    match decimals(values) {
        Some((scale, whole)) => encode_whole(out, scale, &whole),
        None => encode_float(out, first, rest),
    }
}

/// Reads `n` values back and hands each to `take` with its place.
pub(crate) fn decode(bytes: &[u8], n: usize, mut take: impl FnMut(usize, f64)) -> Result<(), Corrupt> {
    let mut r = Reader::new(bytes);
    match r.u8()? {
        CONSTANT => {
            let value = r.value()?;
            (0..n).for_each(|i| take(i, value));
            Ok(())
        }
        FLOAT => {
            let mut bits = r.u64()?;
            take(0, f64::from_bits(bits));
            decode_floats(&mut r, n.saturating_sub(1), |i, xor| {
                bits ^= xor;
                take(i + 1, f64::from_bits(bits));
            })
        }
        tag => {
            let (scale, second) = (u32::from((tag - WHOLE) >> 1), tag & 1 == 1);
            if scale > SCALE_MAX {
                return Err(Corrupt("a packed column has an unknown form"));
            }
            let mut number = r.signed()?;
            let mut step = 0_i64;
            take(0, from_decimal(number, scale));
            decode_widths(&mut r, n.saturating_sub(1), |i, folded| {
                let difference = unzigzag(folded);
                step = if second { step.wrapping_add(difference) } else { difference };
                number = number.wrapping_add(step);
                take(i + 1, from_decimal(number, scale));
            })
        }
    }
}

/// The smallest decimal scale under which all values are whole, with these.
fn decimals(values: &[f64]) -> Option<(u32, Vec<i64>)> {
    let mut scale = 0;
    let mut whole = Vec::with_capacity(values.len());
    loop {
        match values.get(whole.len()) {
            None => return Some((scale, whole)),
            Some(&value) => match as_decimal(value, scale) {
                Some(number) => whole.push(number),
                None => {
                    scale = (scale + 1..=SCALE_MAX).find(|&s| as_decimal(value, s).is_some())?;
                    whole.clear();
                }
            },
        }
    }
}

fn encode_whole(out: &mut Vec<u8>, scale: u32, whole: &[i64]) {
    let Some((&first, rest)) = whole.split_first() else { return };
    let (mut before, mut step) = (first, 0_i64);
    let (mut firsts, mut seconds) = (Vec::with_capacity(rest.len()), Vec::with_capacity(rest.len()));
    let (mut first_bits, mut second_bits) = (0, 0);
    for &number in rest {
        let new_step = number.wrapping_sub(before);
        let (a, b) = (zigzag(new_step), zigzag(new_step.wrapping_sub(step)));
        first_bits += 64 - a.leading_zeros();
        second_bits += 64 - b.leading_zeros();
        firsts.push(a);
        seconds.push(b);
        (before, step) = (number, new_step);
    }
    let second = second_bits < first_bits;
    out.push(WHOLE + (scale as u8) * 2 + u8::from(second));
    put_varint(out, zigzag(first));
    for share in (if second { &seconds } else { &firsts }).chunks(SHARE) {
        let width = 64 - share.iter().fold(0, |all, n| all | n).leading_zeros();
        out.push(width as u8);
        put_bits(out, width, share.iter().copied());
    }
}

fn encode_float(out: &mut Vec<u8>, first: f64, rest: &[f64]) {
    out.push(FLOAT);
    out.extend_from_slice(&first.to_bits().to_le_bytes());
    let mut before = first.to_bits();
    for share in rest.chunks(SHARE) {
        let mut differences = [0_u64; SHARE];
        for (to, value) in differences.iter_mut().zip(share) {
            *to = before ^ value.to_bits();
            before = value.to_bits();
        }
        let all = differences.iter().fold(0, |all, n| all | n);
        let low = if all == 0 { 0 } else { all.trailing_zeros() };
        let width = 64 - (all >> low).leading_zeros();
        out.push(low as u8);
        out.push(width as u8);
        put_bits(out, width, differences.iter().take(share.len()).map(|n| n >> low));
    }
}

fn put_bits(out: &mut Vec<u8>, width: u32, numbers: impl Iterator<Item = u64>) {
    if width == 0 {
        return;
    }
    let (mut held, mut bits) = (0_u128, 0);
    for number in numbers {
        held |= u128::from(number) << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= 64;
            bits -= 64;
        }
    }
    out.extend(held.to_le_bytes().iter().take(bits.div_ceil(8) as usize));
}

fn decode_widths(r: &mut Reader<'_>, n: usize, mut take: impl FnMut(usize, u64)) -> Result<(), Corrupt> {
    for first in (0..n).step_by(SHARE) {
        let width = u32::from(r.u8()?);
        get_bits(r, width, 0, first, SHARE.min(n - first), &mut take)?;
    }
    Ok(())
}

fn decode_floats(r: &mut Reader<'_>, n: usize, mut take: impl FnMut(usize, u64)) -> Result<(), Corrupt> {
    for first in (0..n).step_by(SHARE) {
        let (low, width) = (u32::from(r.u8()?), u32::from(r.u8()?));
        get_bits(r, width, low, first, SHARE.min(n - first), &mut take)?;
    }
    Ok(())
}

fn get_bits(
    r: &mut Reader<'_>,
    width: u32,
    low: u32,
    first: usize,
    n: usize,
    take: &mut impl FnMut(usize, u64),
) -> Result<(), Corrupt> {
    if width + low > 64 || low == 64 {
        return Err(Corrupt("a packed column has too wide numbers"));
    }
    let bytes = r.take((n * width as usize).div_ceil(8))?;
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let mut words = words.iter().map(|w| u64::from_le_bytes(*w)).chain([u64::from_le_bytes(last)]);
    let (mut held, mut bits) = (0_u128, 0);
    for i in 0..n {
        if bits < width {
            held |= u128::from(words.next().unwrap_or(0)) << bits;
            bits += 64;
        }
        take(first + i, ((held as u64) & mask) << low);
        held >>= width;
        bits -= width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode(&mut out, values);
        let mut back = Vec::new();
        decode(&out, values.len(), |i, v| {
            assert_eq!(i, back.len());
            back.push(v.to_bits());
        })
        .unwrap();
        assert_eq!(back, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        out.len()
    }

    #[test]
    fn usual_columns_are_small() {
        assert_eq!(check(&[7.0; 64]), 2);
        assert!(check(&(0..64).map(|i| f64::from(i) * 15.0).collect::<Vec<_>>()) < 20);
        assert!(check(&(0..64).map(|i| f64::from(i * 1499 % 97) / 100.0).collect::<Vec<_>>()) < 80);
        check(&[1.0, f64::NAN, wellkept_model::stale_marker(), -0.0, f64::INFINITY, 1e300]);
        check(&[0.1, 5.0, 1e-7, 3.25]);
        check(&[1.0]);
    }

    proptest! {
        #[test]
        fn any_values_come_back(raw in prop::collection::vec(any::<u64>(), 1..100)) {
            check(&raw.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_come_back(raw in prop::collection::vec(any::<i32>(), 1..100), scale in 0..10_u32) {
            check(&raw.into_iter().map(|i| from_decimal(i64::from(i), scale)).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            n in 0..100_usize,
        ) {
            let _ = decode(&bytes, n, |_, _| ());
        }
    }
}
