//! The bytes that every file of the store is made of: variable-length integers, compact floats, bounded reading.
//!
//! All reading goes through [`Reader`], which never trusts a length: it gives [`Corrupt`] where the bytes end,
//! and takes no memory that a claimed length alone would ask for. Checksums are made here but compared by the
//! file formats, because only they know which file and which range to name.

/// Bytes that do not mean what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are damaged: {0}")]
pub(crate) struct Corrupt(pub(crate) &'static str);

/// CRC-32 (IEEE) over several pieces.
pub(crate) fn crc32(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// Appends `value` in 7-bit groups, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Folds the sign into the lowest bit, so that small sizes stay small.
#[expect(clippy::cast_sign_loss, reason = "the bit pattern is what is wanted")]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Takes [`zigzag`] back.
#[expect(clippy::cast_possible_wrap, reason = "the bit pattern is what is wanted")]
pub(crate) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends a text with its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Sizes of integers that a double holds exactly.
const INTEGER_LIMIT: i64 = 1 << 53;

/// `value` as an integer over `10^scale`, when that gives back the very same bits.
pub(crate) fn as_decimal(value: f64, scale: u32) -> Option<i64> {
    let scaled = if scale == 0 { value } else { value * power_of_ten(scale) };
    #[expect(clippy::cast_precision_loss, reason = "the limit is where doubles hold integers exactly")]
    let inside = scaled.abs() < INTEGER_LIMIT as f64;
    if !inside {
        return None;
    }
    let integer = round(scaled);
    (from_decimal(integer, scale).to_bits() == value.to_bits()).then_some(integer)
}

/// `f64::round` for sizes below 2^53, without the call that it costs where the processor has no instruction for it:
/// half away from zero.
fn round(value: f64) -> i64 {
    /// From here on every double is a whole number.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    /// The largest double below one half: one half itself would lift the number below 0.5 to 1.
    const ALMOST_HALF: f64 = 0.499_999_999_999_999_94;
    if value.abs() >= WHOLE { value as i64 } else { (value + ALMOST_HALF.copysign(value)) as i64 }
}

/// Takes [`as_decimal`] back.
#[expect(clippy::cast_precision_loss, reason = "only integers below 2^53 are written this way")]
pub(crate) fn from_decimal(integer: i64, scale: u32) -> f64 {
    if scale == 0 { integer as f64 } else { integer as f64 / power_of_ten(scale) }
}

/// Largest decimal scale that the formats use.
pub(crate) const SCALE_MAX: u32 = 9;

fn power_of_ten(scale: u32) -> f64 {
    const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    POWERS.get(scale as usize).copied().unwrap_or(1.0)
}

/// Appends one float: whole numbers as a varint with low bit 0, all others as one byte 1 and eight bytes.
pub(crate) fn put_value(out: &mut Vec<u8>, value: f64) {
    match as_decimal(value, 0) {
        Some(integer) => put_varint(out, zigzag(integer) << 1),
        None => {
            out.push(1);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

/// Reads forward over bytes that may be damaged.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Corrupt("they end too early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        self.take(N)?.try_into().map_err(|_| Corrupt("they end too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Corrupt> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Corrupt("a number is too long"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        Ok(unzigzag(self.varint()?))
    }

    /// A count of things that take at least one byte each: never more than bytes are left.
    pub(crate) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.size()?;
        if count > self.rest.len() {
            Err(Corrupt("a count is larger than the bytes left"))
        } else {
            Ok(count)
        }
    }

    /// A number that must fit into memory addresses; the caller bounds it.
    pub(crate) fn size(&mut self) -> Result<usize, Corrupt> {
        usize::try_from(self.varint()?).map_err(|_| Corrupt("a size is too large"))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        let len = self.count()?;
        std::str::from_utf8(self.take(len)?).map_err(|_| Corrupt("a text is not UTF-8"))
    }

    pub(crate) fn value(&mut self) -> Result<f64, Corrupt> {
        let first = self.varint()?;
        if first & 1 == 0 {
            return Ok(from_decimal(unzigzag(first >> 1), 0));
        }
        Ok(f64::from_bits(self.u64()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_and_floats_come_back_as_they_were(
            ints in prop::collection::vec(any::<u64>(), 0..50),
            floats in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let mut out = Vec::new();
            for &i in &ints {
                put_varint(&mut out, i);
            }
            for &f in &floats {
                put_value(&mut out, f64::from_bits(f));
            }
            let mut r = Reader::new(&out);
            for &i in &ints {
                prop_assert_eq!(r.varint().unwrap(), i);
            }
            for &f in &floats {
                prop_assert_eq!(r.value().unwrap().to_bits(), f);
            }
            prop_assert!(r.is_empty());
        }

        #[test]
        fn a_decimal_is_only_used_when_its_bits_come_back(value in any::<f64>(), scale in 0..=SCALE_MAX) {
            if let Some(i) = as_decimal(value, scale) {
                prop_assert_eq!(from_decimal(i, scale).to_bits(), value.to_bits());
            }
        }

        #[test]
        fn rounding_is_that_of_the_standard_library(value in -9.1e15..9.1e15_f64, small in -3.0..3.0_f64) {
            for v in [value, small, small.trunc() + 0.5, value.trunc() + 0.5, 0.499_999_999_999_999_94, -0.0] {
                prop_assert_eq!(round(v), v.round() as i64);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut r = Reader::new(&bytes);
            while r.text().is_ok() && r.value().is_ok() && r.count().is_ok() {}
        }
    }

    #[test]
    fn minus_zero_and_nan_keep_their_bits() {
        for v in [-0.0, f64::NAN, f64::INFINITY, wellkept_model::stale_marker(), 1e300, 0.1] {
            let mut out = Vec::new();
            put_value(&mut out, v);
            assert_eq!(Reader::new(&out).value().unwrap().to_bits(), v.to_bits());
        }
    }
}
