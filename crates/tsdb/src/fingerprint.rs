//! Names for byte strings that strangers choose, short enough to be kept for a million series.
//!
//! A pushing client sends the same label bytes again and again. Keeping them to compare would take more memory than
//! the series itself, so we keep 122 bits of a keyed universal hash: NH (as in UMAC) twice, squeezed by a linear hash
//! modulo the prime 2^61 - 1, twice. For any two byte strings chosen without the key, the chance that they get one
//! name is below 2^-120, whatever they are; a store with a million series is wrong with less than 2^-80. That is far
//! less than what any checksum of our files promises.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Longest byte string that gets a name; longer ones are looked up by their labels.
pub(crate) const BYTES_MAX: usize = 2048;

const WORDS: usize = BYTES_MAX / 8;
const PRIME: u64 = (1 << 61) - 1;

/// The name of a byte string.
pub(crate) type Fingerprint = u128;

/// Key of one store, drawn when it is opened and never written down.
pub(crate) struct Key {
    /// Words for NH: two more for the length and the second pass.
    words: Vec<u64>,
    /// Factors for the eight halves of what NH gives, for both passes.
    factors: [[u64; 8]; 2],
}

impl Key {
    /// A key from the process' own source of random numbers.
    pub(crate) fn random() -> Self {
        let state = RandomState::new();
        let word = |i: usize| state.hash_one(i);
        let factor = |i: usize| word(i) % PRIME;
        Self {
            words: (0..WORDS + 4).map(word).collect(),
            factors: [
                std::array::from_fn(|i| factor(10_000 + i)),
                std::array::from_fn(|i| factor(20_000 + i)),
            ],
        }
    }

    /// The name of `bytes`, as they came through the kind of door `door`. `None` when they are too long.
    pub(crate) fn name(&self, door: u8, bytes: &[u8]) -> Option<Fingerprint> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let (mut a, mut b) = (0_u128, 0_u128);
        let mut keys = self.words.as_slice();
        let mut step = |first: u64, second: u64| {
            if let [k0, k1, k2, k3, ..] = keys {
                let product =
                    |x: u64, y: u64| u128::from(first.wrapping_add(x)) * u128::from(second.wrapping_add(y));
                a = a.wrapping_add(product(*k0, *k1));
                b = b.wrapping_add(product(*k2, *k3));
                keys = keys.get(2..).unwrap_or_default();
            }
        };
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let both = u128::from_le_bytes(*pair);
            step(both as u64, (both >> 64) as u64);
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let both = u128::from_le_bytes(last);
            step(both as u64, (both >> 64) as u64);
        }
        // With the length inside, a string and the same with zeros behind it differ.
        step(bytes.len() as u64, u64::from(door));
        let halves = [a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64];
        let [low, high] = self.factors.map(|factors| {
            let mut sum = 0_u128;
            for (word, pair) in halves.iter().zip(factors.as_chunks::<2>().0) {
                sum += u128::from(word & 0xffff_ffff) * u128::from(pair[0])
                    + u128::from(word >> 32) * u128::from(pair[1]);
            }
            reduce(sum)
        });
        Some(u128::from(high) << 64 | u128::from(low))
    }
}

/// Remainder modulo 2^61 - 1 of a number below 2^100.
fn reduce(sum: u128) -> u64 {
    let folded = (sum & u128::from(PRIME)) as u64 + (sum >> 61) as u64;
    let folded = (folded & PRIME) + (folded >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_change_of_bytes_length_or_door_changes_the_name() {
        let key = Key::random();
        let base: Vec<u8> = (0..200).map(|i| (i % 7) as u8).collect();
        let mut names = HashSet::from([key.name(0, &base).unwrap()]);
        let mut all = 1;
        for len in 0..200 {
            names.insert(key.name(0, &base[..len]).unwrap());
            names.insert(key.name(1, &base[..len]).unwrap());
            all += 2;
        }
        for at in 0..200 {
            for bit in 0..8 {
                let mut changed = base.clone();
                changed[at] ^= 1 << bit;
                names.insert(key.name(0, &changed).unwrap());
                all += 1;
            }
        }
        assert_eq!(names.len(), all);
        assert_eq!(key.name(0, &base), key.name(0, &base));
        assert_ne!(key.name(0, &base), Key::random().name(0, &base));
    }

    #[test]
    fn zeros_at_the_end_count() {
        let key = Key::random();
        let names: HashSet<_> = (0..64).map(|n| key.name(0, &vec![0; n]).unwrap()).collect();
        assert_eq!(names.len(), 64);
        assert!(key.name(0, &[0; BYTES_MAX]).is_some());
        assert!(key.name(0, &[0; BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn remainders_are_those_of_the_prime() {
        for sum in [0, 1, u128::from(PRIME), u128::from(PRIME) + 5, (1 << 99) + 12345, (1 << 100) - 1] {
            assert_eq!(u128::from(reduce(sum)), sum % u128::from(PRIME));
        }
    }
}
