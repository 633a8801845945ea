//! Lines in memory: taken since the last segment, in pieces that readers share with the writer.
//!
//! A piece holds some thousand lines and everything that they refer to. Full pieces never change, so a search takes
//! references to them and a copy of the last one, and holds no lock while it reads.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use wellkept_model::{Labels, Level, LogLine};
use wellkept_model::{Shape, TemplateId};

use crate::codec::{Reader, put_varint};

/// Most lines of a piece.
const PIECE_LINES: usize = 4096;

/// Bytes beyond which a piece is full; one longer line fits into an empty one.
const PIECE_BYTES: usize = 1 << 20;

/// A line of a piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) at: i64,
    text: (u32, u32),
    params: u32,
    fields: (u32, u32),
    pub(crate) shape: u32,
    pub(crate) stream: u32,
    pub(crate) level: u8,
}

/// Some thousand lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    pub(crate) rows: Vec<Row>,
    /// For each parameter the bytes since the one before, and its own.
    params: Vec<u8>,
    fields: Vec<[(u32, u32); 2]>,
    pub(crate) shapes: Vec<Arc<Shape>>,
    pub(crate) streams: Vec<Labels>,
    by_shape: HashMap<Arc<Shape>, u32>,
    by_stream: HashMap<Labels, u32>,
    /// Memory of shapes and streams, as if no other piece had them too, bytes.
    tables: usize,
}

/// Number of a level on disk: 0 is none.
pub(crate) fn level_number(level: Option<Level>) -> u8 {
    level.map_or(0, |l| Level::ALL.iter().position(|&a| a == l).map_or(0, |p| p as u8 + 1))
}

/// Takes [`level_number`] back.
pub(crate) fn level_of(number: u8) -> Option<Level> {
    Level::ALL.get(usize::from(number.checked_sub(1)?)).copied()
}

impl Piece {
    /// Memory of the lines, bytes.
    pub(crate) fn memory(&self) -> usize {
        let rows = self.rows.len() * size_of::<Row>() + self.params.len() + self.fields.len() * 16;
        self.bytes.len() + rows + self.tables
    }

    fn is_full(&self, more: usize) -> bool {
        self.rows.len() >= PIECE_LINES || (!self.rows.is_empty() && self.bytes.len() + more > PIECE_BYTES)
    }

    fn put(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len() as u32)
    }

    fn at(&self, place: (u32, u32)) -> &[u8] {
        self.bytes.get(place.0 as usize..place.1 as usize).unwrap_or_default()
    }

    /// Gives whether the shape is new to the piece.
    fn push(&mut self, line: &LogLine<'_>, shape: &Arc<Shape>, params: &[Range<u32>]) -> bool {
        let next = self.shapes.len() as u32;
        let number = *self.by_shape.entry_ref(shape).or_insert_with(|| next);
        let is_new = number == next;
        if is_new {
            self.tables += 64;
            self.shapes.push(Arc::clone(shape));
        }
        let next = self.streams.len() as u32;
        let stream = match self.rows.last().filter(|r| self.stream_is(r.stream, line.labels)) {
            Some(last) => last.stream,
            None => *self.by_stream.entry_ref(line.labels).or_insert_with(|| next),
        };
        if stream == next {
            self.tables += 64 + line.labels.packed().len();
            self.streams.push(line.labels.clone());
        }
        let first_field = self.fields.len() as u32;
        for (key, value) in line.fields {
            let pair = [self.put(key.as_bytes()), self.put(value.as_bytes())];
            self.fields.push(pair);
        }
        let text = self.put(line.text);
        let row = Row {
            at: line.at_ns,
            text,
            params: self.params.len() as u32,
            fields: (first_field, self.fields.len() as u32),
            shape: number,
            stream,
            level: level_number(line.level),
        };
        let mut at = 0;
        for param in params {
            put_varint(&mut self.params, u64::from(param.start.saturating_sub(at)));
            put_varint(&mut self.params, u64::from(param.end.saturating_sub(param.start)));
            at = param.end;
        }
        self.rows.push(row);
        is_new
    }

    fn stream_is(&self, stream: u32, labels: &Labels) -> bool {
        self.streams.get(stream as usize).is_some_and(|s| s == labels)
    }

    /// A line's bytes.
    pub(crate) fn text(&self, row: &Row) -> &[u8] {
        self.at(row.text)
    }

    /// The form of a line.
    pub(crate) fn shape(&self, row: &Row) -> Option<&Arc<Shape>> {
        self.shapes.get(row.shape as usize)
    }

    /// The template of a line.
    pub(crate) fn template(&self, row: &Row) -> TemplateId {
        self.shape(row).map_or(TemplateId(0), |s| s.template)
    }

    /// The parameters of a line.
    pub(crate) fn params<'a>(&'a self, row: &Row) -> impl Iterator<Item = &'a [u8]> {
        let count = self.shape(row).map_or(0, |s| s.kinds.len());
        let mut places = Reader::new(self.params.get(row.params as usize..).unwrap_or_default());
        let mut at = row.text.0 as usize;
        (0..count).map(move |_| {
            let start = at + places.size().unwrap_or(0);
            at = start + places.size().unwrap_or(0);
            self.bytes.get(start..at).unwrap_or_default()
        })
    }

    /// Names and values of the fields of a line.
    pub(crate) fn fields<'a>(&'a self, row: &Row) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let range = row.fields.0 as usize..row.fields.1 as usize;
        self.fields.get(range).unwrap_or_default().iter().map(|&[k, v]| (self.at(k), self.at(v)))
    }
}

/// The lines that are in no segment yet.
#[derive(Debug, Default)]
pub(crate) struct Head {
    full: Vec<Arc<Piece>>,
    last: Piece,
    full_memory: usize,
    full_lines: usize,
    /// Every shape once, with the memory of all, bytes.
    shapes: HashSet<Arc<Shape>>,
    shapes_memory: usize,
    /// Earliest and latest time.
    pub(crate) range: Option<(i64, i64)>,
}

impl Head {
    pub(crate) fn push(&mut self, line: &LogLine<'_>, shape: &Arc<Shape>, params: &[Range<u32>]) {
        if self.last.is_full(line.text.len()) {
            let piece = std::mem::take(&mut self.last);
            self.full_memory += piece.memory();
            self.full_lines += piece.rows.len();
            self.full.push(Arc::new(piece));
        }
        if self.last.push(line, shape, params) && self.shapes.insert(Arc::clone(shape)) {
            self.shapes_memory += 160 + shape.literals.iter().map(|l| l.len() + 18).sum::<usize>();
        }
        let (min, max) = self.range.unwrap_or((line.at_ns, line.at_ns));
        self.range = Some((min.min(line.at_ns), max.max(line.at_ns)));
    }

    /// Lines.
    pub(crate) fn lines(&self) -> usize {
        self.full_lines + self.last.rows.len()
    }

    /// Memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.full_memory + self.last.memory() + self.shapes_memory
    }

    /// All pieces as they are now, oldest first.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Piece>> {
        let mut pieces = self.full.clone();
        if !self.last.rows.is_empty() {
            pieces.push(Arc::new(self.last.clone()));
        }
        pieces
    }
}
