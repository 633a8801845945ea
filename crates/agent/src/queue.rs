//! What waits to be sent, on disk: bounded in bytes and age, the oldest goes first, and what goes is counted.
//!
//! Records are appended to segments and flushed before [`Queue::push`] returns; a segment is removed when everything in it
//! was acknowledged. Each queue has an identity of its own, so that the server can tell a queue that began anew from one
//! that sends something again. A torn end is cut off; behind damage in the middle the rest of that segment is lost and
//! counted, and the other segments serve.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder;
use crate::wire::{Kind, RECORD_MAX, Record};

/// Smallest and largest segment, bytes.
const SEGMENT_MIN: u64 = 256 << 10;
const SEGMENT_MAX: u64 = 8 << 20;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes on disk.
    pub bytes: u64,
    /// How old a record may be.
    pub age: Duration,
}

/// What there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that wait.
    pub waiting: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Records that were dropped since the queue was opened: too many, too old, too large, damaged, or the disk was full.
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    seq: u64,
    at_ms: i64,
    offset: u64,
    size: u32,
    kind: Kind,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    slots: VecDeque<Slot>,
    newest_ms: i64,
}

/// The queue of one agent.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    id: String,
    bounds: Bounds,
    segments: VecDeque<Segment>,
    open: Option<File>,
    next: u64,
    dropped: u64,
}

impl Queue {
    /// Opens the queue of a folder, or begins one.
    ///
    /// # Errors
    /// The disk.
    pub fn open(path: &Path, bounds: Bounds) -> io::Result<Self> {
        folder::make(path)?;
        let id_file = path.join("id");
        let known = folder::read(&id_file, 64)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let id = match known.filter(|id| is_queue_id(id)) {
            Some(id) => id,
            None => {
                let id = folder::random_hex(8)?;
                folder::replace(&id_file, id.as_bytes(), 0o600)?;
                id
            }
        };
        let mut queue = Self {
            folder: path.to_owned(),
            id,
            bounds,
            segments: VecDeque::new(),
            open: None,
            next: 1,
            dropped: 0,
        };
        queue.load()?;
        Ok(queue)
    }

    fn load(&mut self) -> io::Result<()> {
        let mut names: Vec<(u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let stem =
                path.file_stem().and_then(|s| s.to_str()).and_then(|s| u64::from_str_radix(s, 16).ok());
            if let (Some(first), true) = (stem, path.extension().is_some_and(|e| e == "q")) {
                names.push((first, path));
            }
        }
        names.sort_unstable();
        let last = names.len().saturating_sub(1);
        for (index, (first, path)) in names.into_iter().enumerate() {
            self.next = self.next.max(first);
            let (segment, sound) = read_segment(path)?;
            if !sound {
                // The end of the last one is torn by a crash; anything else is damage.
                self.dropped += u64::from(index != last);
                OpenOptions::new().write(true).open(&segment.path)?.set_len(segment.bytes)?;
            }
            if let Some(slot) = segment.slots.back() {
                self.next = self.next.max(slot.seq + 1);
            }
            self.segments.push_back(segment);
        }
        Ok(())
    }

