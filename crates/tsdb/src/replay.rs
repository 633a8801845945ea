//! Reading the log at start: every good record once, every damaged stretch named, the torn end cut.

use std::collections::BTreeMap;

use wellkept_model::TimestampMs;

use crate::codec::Corrupt;
use crate::disk::Disk;
use crate::error::{Quarantined, StoreError};
use crate::row::Row;
use crate::wal::{self, Good, HEADER, segment_name, segment_number};
use crate::wal_decode::{Decoded, DecodedGroup, Decoder};
use crate::wal_record::{FRAME, frame_at};

/// Longest segment that is read, bytes: far above what is ever written.
const SEGMENT_MAX: u64 = 1 << 30;

/// What the log gave.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The newest segment with its good length; the next segment names it.
    pub(crate) good: Good,
    /// Largest number seen.
    pub(crate) last_number: u64,
    /// Damaged stretches.
    pub(crate) damaged: Vec<Quarantined>,
    /// A torn end that was cut: never acknowledged, unless the file was damaged just there.
    pub(crate) torn: Vec<Quarantined>,
}

/// Samples that the log gave.
pub(crate) struct ReplayedRow<'a> {
    pub(crate) segment: u64,
    /// Number of the group within the segment.
    pub(crate) number: u64,
    /// What the segment says of the group; the row's slots are its.
    pub(crate) group: &'a DecodedGroup,
    pub(crate) row: Row,
}

