//! A batch: lines that one source gives at once, and what it wants to be noted with them.
//!
//! A batch is acknowledged whole or not at all. It is kept in the form in which the write-ahead log takes it, so that
//! a line is copied once on its way to the disk.

use hashbrown::HashMap;
use wellkept_model::{Labels, LogLine, LogSink};

use crate::codec::{Corrupt, Reader, put_bytes, put_signed, put_varint};
use crate::head::{level_number, level_of};

/// Longest line, bytes. A caller that wants longer ones cuts them.
pub const LINE_MAX: usize = 16 << 20;

/// Most bytes of one batch; the line that passes it is refused.
pub const BATCH_MAX: usize = 64 << 20;

/// Most fields of one line.
pub const FIELDS_MAX: usize = 256;

/// Most bytes of the labels of one stream, or of one field.
pub const LABELS_MAX: usize = 64 << 10;

/// Most bytes of a note's key.
pub const NOTE_KEY_MAX: usize = 4 << 10;

/// Most bytes of a note.
pub const NOTE_MAX: usize = 4 << 10;

/// Most bytes of one record, unpacked.
const PLAIN_MAX: usize = 256 << 20;

const LINE: u8 = 1;
const NOTE: u8 = 2;

/// Lines and notes that are acknowledged together.
#[derive(Debug, Clone, Default)]
pub struct LogBatch {
    streams: Vec<Labels>,
    by_stream: HashMap<Labels, usize>,
    /// Bytes of the streams' labels.
    streams_bytes: usize,
    body: Vec<u8>,
    lines: usize,
    refused: u64,
    notes: Vec<(String, Vec<u8>)>,
    notes_bytes: usize,
}

impl LogBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line. A line beyond [`LINE_MAX`], [`FIELDS_MAX`], [`LABELS_MAX`] or [`BATCH_MAX`] is refused and
    /// counted; gives whether it was taken.
    pub fn push(&mut self, line: &LogLine<'_>) -> bool {
        let fields: usize = line.fields.iter().map(|(k, v)| k.len() + v.len()).sum();
        let fits = line.text.len() <= LINE_MAX
            && line.fields.len() <= FIELDS_MAX
            && fields <= LABELS_MAX
            && line.labels.packed().len() <= LABELS_MAX
            && self.size() + line.text.len() + fields + line.labels.packed().len() <= BATCH_MAX;
        if !fits {
            self.refused += 1;
            return false;
        }
        let stream = match self.streams.last() {
            Some(last) if last == line.labels => self.streams.len() - 1,
            _ => self.stream(line.labels),
        };
        self.body.push(LINE);
        put_varint(&mut self.body, stream as u64);
        put_signed(&mut self.body, line.at_ns);
        self.body.push(level_number(line.level));
        put_varint(&mut self.body, line.fields.len() as u64);
        for (key, value) in line.fields {
            put_bytes(&mut self.body, key.as_bytes());
            put_bytes(&mut self.body, value.as_bytes());
        }
        put_bytes(&mut self.body, line.text);
        self.lines += 1;
        true
    }

    fn stream(&mut self, labels: &Labels) -> usize {
        let next = self.streams.len();
        let stream = *self.by_stream.entry_ref(labels).or_insert(next);
        if stream == next {
            self.streams_bytes += labels.packed().len() + 64;
            self.streams.push(labels.clone());
        }
        stream
    }

    /// Remembers `value` under `key` in the same commit as the lines: a tail's place in its file, so that after a
    /// crash neither a line is missing nor one is there twice. An empty value forgets the key. A key or value beyond
    /// [`NOTE_KEY_MAX`] or [`NOTE_MAX`] is refused; gives whether it was taken.
    pub fn note(&mut self, key: &str, value: &[u8]) -> bool {
        let size = key.len() + value.len();
        let fits = key.len() <= NOTE_KEY_MAX && value.len() <= NOTE_MAX && self.size() + size <= BATCH_MAX;
        if fits {
            self.notes_bytes += size;
            self.notes.push((key.to_owned(), value.to_vec()));
        }
        fits
    }

    /// Lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines
    }

    /// True when there is neither a line nor a note.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines == 0 && self.notes.is_empty()
    }

    /// Bytes in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + self.streams_bytes + self.notes_bytes
    }

    /// Lines that were too large to be taken.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Removes everything, keeping the memory.
    pub fn clear(&mut self) {
        self.streams.clear();
        self.by_stream.clear();
        self.body.clear();
        self.notes.clear();
        (self.lines, self.refused, self.streams_bytes, self.notes_bytes) = (0, 0, 0, 0);
    }

    /// Calls `take` for each line, in order.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&LogLine<'_>)) {
        let read = read_items(&mut Reader::new(&self.body), &self.streams, &mut take, &mut |_, _| {});
        debug_assert!(read.is_ok(), "a batch holds what was put into it");
    }

    pub(crate) fn of_notes(notes: Vec<(String, Vec<u8>)>) -> Self {
        Self { notes, ..Self::default() }
    }

    pub(crate) fn notes(&self) -> &[(String, Vec<u8>)] {
        &self.notes
    }

    pub(crate) fn into_notes(self) -> Vec<(String, Vec<u8>)> {
        self.notes
    }

    /// Appends the batch to the content of a record.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.streams.len() as u64);
        for labels in &self.streams {
            put_varint(out, labels.len() as u64);
            for (name, value) in labels.iter() {
                put_bytes(out, name.as_bytes());
                put_bytes(out, value.as_bytes());
            }
        }
        let mut notes = Vec::new();
        for (key, value) in &self.notes {
            notes.push(NOTE);
            put_bytes(&mut notes, key.as_bytes());
            put_bytes(&mut notes, value);
        }
        put_varint(out, (self.body.len() + notes.len()) as u64);
        out.extend_from_slice(&self.body);
        out.extend_from_slice(&notes);
    }
}

