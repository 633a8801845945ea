//! Which shapes have two bytes beside a gap: a text that is cut by a gap has them there.

/// Shapes by the two bytes beside each edge of their gaps, or by the one where a single one stands between two gaps.
#[derive(Debug, Default)]
pub(crate) struct EdgeTable {
    /// The edge in the upper half, the number of the shape in the lower one; sorted.
    entries: Vec<u64>,
}

/// An edge as the upper half of an entry.
fn key(edge: &[u8]) -> u64 {
    let number = edge.iter().fold(edge.len() as u64, |n, b| n << 8 | u64::from(*b));
    number << 32
}

impl EdgeTable {
    /// Notes one or two bytes; the shapes are found after [`Self::finish`].
    pub(crate) fn add(&mut self, edge: &[u8], shape: u32) {
        let entry = key(edge) | u64::from(shape);
        // A gap's two sides are often alike.
        if self.entries.last() != Some(&entry) {
            self.entries.push(entry);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.entries.shrink_to_fit();
    }

    /// Shapes with such an edge, rising.
    pub(crate) fn shapes(&self, edge: &[u8]) -> impl Iterator<Item = u32> {
        let key = key(edge);
        let from = self.entries.partition_point(|e| *e < key);
        let behind = self.entries.get(from..).unwrap_or_default();
        behind.iter().take_while(move |e| *e & !0xffff_ffff == key).map(|e| *e as u32)
    }

    /// Memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_found_by_their_edges_and_one_byte_is_not_two() {
        let mut table = EdgeTable::default();
        for (edge, shape) in [(&b"ab"[..], 7), (b"ab", 3), (b"b", 1), (b"\0b", 2), (b"ab", 3), (b"ac", 0)] {
            table.add(edge, shape);
        }
        table.finish();
        let of = |edge: &[u8]| table.shapes(edge).collect::<Vec<_>>();
        assert_eq!(of(b"ab"), [3, 7]);
        assert_eq!(of(b"ac"), [0]);
        assert_eq!(of(b"b"), [1]);
        assert_eq!(of(b"\0b"), [2]);
        assert_eq!(of(b"zz"), [0_u32; 0]);
    }
}