    /// What tells this queue from another.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of the newest record; 0 when there never was one.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.next - 1
    }

    /// What there is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.segments.iter().map(|s| s.slots.len() as u64).sum(),
            bytes: self.segments.iter().map(|s| s.bytes).sum(),
            dropped: self.dropped,
        }
    }

    /// Puts a record at the end; its number once it is on disk. A record that is too large is dropped and counted.
    ///
    /// # Errors
    /// The disk; the record is counted as dropped.
    pub fn push(&mut self, kind: Kind, at_ms: i64, bytes: Vec<u8>) -> io::Result<Option<u64>> {
        if bytes.len() > RECORD_MAX {
            self.dropped += 1;
            return Ok(None);
        }
        let record = Record { seq: self.next, at_ms, kind, bytes };
        let written = self.write(&record);
        match written {
            Ok(()) => {
                self.next += 1;
                self.shrink(at_ms);
                Ok(Some(record.seq))
            }
            Err(error) => {
                self.dropped += 1;
                // What was half written is cut off at the next opening; a new segment is begun until then.
                self.open = None;
                Err(error)
            }
        }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let room = (self.bounds.bytes / 16).clamp(SEGMENT_MIN, SEGMENT_MAX);
        if self.open.is_none() || self.segments.back().is_none_or(|s| s.bytes >= room) {
            self.begin(record.seq)?;
        }
        let (Some(file), Some(segment)) = (&mut self.open, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        let mut bytes = Vec::with_capacity(record.size());
        record.write(&mut bytes);
        file.write_all(&bytes)?;
        file.sync_data()?;
        let slot = Slot {
            seq: record.seq,
            at_ms: record.at_ms,
            offset: segment.bytes,
            size: bytes.len() as u32,
            kind: record.kind,
        };
        segment.bytes += bytes.len() as u64;
        segment.newest_ms = segment.newest_ms.max(record.at_ms);
        segment.slots.push_back(slot);
        Ok(())
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        let path = self.folder.join(format!("{first:016x}.q"));
        // One of the same name holds nothing sound: the number was never given.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.seek(SeekFrom::Start(0))?;
        File::open(&self.folder)?.sync_all()?;
        self.segments.retain(|s| s.path != path);
        self.segments.push_back(Segment { path, bytes: 0, slots: VecDeque::new(), newest_ms: i64::MIN });
        self.open = Some(file);
        Ok(())
    }

    /// Drops what is too much or too old.
    fn shrink(&mut self, now_ms: i64) {
        let age = i64::try_from(self.bounds.age.as_millis()).unwrap_or(i64::MAX);
        let mut bytes: u64 = self.segments.iter().map(|s| s.bytes).sum();
        while self.segments.len() > 1 {
            let Some(oldest) = self.segments.front() else { return };
            if bytes <= self.bounds.bytes && oldest.newest_ms >= now_ms.saturating_sub(age) {
                return;
            }
            bytes -= oldest.bytes;
            self.dropped += oldest.slots.len() as u64;
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            // What cannot be removed is removed at the next start, when it is found to be acknowledged.
            if let Err(error) = std::fs::remove_file(&segment.path) {
                tracing::warn!(%error, path = %segment.path.display(), "a sent part of the queue stays on disk");
            }
        }
        if self.segments.is_empty() {
            self.open = None;
        }
    }

    /// The oldest records, together not larger than `max` unless the first one alone is.
    ///
    /// # Errors
    /// The disk.
    pub fn read(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut damaged = None;
        'all: for (index, segment) in self.segments.iter().enumerate() {
            if segment.slots.is_empty() {
                continue;
            }
            let mut file = File::open(&segment.path)?;
            for slot in &segment.slots {
                if !out.is_empty() && out.len() + slot.size as usize > max {
                    break 'all;
                }
                let mut bytes = vec![0; slot.size as usize];
                file.seek(SeekFrom::Start(slot.offset))?;
                file.read_exact(&mut bytes)?;
                match Record::read(&bytes) {
                    Some((record, [])) if record.seq == slot.seq => out.append(&mut bytes),
                    _ => {
                        damaged = Some((index, slot.seq));
                        break 'all;
                    }
                }
            }
        }
        if let Some((index, seq)) = damaged
            && let Some(segment) = self.segments.get_mut(index)
        {
            segment.slots.retain(|slot| slot.seq != seq);
            self.dropped += 1;
        }
        Ok(out)
    }

    /// The records of a kind behind this number.
    ///
    /// # Errors
    /// The disk.
    pub fn after(&self, seq: u64, kind: Kind) -> io::Result<Vec<Record>> {
        let mut all = Vec::new();
        for segment in &self.segments {
            let wanted = segment.slots.iter().filter(|slot| slot.seq > seq && slot.kind == kind);
            for slot in wanted {
                let mut file = File::open(&segment.path)?;
                let mut bytes = vec![0; slot.size as usize];
                file.seek(SeekFrom::Start(slot.offset))?;
                file.read_exact(&mut bytes)?;
                all.extend(Record::read(&bytes).map(|(record, _)| record));
            }
        }
        Ok(all)
    }

    /// Everything up to this number is stored elsewhere.
    pub fn ack(&mut self, seq: u64) {
        // A disk that lost what it had promised: numbers that the other side knows are not given again.
        self.next = self.next.max(seq.saturating_add(1));
        for segment in &mut self.segments {
            while segment.slots.front().is_some_and(|slot| slot.seq <= seq) {
                segment.slots.pop_front();
            }
        }
        // The last one may be the one that is written to.
        while self.segments.len() > 1 && self.segments.front().is_some_and(|s| s.slots.is_empty()) {
            self.remove_first();
        }
        let last = self.segments.front().filter(|s| s.slots.is_empty() && s.bytes >= SEGMENT_MIN);
        if last.is_some() {
            // A fresh one first, so that the numbers go on after a restart.
            let next = self.next;
            if self.begin(next).is_ok() {
                self.remove_first();
            }
        }
    }

    /// How old the oldest record is that waits.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<i64> {
        self.segments.iter().find_map(|s| s.slots.front()).map(|slot| slot.at_ms)
    }
}

