//! Many short byte strings in one allocation.

/// Byte strings, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    /// Where each ends. A segment holds far less than 4 GiB.
    ends: Vec<u32>,
}

impl Strings {
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All bytes of all strings, without anything between them.
    pub(crate) fn joined(&self) -> &[u8] {
        &self.bytes
    }

    /// The string at a place; empty beyond the end.
    pub(crate) fn get(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).and_then(|p| self.ends.get(p)).copied().unwrap_or(0) as usize;
        let end = self.ends.get(i).map_or(start, |&e| e as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }
}

impl<'a> FromIterator<&'a [u8]> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(iter: I) -> Self {
        let mut out = Self::default();
        iter.into_iter().for_each(|s| out.push(s));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_and_there_is_nothing_beyond() {
        let s: Strings = [&b"ab"[..], b"", b"cde"].into_iter().collect();
        assert_eq!(s.iter().collect::<Vec<_>>(), [&b"ab"[..], b"", b"cde"]);
        assert_eq!((s.joined(), s.get(9)), (&b"abcde"[..], &b""[..]));
    }
}
