//! Which bytes of a source were handed on, when lines are not handed on in the order in which they stand there.
//!
//! The two streams of a container stand mixed in one file, and a stack trace of the one is held while lines of the other
//! pass. Everything before the *low-water mark* was handed on; behind it, ranges that were are listed. Both together
//! are the place to read on from without loss and without doubles.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A place in a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything before this byte was handed on.
    pub offset: u64,
    /// Checksum (CRC-32) of all bytes before it, by which a copy of the file is known again.
    pub crc: u32,
    /// Ranges of bytes behind it that were handed on as well; rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<(u64, u64)>,
}

/// Names a raw line that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    start: u64,
    end: u64,
    /// Checksum of all bytes before `end`.
    crc: u32,
    done: bool,
}

/// The raw lines that were read and the mark below which all were handed on.
#[derive(Debug)]
pub(crate) struct Ledger {
    low: u64,
    low_crc: u32,
    /// Checksum of everything read.
    crc: crc32fast::Hasher,
    entries: VecDeque<Entry>,
    /// Number of the first entry's ticket.
    first: u64,
    /// Ranges that were handed on before a restart, and need not be again.
    skip: VecDeque<(u64, u64)>,
}

impl Ledger {
    pub(crate) fn new(at: &Position) -> Self {
        Self {
            low: at.offset,
            low_crc: at.crc,
            crc: crc32fast::Hasher::new_with_initial_len(at.crc, at.offset),
            entries: VecDeque::new(),
            first: 0,
            skip: at.done.iter().copied().collect(),
        }
    }

    /// Notes a raw line, its end included. Nothing when it was handed on before a restart.
    pub(crate) fn open(&mut self, start: u64, raw: &[u8], end: &[u8]) -> Option<Ticket> {
        self.crc.update(raw);
        self.crc.update(end);
        let until = start + (raw.len() + end.len()) as u64;
        while self.skip.front().is_some_and(|(_, to)| *to <= start) {
            self.skip.pop_front();
        }
        let known = self.skip.front().is_some_and(|(from, to)| *from <= start && until <= *to);
        let crc = self.crc.clone().finalize();
        self.entries.push_back(Entry { start, end: until, crc, done: known });
        let ticket = Ticket(self.first + self.entries.len() as u64 - 1);
        if known {
            self.settle();
            return None;
        }
        Some(ticket)
    }

    /// Notes that a line was handed on.
    pub(crate) fn close(&mut self, ticket: Ticket) {
        let at = ticket.0.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.done = true;
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(entry) = self.entries.front().filter(|e| e.done) {
            (self.low, self.low_crc) = (entry.end, entry.crc);
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// Lines that were read and not yet all handed on.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where to read on from.
    pub(crate) fn position(&self) -> Position {
        // Ranges of before a restart that were not reached again are still done.
        let reached = self.entries.back().map_or(self.low, |e| e.end);
        let before =
            self.skip.iter().filter(|(_, to)| *to > reached).map(|(from, to)| ((*from).max(reached), *to));
        let mut done: Vec<(u64, u64)> = Vec::new();
        for (start, end) in self.entries.iter().filter(|e| e.done).map(|e| (e.start, e.end)).chain(before) {
            match done.last_mut() {
                Some((_, to)) if *to == start => *to = end,
                _ => done.push((start, end)),
            }
        }
        Position { offset: self.low, crc: self.low_crc, done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_waits_for_the_oldest_line() {
        let mut ledger = Ledger::new(&Position::default());
        let tickets: Vec<_> = (0..4).map(|i| ledger.open(i * 3, b"ab", b"\n").unwrap()).collect();
        ledger.close(tickets[1]);
        ledger.close(tickets[2]);
        assert_eq!((ledger.position().offset, ledger.position().done), (0, vec![(3, 9)]));
        ledger.close(tickets[0]);
        assert_eq!((ledger.position().offset, ledger.position().done, ledger.len()), (9, vec![], 1));
        ledger.close(tickets[3]);
        let crc = crc32fast::hash(b"ab\nab\nab\nab\n");
        assert_eq!(ledger.position(), Position { offset: 12, crc, done: vec![] });
    }

    #[test]
    fn a_second_restart_in_the_middle_of_a_range_keeps_its_rest() {
        let at = Position { offset: 3, crc: 0, done: vec![(6, 15)] };
        let mut ledger = Ledger::new(&at);
        ledger.open(3, b"ab", b"\n").unwrap();
        assert_eq!(ledger.open(6, b"ab", b"\n"), None);
        assert_eq!(ledger.position(), at);
    }

    #[test]
    fn what_was_handed_on_before_a_restart_is_passed_over() {
        let at = Position { offset: 3, crc: crc32fast::hash(b"ab\n"), done: vec![(6, 9), (12, 15)] };
        let mut ledger = Ledger::new(&at);
        assert_eq!(ledger.position(), at);
        let first = ledger.open(3, b"ab", b"\n").unwrap();
        assert_eq!(ledger.open(6, b"ab", b"\n"), None);
        assert_eq!(ledger.position(), at);
        ledger.close(first);
        assert_eq!(ledger.position().offset, 9);
        let third = ledger.open(9, b"ab", b"\n").unwrap();
        assert_eq!(ledger.open(12, b"ab", b"\n"), None);
        ledger.close(third);
        assert_eq!(
            ledger.position(),
            Position { offset: 15, crc: crc32fast::hash(&b"ab\n".repeat(5)), done: vec![] }
        );
    }
}