/// A queue's identity as we make them.
pub(crate) fn is_queue_id(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The sound beginning of a segment, and whether it is all of it.
fn read_segment(path: PathBuf) -> io::Result<(Segment, bool)> {
    let mut bytes = Vec::new();
    File::open(&path)?.take(SEGMENT_MAX + 2 * RECORD_MAX as u64).read_to_end(&mut bytes)?;
    let mut segment = Segment { path, bytes: 0, slots: VecDeque::new(), newest_ms: i64::MIN };
    let mut rest = bytes.as_slice();
    while let Some((record, after)) = Record::read(rest) {
        let size = rest.len() - after.len();
        segment.slots.push_back(Slot {
            seq: record.seq,
            at_ms: record.at_ms,
            offset: segment.bytes,
            size: size as u32,
            kind: record.kind,
        });
        segment.bytes += size as u64;
        segment.newest_ms = segment.newest_ms.max(record.at_ms);
        rest = after;
    }
    let sound = rest.is_empty();
    Ok((segment, sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 4 << 20, age: Duration::from_secs(3600) };

    fn numbers(queue: &mut Queue) -> Vec<u64> {
        let bytes = queue.read(usize::MAX).unwrap();
        Record::read_all(&bytes).unwrap().iter().map(|r| r.seq).collect()
    }

    fn push(queue: &mut Queue, at_ms: i64, size: usize) -> Option<u64> {
        queue.push(Kind::Lines, at_ms, vec![7; size]).unwrap()
    }

    #[test]
    fn what_was_not_acknowledged_is_there_after_a_restart_and_numbers_go_on() {
        let temp = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        for _ in 0..3 {
            push(&mut queue, 1, 10);
        }
        queue.ack(1);
        let id = queue.id().to_owned();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        queue.ack(1);
        assert_eq!((numbers(&mut queue), queue.id()), (vec![2, 3], id.as_str()));
        queue.ack(3);
        assert_eq!((push(&mut queue, 1, 10), numbers(&mut queue)), (Some(4), vec![4]));
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        assert_eq!(push(&mut queue, 1, 10), Some(5));
    }

    #[test]
    fn numbers_go_on_when_everything_was_sent_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        for _ in 0..4 {
            push(&mut queue, 1, 200_000);
        }
        queue.ack(4);
        assert!(queue.stats().bytes < 300_000, "{:?}", queue.stats());
        drop(queue);
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        queue.ack(4);
        assert_eq!((queue.newest(), push(&mut queue, 1, 1)), (4, Some(5)));
    }

    #[test]
    fn too_much_and_too_old_go_from_the_old_end_and_are_counted() {
        let temp = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        for _ in 0..60 {
            push(&mut queue, 1000, 100_000);
        }
        let stats = queue.stats();
        assert!(stats.bytes <= BOUNDS.bytes && stats.dropped > 0, "{stats:?}");
        assert_eq!(stats.waiting + stats.dropped, 60);
        let first = numbers(&mut queue)[0];
        assert_eq!(first, stats.dropped + 1, "the oldest went");
        push(&mut queue, 1000 + 3_600_001, 300_000);
        push(&mut queue, 1000 + 3_600_001, 10);
        assert!(queue.stats().waiting <= 4, "{:?}", queue.stats());
        assert_eq!(push(&mut queue, 1, RECORD_MAX + 1), None);
    }

    #[test]
    fn a_torn_end_is_cut_off_and_everything_before_it_serves() {
        let temp = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        for _ in 0..3 {
            push(&mut queue, 1, 50);
        }
        let path = queue.segments[0].path.clone();
        drop(queue);
        let whole = std::fs::read(&path).unwrap();
        let record = whole.len() / 3;
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
            let kept = (cut / record) as u64;
            assert_eq!(numbers(&mut queue), (1..=kept).collect::<Vec<_>>(), "cut at {cut}");
            assert_eq!(push(&mut queue, 1, 50), Some(kept + 1));
            assert_eq!(numbers(&mut queue).last(), Some(&(kept + 1)));
            for file in std::fs::read_dir(temp.path()).unwrap() {
                let file = file.unwrap().path();
                if file.extension().is_some_and(|e| e == "q") {
                    std::fs::remove_file(file).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_batch_is_as_large_as_it_may_be_and_never_empty() {
        let temp = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(temp.path(), BOUNDS).unwrap();
        for _ in 0..5 {
            push(&mut queue, 1, 1000);
        }
        assert_eq!(Record::read_all(&queue.read(10).unwrap()).unwrap().len(), 1);
        assert_eq!(Record::read_all(&queue.read(2100).unwrap()).unwrap().len(), 2);
    }
}
