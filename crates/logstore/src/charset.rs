//! Which bytes occur in a column: 256 bits that rule out most texts at once.

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Charset(pub(crate) [u64; 4]);

impl Charset {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
    }

    /// Two bytes at an edge, or one that stands alone: as one of 256 marks that several share.
    pub(crate) fn add_edge(&mut self, edge: &[u8]) {
        let mixed = edge
            .iter()
            .fold(edge.len() as u32, |n, b| n.wrapping_mul(0x01_01_93).wrapping_add(u32::from(*b)));
        self.add(&[(mixed.wrapping_mul(0x9e37_79b1) >> 24) as u8]);
    }

    pub(crate) fn holds(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|w| w & (1 << (byte & 63)) != 0)
    }

    /// Whether some byte is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
}
