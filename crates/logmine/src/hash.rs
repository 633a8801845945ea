//! A fast hash for words and gaps. Always the same, so that a run can be repeated; whoever looks something up by it
//! compares the bytes too, so a collision costs time and never truth.

/// Hash under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hasher(u64);

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(SEED)
    }

    /// Adds bytes and their length.
    #[inline]
    pub(crate) fn word(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.mix(u64::from_le_bytes(*chunk));
        }
        self.mix(short(rest) ^ (bytes.len() as u64) << 56);
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn mark(&mut self, number: u64) {
        self.mix(number ^ 0x5555_5555_0000_0000);
    }

    #[inline]
    fn mix(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value).wrapping_mul(u128::from(MULTIPLIER));
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    pub(crate) fn finish(self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

/// Fewer than eight bytes as a number, without a loop over them.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match bytes {
        [first, .., last] => {
            let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
            u64::from(*first) | u64::from(middle) << 8 | u64::from(*last) << 16
        }
        [only] => u64::from(*only),
        [] => 0,
    }
}

/// For maps whose keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.wrapping_mul(MULTIPLIER) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value.wrapping_mul(MULTIPLIER);
    }
}

/// Map from a hash.
pub(crate) type HashedMap<V> = std::collections::HashMap<u64, V, std::hash::BuildHasherDefault<Identity>>;