/// Reads all segments above `covered` in order and hands their rows to `take`.
///
/// # Errors
/// A file that cannot be read, or one of a newer format.
pub(crate) fn replay(
    disk: &dyn Disk,
    covered: u64,
    mut take: impl FnMut(ReplayedRow<'_>),
) -> Result<Replayed, StoreError> {
    let mut out = Replayed { last_number: covered, ..Replayed::default() };
    let segments = load_headers(disk, covered, &mut out)?;
    let numbers: Vec<u64> = segments.keys().copied().collect();
    for (i, &number) in numbers.iter().enumerate() {
        out.last_number = number;
        let before = segments.get(&number).and_then(|h| *h);
        note_missing(before, covered, &numbers, number, &mut out);
        // What the next readable header says of this one; nothing when this is the last.
        let next = numbers.get(i + 1).and_then(|n| segments.get(n).and_then(|h| *h));
        let end = match next {
            Some(good) if good.segment == number => Some(good.len),
            // Its successor names another: nothing in here was ever acknowledged.
            Some(_) => continue,
            None => None,
        };
        let is_last = i + 1 == numbers.len();
        let scanned = scan(disk, number, before.is_none(), end, is_last, &mut out, &mut take)?;
        if let Some(len) = scanned {
            out.good = Good { segment: number, len };
        }
    }
    if out.good.segment > 0 {
        // Read back is not yet durable: make it so before the next segment calls it good.
        let name = segment_name(out.good.segment);
        disk.sync_file(&name).map_err(StoreError::io("sync", &name))?;
        disk.sync_dir(wal::DIR).map_err(StoreError::io("sync folder", wal::DIR))?;
    }
    Ok(out)
}

/// Number and, where its header is readable, predecessor of every segment.
fn load_headers(
    disk: &dyn Disk,
    covered: u64,
    out: &mut Replayed,
) -> Result<BTreeMap<u64, Option<Good>>, StoreError> {
    let mut segments = BTreeMap::new();
    for file in disk.list(wal::DIR).map_err(StoreError::io("list", wal::DIR))? {
        let Some(number) = segment_number(&file) else { continue };
        if number <= covered {
            continue;
        }
        let name = segment_name(number);
        let bytes = disk.read(&name, 0, HEADER).map_err(StoreError::io("read", &name))?;
        let header = match wal::read_header(&bytes) {
            Ok((version, ..)) if version > wal::VERSION => {
                let (found, supported) = (u32::from(version), u32::from(wal::VERSION));
                return Err(StoreError::NewerFormat { file: name, found, supported });
            }
            Ok((_, own, before)) if own == number => Ok(before),
            Ok(_) => Err(Corrupt("the header is that of another segment")),
            Err(e) => Err(e),
        };
        if let Err(e) = header {
            let found = damage(number, 0, bytes.len() as u64, e.to_string());
            // A file too short for a header was being made when a crash came.
            if bytes.len() < HEADER { out.torn.push(found) } else { out.damaged.push(found) }
        }
        segments.insert(number, header.ok());
    }
    Ok(segments)
}

fn note_missing(before: Option<Good>, covered: u64, numbers: &[u64], number: u64, out: &mut Replayed) {
    if let Some(good) = before
        && good.segment > covered
        // Without any block the first segment's predecessor went with a block that has expired since.
        && (covered > 0 || numbers.first() != Some(&number))
        && !numbers.contains(&good.segment)
    {
        let what = format!("the segment before {} is missing", segment_name(number));
        out.damaged.push(damage(good.segment, 0, good.len, what));
    }
}

fn damage(segment: u64, offset: u64, len: u64, what: String) -> Quarantined {
    Quarantined { file: segment_name(segment), offset, len, from: None, to: None, what }
}

/// Reads one segment. Gives its good length, or `None` when nothing in it counts.
fn scan(
    disk: &dyn Disk,
    number: u64,
    header_damaged: bool,
    end: Option<u64>,
    is_last: bool,
    out: &mut Replayed,
    take: &mut impl FnMut(ReplayedRow<'_>),
) -> Result<Option<u64>, StoreError> {
    let name = segment_name(number);
    let len = disk.len(&name).map_err(StoreError::io("measure", &name))?;
    let len_read = usize::try_from(len.min(SEGMENT_MAX)).unwrap_or(usize::MAX);
    let bytes = disk.read(&name, 0, len_read).map_err(StoreError::io("read", &name))?;
    let stop = end.map_or(bytes.len(), |e| usize::try_from(e).unwrap_or(usize::MAX).min(bytes.len()));
    let mut scan = Scan { number, decoder: Decoder::default(), last: None, open: Vec::new(), out, take };
    let mut at = HEADER;
    let mut good = if header_damaged { 0 } else { HEADER };
    while at < stop {
        if let Some(body) = frame_at(&bytes, number, at) {
            let next = at + FRAME + body.len();
            scan.record(at, body);
            (at, good) = (next, next);
            continue;
        }
        let next = (at + 1..stop).find(|&p| frame_at(&bytes, number, p).is_some());
        // The end of a segment that no header speaks for: cut there.
        if next.is_none() && end.is_none() {
            let mut cut =
                damage(number, at as u64, (stop - at) as u64, "the end was torn and is cut".to_owned());
            cut.from = scan.last;
            if is_last {
                scan.out.torn.push(cut)
            } else {
                scan.out.damaged.push(cut)
            }
            break;
        }
        let next = next.unwrap_or(stop);
        scan.damaged(at, next - at, "a stretch of records is damaged");
        at = next;
        good = next;
    }
    if let Some(missing) = end.and_then(|e| e.checked_sub(stop as u64)).filter(|&m| m > 0) {
        scan.damaged(
            stop,
            usize::try_from(missing).unwrap_or(usize::MAX),
            "the end of the segment is missing",
        );
    }
    scan.finish();
    Ok((good > 0).then_some(good as u64))
}

/// One segment while it is read.
struct Scan<'a, F> {
    number: u64,
    decoder: Decoder,
    /// Time of the last batch read.
    last: Option<TimestampMs>,
    /// Damages whose end in time is not known yet, as places in `out.damaged`.
    open: Vec<usize>,
    out: &'a mut Replayed,
    take: &'a mut F,
}

impl<F: FnMut(ReplayedRow<'_>)> Scan<'_, F> {
    fn record(&mut self, at: usize, body: &[u8]) {
        match self.decoder.decode(body) {
            Ok(Decoded::Definition) => {}
            Ok(Decoded::Row(number, row)) => {
                let at = TimestampMs(row.at);
                for open in std::mem::take(&mut self.open) {
                    if let Some(damage) = self.out.damaged.get_mut(open) {
                        damage.to = Some(at);
                        damage.from = damage.from.or(Some(at));
                    }
                }
                self.last = Some(at);
                if let Some(group) = self.decoder.group(number) {
                    (self.take)(ReplayedRow { segment: self.number, number, group, row });
                }
            }
            Ok(Decoded::OutOfStep) => self.out_of_step(at, body.len()),
            Err(e) => self.damaged(at, FRAME + body.len(), &e.to_string()),
        }
    }

    /// A batch that needs one that is lost belongs to the same damage.
    fn out_of_step(&mut self, at: usize, len: usize) {
        let end = (at + FRAME + len) as u64;
        let name = segment_name(self.number);
        let last = self.out.damaged.iter().rposition(|d| d.file == name);
        let damage = last.and_then(|i| Some((i, self.out.damaged.get_mut(i)?)));
        match damage {
            Some((index, damage)) if damage.offset + damage.len <= end => {
                damage.len = end - damage.offset;
                if !self.open.contains(&index) {
                    self.open.push(index);
                }
            }
            _ => self.damaged(at, FRAME + len, "a batch needs one that is lost"),
        }
    }

    fn damaged(&mut self, at: usize, len: usize, what: &str) {
        let mut found = damage(self.number, at as u64, len as u64, what.to_owned());
        found.from = self.last;
        self.open.push(self.out.damaged.len());
        self.out.damaged.push(found);
    }

    fn finish(self) {
        for open in self.open {
            if let Some(damage) = self.out.damaged.get_mut(open) {
                damage.to = damage.from.map(|_| TimestampMs(i64::MAX));
            }
        }
    }
}
