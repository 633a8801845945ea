//! Time stamps inside lines: finds the one that a line begins with, or carries near its beginning.
//!
//! Written by hand, byte by byte, because every line that comes without a time of its own passes here. The formats are
//! those of the programs that people run: ISO 8601 and RFC 3339 with and without zone, comma and dot fractions,
//! slashes, web servers, syslog, RFC 2822, ANSI C, glog and klog, log4j, Android, compact dates, and seconds to
//! nanoseconds since the epoch. What lacks a year, or a date, is the nearest such time that does not lie ahead of `now`
//! by more than a day (an hour for a time of day alone). Stamps without a zone are read in the caller's [`Zone`].

mod calendar;
mod cursor;
mod date;
mod time;

use crate::Zone;
use cursor::Cursor;

/// Bytes from the beginning of a line in which a stamp is looked for.
const SEARCH_BYTES: usize = 160;
/// Places in a line at which a stamp is tried, so that a line of nothing but separators costs little.
const TRIES_MAX: usize = 24;

/// Farthest `now` from the epoch: about 146 years.
const NOW_MAX_NS: i64 = 1 << 62;

/// A time stamp and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the epoch, UTC.
    pub at_ns: i64,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// The clock and zone by which incomplete stamps are completed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) now_ns: i64,
    pub(crate) zone: &'a Zone,
}

impl<'a> Reference<'a> {
    /// A clock beyond any real time is read as the end of it, so that sums with it fit.
    fn new(now_ns: i64, zone: &'a Zone) -> Self {
        Self { now_ns: now_ns.clamp(-NOW_MAX_NS, NOW_MAX_NS), zone }
    }
}

/// The stamp that a text is or begins with; nothing may stand before it.
#[must_use]
pub fn at_start(text: &[u8], now_ns: i64, zone: &Zone) -> Option<Stamp> {
    let reference = Reference::new(now_ns, zone);
    let mut cursor = Cursor::new(text, 0);
    let at_ns = date::stamp(&mut cursor, &reference, true)?;
    Some(Stamp { at_ns, start: 0, end: cursor.at })
}

/// The stamp at the beginning of a line, or the first one near it.
///
/// Brackets, quotes, blanks, colours and a syslog priority may stand before one at the beginning. Farther in, only
/// formats are believed that nothing else looks like (a date with a time); so is what stands after `ts=` or `time=`.
#[must_use]
pub fn find(text: &[u8], now_ns: i64, zone: &Zone) -> Option<Stamp> {
    let reference = Reference::new(now_ns, zone);
    let head = text.get(..SEARCH_BYTES).unwrap_or(text);
    let start = decoration(head);
    let try_at = |at: usize, sure: bool| {
        let mut cursor = Cursor::new(text, at);
        let at_ns = date::stamp(&mut cursor, &reference, sure)?;
        Some(Stamp { at_ns, start: at, end: cursor.at })
    };
    if let Some(stamp) = try_at(start, true) {
        return Some(stamp);
    }
    let mut tries = 0;
    let mut before = b' ';
    for (at, &byte) in head.iter().enumerate().skip(start) {
        let begins = (byte.is_ascii_digit() && !is_word(before)) || (is_name_start(byte) && !is_word(before));
        if begins && at > start {
            let sure = is_time_key(head.get(..at).unwrap_or_default());
            if let Some(stamp) = try_at(at, sure) {
                return Some(stamp);
            }
            tries += 1;
            if tries == TRIES_MAX {
                return None;
            }
        }
        before = byte;
    }
    None
}

/// How many bytes at the start say nothing: blanks, brackets, colours, `- `, a syslog priority.
fn decoration(head: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = head.get(at) {
        match byte {
            b' ' | b'\t' | b'[' | b'(' | b'"' | b'\'' | b'*' | b'|' | 0xef | 0xbb | 0xbf => at += 1,
            b'-' if head.get(at + 1) == Some(&b' ') => at += 2,
            0x1b => at = after_colour(head, at),
            b'<' => match head.iter().skip(at).take(6).position(|b| *b == b'>') {
                Some(length) => at += length + 1,
                None => return at,
            },
            _ => return at,
        }
    }
    at
}

/// The byte behind a colour's escape sequence.
pub(crate) fn after_colour(head: &[u8], at: usize) -> usize {
    let length = head.iter().skip(at).take(16).position(|b| *b == b'm');
    length.map_or(at + 1, |length| at + length + 1)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b':' | b'+' | b',')
}

/// First letters of weekdays and months.
fn is_name_start(byte: u8) -> bool {
    matches!(byte, b'J' | b'F' | b'M' | b'A' | b'S' | b'O' | b'N' | b'D' | b'T' | b'W')
}

/// Whether what stands before is `ts=`, `time=` or the like, with or without a quote.
fn is_time_key(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"\"").unwrap_or(before);
    let Some(before) = before.strip_suffix(b"=") else { return false };
    let start = before.iter().rposition(|b| !(b.is_ascii_alphabetic() || matches!(b, b'@' | b'_')));
    crate::keys::is_time(before.get(start.map_or(0, |s| s + 1)..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
