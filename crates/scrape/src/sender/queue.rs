//! A bounded queue on disk: records in, records out in the same order, across restarts.
//!
//! Segments are files that only grow; a process never appends to one that another process began. Where reading has got
//! to is a small file of its own, replaced as a whole; it may lag, so a record can come out twice, but never not at
//! all. When the queue is full, its oldest segment goes. All calls block. The format is described in
//! `docs/formats/send-queue.md`.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 6] = b"WKSEND";
const VERSION: u16 = 1;
/// Magic, version, number, checksum.
const HEADER: u64 = 6 + 2 + 8 + 4;
/// Length packed, length unpacked, samples, checksum.
const RECORD_HEADER: u64 = 16;
/// Most bytes of one record, packed or not.
pub(super) const RECORD_MAX: u32 = 64 << 20;
/// Largest segment that is begun.
const SEGMENT_MAX: u64 = 8 << 20;
/// A queue has room for at least this many segments, so that dropping one loses a part only.
const SEGMENTS_MIN: u64 = 8;
const POSITION: &str = "position";

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    segment: u64,
    offset: u64,
}

/// A record that was read, and where the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Not compressed.
    pub(super) payload: Vec<u8>,
    pub(super) after: Position,
}

/// What is in the queue and what was lost from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Samples that wait, as far as is known.
    pub(super) samples: u64,
    /// Samples that were dropped because the queue was full.
    pub(super) dropped: u64,
    /// Bytes that could not be read back.
    pub(super) damaged_bytes: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// Bytes that hold whole records.
    len: u64,
    /// Samples behind the position of reading.
    samples: u64,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    dir: PathBuf,
    bytes_max: u64,
    segments: VecDeque<Segment>,
    /// The segment that is written to.
    writer: Option<File>,
    /// The segment that is read from.
    reader: Option<(u64, File)>,
    /// Where the next record is read.
    next: Position,
    /// Up to where everything is done.
    done: Position,
    dropped: u64,
    damaged_bytes: u64,
}