impl LogSink for LogBatch {
    fn line(&mut self, line: &LogLine<'_>) {
        self.push(line);
    }
}

/// Reads a record: hands lines and notes on in order.
pub(crate) fn read_record(
    body: &[u8],
    mut line: impl FnMut(&LogLine<'_>),
    mut note: impl FnMut(&str, &[u8]),
) -> Result<(), Corrupt> {
    let mut r = Reader::new(body);
    let len = r.u32()? as usize;
    if len > PLAIN_MAX {
        return Err(Corrupt("a record claims to be larger than it may be"));
    }
    let plain = zstd::bulk::decompress(r.rest(), len).map_err(|_| Corrupt("a record does not decompress"))?;
    let mut r = Reader::new(&plain);
    while !r.is_empty() {
        let mut streams = Vec::new();
        for _ in 0..r.count()? {
            let mut pairs = Vec::new();
            for _ in 0..r.count()? {
                pairs.push((r.text()?, r.text()?));
            }
            streams.push(Labels::new(pairs));
        }
        read_items(&mut Reader::new(r.bytes()?), &streams, &mut line, &mut note)?;
    }
    Ok(())
}

fn read_items(
    r: &mut Reader<'_>,
    streams: &[Labels],
    line: &mut impl FnMut(&LogLine<'_>),
    note: &mut impl FnMut(&str, &[u8]),
) -> Result<(), Corrupt> {
    while !r.is_empty() {
        match r.u8()? {
            LINE => {
                let labels = streams.get(r.size()?).ok_or(Corrupt("a line names no stream"))?;
                let at_ns = r.signed()?;
                let level = level_of(r.u8()?);
                let mut fields = Vec::new();
                for _ in 0..r.count()? {
                    fields.push((r.text()?, r.text()?));
                }
                line(&LogLine { at_ns, labels, level, text: r.bytes()?, fields: &fields });
            }
            NOTE => note(r.text()?, r.bytes()?),
            _ => return Err(Corrupt("a record holds something unknown")),
        }
    }
    Ok(())
}
