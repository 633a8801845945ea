//! What is usual: in how many lines each term and each pair of neighbours stood, within a bound.
//!
//! Counted as in space-saving, in batches: when the table is full, its rarer half goes, and the largest count that
//! went is remembered. A term that comes back starts from there, so a count is never too low by more than it was
//! thrown out, and never too high by more than [`Background::floor`]. That makes a term usual rather than striking
//! when in doubt.
//!
//! Source: Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams",
//! 2005.

use std::collections::HashMap;

use crate::codec::{BytesError, Kind, Reader, Writer};
use crate::lineterms::LineTerms;
use crate::tokens::Tokeniser;

const KIND: Kind = Kind { magic: *b"WKTB", version: 1, what: "background of terms" };
/// Smallest table: below, nearly everything would be thrown out.
const CAPACITY_MIN: usize = 64;
/// Largest table, about 100 MB.
const CAPACITY_MAX: usize = 1 << 20;
/// Terms kept by default: about 5 MB when full.
const CAPACITY_DEFAULT: usize = 50_000;

/// Counts of terms and pairs over lines.
#[derive(Debug, Clone)]
pub struct Background {
    counts: HashMap<Box<str>, u64>,
    capacity: usize,
    floor: u64,
    lines: u64,
    total: u64,
}

impl Default for Background {
    fn default() -> Self {
        Self::with_capacity(CAPACITY_DEFAULT)
    }
}

impl Background {
    /// Empty. `capacity`: how many terms at most, 64 to 1,048,576; what lies outside is brought inside.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.clamp(CAPACITY_MIN, CAPACITY_MAX);
        Self { counts: HashMap::new(), capacity, floor: 0, lines: 0, total: 0 }
    }

    /// Counts the terms and pairs of a line, each once.
    pub fn add(&mut self, tokeniser: &Tokeniser, line: &[u8]) {
        self.add_times(tokeniser, line, 1);
    }

    /// Counts a line that came `times` times: so a caller that keeps lines by template adds each template once.
    pub fn add_times(&mut self, tokeniser: &Tokeniser, line: &[u8], times: u64) {
        let mut terms = LineTerms::default();
        terms.read(tokeniser, line);
        for (term, words) in terms.distinct(2) {
            self.count_term(term, times);
            if words == 1 {
                self.total = self.total.saturating_add(times);
            }
        }
        self.lines = self.lines.saturating_add(times);
    }

    fn count_term(&mut self, term: String, times: u64) {
        if let Some(count) = self.counts.get_mut(term.as_str()) {
            *count = count.saturating_add(times);
            return;
        }
        if self.counts.len() >= self.capacity {
            self.throw_out_rare();
        }
        self.counts.insert(term.into_boxed_str(), self.floor.saturating_add(times));
    }

    fn throw_out_rare(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let middle = counts.len() / 2;
        let (_, limit, _) = counts.select_nth_unstable(middle);
        let limit = *limit;
        self.counts.retain(|_, count| *count > limit);
        self.floor = self.floor.max(limit);
    }

    /// In how many lines a term stood: never more than this many, and 0 for one that was never seen as long as
    /// nothing was thrown out.
    #[must_use]
    pub fn count(&self, term: &str) -> u64 {
        self.counts.get(term).copied().unwrap_or(self.floor)
    }

    /// The largest count that was ever thrown out: how far off a count may be.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Lines counted.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Terms counted, pairs left aside.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Terms and pairs kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// As bytes, the same for the same counts.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        for number in [self.capacity as u64, self.floor, self.lines, self.total, self.counts.len() as u64] {
            out.u64(number);
        }
        let mut terms: Vec<_> = self.counts.iter().collect();
        terms.sort_unstable();
        for (term, count) in terms {
            out.text(term);
            out.u64(*count);
        }
        out.finish()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`BytesError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BytesError> {
        let mut from = Reader::new(KIND, bytes)?;
        let capacity = usize::try_from(from.u64()?).map_err(|_| KIND.damaged())?;
        let mut read = Self::with_capacity(capacity);
        (read.floor, read.lines, read.total) = (from.u64()?, from.u64()?, from.u64()?);
        let n = from.count(10)?;
        if n > read.capacity {
            return Err(KIND.damaged());
        }
        for _ in 0..n {
            let term = from.text()?.into();
            read.counts.insert(term, from.u64()?);
        }
        from.finish()?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_stay_within_their_bound_and_frequent_terms_stay() {
        let tokeniser = Tokeniser::new();
        let mut background = Background::with_capacity(64);
        for i in 0..2_000_u32 {
            let rare: String = (0..4).map(|k| char::from(b'g' + (i >> (4 * k) & 15) as u8)).collect();
            background.add(&tokeniser, format!("heartbeat received; {rare}").as_bytes());
            assert!(background.len() <= 64);
        }
        assert!(background.count("heartbeat") >= 2_000);
        assert!(background.count("heartbeat received") >= 2_000);
        assert!(background.count("never") <= background.floor());
        assert!(background.floor() < 200, "{}", background.floor());
    }

    #[test]
    fn it_is_read_back_as_it_was_written_and_damage_is_noticed() {
        let tokeniser = Tokeniser::new();
        let mut background = Background::with_capacity(100);
        background.add_times(&tokeniser, "disk full 磁盘已满".as_bytes(), 7);
        let bytes = background.to_bytes();
        assert_eq!(Background::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Background::from_bytes(&bad).is_err(), "byte {at}");
            assert!(Background::from_bytes(&bytes[..at]).is_err());
        }
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_fails_badly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = b"WKTB\x01".to_vec();
            framed.extend_from_slice(&bytes);
            let sum = crc32fast::hash(&framed);
            framed.extend_from_slice(&sum.to_le_bytes());
            let _ = Background::from_bytes(&framed);
            prop_assert!(Background::from_bytes(&bytes).is_err());
        }
    }
}