impl Queue {
    /// Opens a queue in a folder of its own, which is made when it is not there.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut numbers: Vec<u64> = fs::read_dir(dir)?
            .filter_map(|entry| segment_number(&entry.ok()?.file_name().to_string_lossy()))
            .collect();
        numbers.sort_unstable();
        let mut queue = Self {
            dir: dir.to_owned(),
            bytes_max: bytes_max.max(1 << 16),
            segments: VecDeque::new(),
            writer: None,
            reader: None,
            next: Position::default(),
            done: Position::default(),
            dropped: 0,
            damaged_bytes: 0,
        };
        let position = read_position(&dir.join(POSITION)).unwrap_or_default();
        for number in numbers {
            queue.find(number, position)?;
        }
        queue.go_to(position);
        Ok(queue)
    }

    /// Looks through a segment that an earlier process wrote.
    fn find(&mut self, number: u64, position: Position) -> io::Result<()> {
        let path = segment_path(&self.dir, number);
        if number < position.segment {
            return fs::remove_file(path);
        }
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        if !header_is_good(&file, number) {
            self.damaged_bytes += size;
            // Set aside rather than removed: somebody may want to see what happened.
            return fs::rename(&path, path.with_extension("damaged"));
        }
        let (mut len, mut samples) = (HEADER, 0);
        while let Some(head) = read_head(&file, len, size) {
            if (Position { segment: number, offset: len }) >= position {
                samples += u64::from(head.samples);
            }
            len = head.end;
        }
        // Behind the last whole record lies what was being written when the process ended, or damage. Nobody can tell
        // the two apart, so both are counted.
        self.damaged_bytes += size - len.min(size);
        self.segments.push_back(Segment { number, len, samples });
        Ok(())
    }

    fn go_to(&mut self, position: Position) {
        let first = self.segments.front().map_or(position.segment, |s| s.number);
        self.next = match position.segment == first {
            true => Position { offset: position.offset.max(HEADER), ..position },
            false => Position { segment: first, offset: HEADER },
        };
        self.done = self.next;
    }

    /// Adds a record; it is durable after [`Self::sync`]. The oldest segments go when there is no room.
    pub(super) fn append(&mut self, payload: &[u8], samples: u32) -> io::Result<()> {
        let packed = zstd::bulk::compress(payload, 1)?;
        let too_long = |_| io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long");
        let raw_len = u32::try_from(payload.len()).map_err(too_long)?;
        let len = u32::try_from(packed.len()).map_err(too_long)?;
        if raw_len > RECORD_MAX || len > RECORD_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
        }
        let mut bytes = Vec::with_capacity(packed.len() + RECORD_HEADER as usize);
        for number in [len, raw_len, samples] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&[&bytes, &packed]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(&packed);
        while self.bytes() + bytes.len() as u64 > self.bytes_max && self.segments.len() > 1 {
            self.drop_oldest()?;
        }
        self.write(&bytes, u64::from(samples))
    }

    fn write(&mut self, bytes: &[u8], samples: u64) -> io::Result<()> {
        let segment_max = (self.bytes_max / SEGMENTS_MIN).min(SEGMENT_MAX);
        let full = self.segments.back().is_none_or(|s| s.len >= segment_max);
        if full || self.writer.is_none() {
            self.begin_segment()?;
        }
        let (Some(file), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        if let Err(error) = file.write_all(bytes) {
            // A part may have reached the disk. Nothing is written behind it: the next record begins a new segment.
            self.writer = None;
            return Err(error);
        }
        segment.len += bytes.len() as u64;
        segment.samples += samples;
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.sync()?;
        self.writer = None;
        let number = self.segments.back().map_or(self.next.segment, |s| s.number) + 1;
        let path = segment_path(&self.dir, number);
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&number.to_le_bytes());
        let sum = checksum(&[&header]);
        header.extend_from_slice(&sum.to_le_bytes());
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        if let Err(error) = file.write_all(&header) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        File::open(&self.dir)?.sync_all()?;
        self.writer = Some(file);
        if self.segments.is_empty() {
            self.next = Position { segment: number, offset: HEADER };
        }
        self.segments.push_back(Segment { number, len: HEADER, samples: 0 });
        Ok(())
    }

    /// Makes what was added durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(file) = &self.writer else { return Ok(()) };
        let result = file.sync_data();
        if result.is_err() {
            // After a failed sync nobody knows what is on disk; nothing more is added behind it.
            self.writer = None;
        }
        result
    }

    /// The next record; `None` when there is none. What cannot be read is counted and left out.
    pub(super) fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(at) = self.segments.iter().position(|s| s.number >= self.next.segment) else {
                return Ok(None);
            };
            let Some(segment) = self.segments.get(at) else { return Ok(None) };
            let (number, len) = (segment.number, segment.len);
            if number > self.next.segment {
                // What was read to its end has been removed meanwhile.
                self.next = Position { segment: number, offset: HEADER };
            }
            if self.next.offset >= len {
                let Some(later) = self.segments.get(at + 1).map(|s| s.number) else { return Ok(None) };
                self.next = Position { segment: later, offset: HEADER };
                continue;
            }
            match self.record(number, len)? {
                Some(record) => {
                    self.next = record.after;
                    return Ok(Some(record));
                }
                None => {
                    // Where the next record begins cannot be known any more.
                    self.damaged_bytes += len - self.next.offset;
                    self.next.offset = len;
                    if let Some(segment) = self.segments.get_mut(at) {
                        segment.samples = 0;
                    }
                }
            }
        }
    }

    fn record(&mut self, number: u64, len: u64) -> io::Result<Option<Record>> {
        let file = match self.reader.take() {
            Some((open, file)) if open == number => file,
            _ => File::open(segment_path(&self.dir, number))?,
        };
        let Some(head) = read_head(&file, self.next.offset, len) else {
            return Ok(None);
        };
        let mut packed = vec![0; head.len as usize];
        file.read_exact_at(&mut packed, self.next.offset + RECORD_HEADER)?;
        self.reader = Some((number, file));
        if checksum(&[&head.bytes, &packed]) != head.sum {
            return Ok(None);
        }
        let Ok(payload) = zstd::bulk::decompress(&packed, head.raw_len as usize) else { return Ok(None) };
        let after = Position { segment: number, offset: head.end };
        if let Some(segment) = self.segments.iter_mut().find(|s| s.number == number) {
            segment.samples = segment.samples.saturating_sub(u64::from(head.samples));
        }
        Ok(Some(Record { payload, after }))
    }

    /// Everything before `position` is done: segments that are no longer needed go.
    pub(super) fn commit(&mut self, position: Position) -> io::Result<()> {
        if position <= self.done {
            return Ok(());
        }
        self.done = position;
        while self.segments.len() > 1 && self.segments.front().is_some_and(|s| self.is_done(s)) {
            let Some(segment) = self.segments.pop_front() else { break };
            fs::remove_file(segment_path(&self.dir, segment.number))?;
        }
        Ok(())
    }

    fn is_done(&self, segment: &Segment) -> bool {
        self.done.segment > segment.number
            || (self.done.segment == segment.number && self.done.offset >= segment.len)
    }

    /// Writes down how far everything is done. Not on each commit: a record that comes twice does no harm.
    pub(super) fn save_position(&self) -> io::Result<()> {
        let mut bytes = self.done.segment.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.done.offset.to_le_bytes());
        let sum = checksum(&[&bytes]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let (new, path) = (self.dir.join("position.new"), self.dir.join(POSITION));
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(new, path)
    }

    /// Drops the oldest segment, whatever is in it.
    pub(super) fn drop_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        fs::remove_file(segment_path(&self.dir, oldest.number))?;
        let Some(oldest) = self.segments.pop_front() else { return Ok(()) };
        self.dropped += oldest.samples;
        if self.segments.is_empty() {
            self.writer = None;
        }
        if self.next.segment <= oldest.number {
            let first = self.segments.front().map_or(oldest.number + 1, |s| s.number);
            self.next = Position { segment: first, offset: HEADER };
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            bytes: self.bytes(),
            samples: self.segments.iter().map(|s| s.samples).sum(),
            dropped: self.dropped,
            damaged_bytes: self.damaged_bytes,
        }
    }
}

