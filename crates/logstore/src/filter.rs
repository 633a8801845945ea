//! A small filter over what stands in the parameters of a segment: three bytes in a row, each set remembered in a
//! few bits. A text of which some three bytes never occur stands in no parameter.
//!
//! Three digits in a row are left out: numbers hold them all, and columns of numbers say their widths themselves.

use hashbrown::HashSet;

use crate::codec::{Corrupt, Reader, put_varint};

/// Bits for each distinct triple: two in a hundred are taken for present that are not.
const BITS_EACH: usize = 8;

/// Bits looked at for each triple.
const PROBES: u32 = 4;

/// Largest filter that is read or written, bytes. All triples at once would give 128 MiB; this many say nothing.
const BYTES_MAX: usize = 1 << 18;

/// The triples that a segment's parameters hold.
#[derive(Debug, Default)]
pub(crate) struct FilterBuilder {
    triples: HashSet<u32>,
}

impl FilterBuilder {
    pub(crate) fn add(&mut self, value: &[u8]) {
        for triple in value.windows(3) {
            // Too many to say anything: no more memory for them.
            if self.triples.len() * BITS_EACH / 8 > BYTES_MAX {
                return;
            }
            if let Some(key) = key(triple) {
                self.triples.insert(key);
            }
        }
    }

    pub(crate) fn finish(self) -> Filter {
        let bytes = (self.triples.len() * BITS_EACH).div_ceil(8).next_multiple_of(8).max(8);
        if bytes > BYTES_MAX {
            return Filter { bits: Vec::new() };
        }
        let mut filter = Filter { bits: vec![0; bytes] };
        for key in self.triples {
            for bit in filter.places(key) {
                if let Some(byte) = filter.bits.get_mut(bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
        filter
    }
}

/// What may stand in a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Empty: anything may.
    bits: Vec<u8>,
}

impl Filter {
    /// Whether these three bytes may follow each other in a parameter. Any other number of bytes may.
    pub(crate) fn may_hold(&self, triple: &[u8]) -> bool {
        let Some(key) = key(triple) else { return true };
        let is_set = |bit: usize| self.bits.get(bit / 8).is_some_and(|b| b & (1 << (bit % 8)) != 0);
        self.bits.is_empty() || self.places(key).all(is_set)
    }

    fn places(&self, key: u32) -> impl Iterator<Item = usize> + use<> {
        let mixed = u64::from(key).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let (first, step) = (mixed >> 32, (mixed & 0xffff_ffff) | 1);
        let bits = (self.bits.len() * 8).max(1) as u64;
        (0..u64::from(PROBES)).map(move |i| (first.wrapping_add(i.wrapping_mul(step)) % bits) as usize)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.bits.len() as u64);
        out.extend_from_slice(&self.bits);
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { bits: r.bytes()?.to_vec() })
    }
}

/// The triple as a number; none for three digits.
fn key(triple: &[u8]) -> Option<u32> {
    match triple {
        [a, b, c] if !triple.iter().all(u8::is_ascii_digit) => Some(u32::from_le_bytes([*a, *b, *c, 0])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_may_be_there_and_most_other_triples_are_not() {
        let mut builder = FilterBuilder::default();
        let words: Vec<String> =
            (0..500_u32).map(|i| format!("w{:x}", i.wrapping_mul(2_654_435_761))).collect();
        words.iter().for_each(|w| builder.add(w.as_bytes()));
        let filter = builder.finish();
        for word in &words {
            assert!(word.as_bytes().windows(3).all(|t| filter.may_hold(t)));
        }
        assert!(filter.may_hold(b"123") && filter.may_hold(b"ab"));
        let letters = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| [a, b, b'!']));
        let wrong = letters.filter(|t| filter.may_hold(t)).count();
        assert!(wrong < 60, "{wrong} of 676");
        let mut bytes = Vec::new();
        filter.write(&mut bytes);
        assert_eq!(Filter::read(&mut Reader::new(&bytes)).unwrap(), filter);
    }
}