/// The head of a record that lies within its segment.
struct Head {
    bytes: Vec<u8>,
    len: u32,
    raw_len: u32,
    samples: u32,
    sum: u32,
    end: u64,
}

fn read_head(file: &File, offset: u64, size: u64) -> Option<Head> {
    if offset + RECORD_HEADER > size {
        return None;
    }
    let mut head = [0; RECORD_HEADER as usize];
    file.read_exact_at(&mut head, offset).ok()?;
    let mut numbers = head.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap_or_default()));
    let (len, raw_len, samples, sum) = (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
    let end = offset + RECORD_HEADER + u64::from(len);
    let good = len <= RECORD_MAX && raw_len <= RECORD_MAX && end <= size;
    good.then(|| Head { bytes: head.get(..12).unwrap_or_default().to_vec(), len, raw_len, samples, sum, end })
}

fn header_is_good(file: &File, number: u64) -> bool {
    let mut header = [0; HEADER as usize];
    if file.read_exact_at(&mut header, 0).is_err() {
        return false;
    }
    let Some((body, sum)) = header.split_last_chunk::<4>() else { return false };
    let expected: Vec<u8> = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &number.to_le_bytes()].concat();
    body == expected && checksum(&[body]) == u32::from_le_bytes(*sum)
}

fn read_position(path: &Path) -> Option<Position> {
    let bytes = fs::read(path).ok()?;
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(&[body]) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (segment, offset) = body.split_first_chunk::<8>()?;
    let offset: [u8; 8] = offset.try_into().ok()?;
    Some(Position { segment: u64::from_le_bytes(*segment), offset: u64::from_le_bytes(offset) })
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.seg"))
}

fn segment_number(file: &str) -> Option<u64> {
    file.strip_suffix(".seg")?.parse().ok()
}

#[cfg(test)]
mod tests;
