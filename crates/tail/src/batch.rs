//! What a source hands on: lines, and how far they reach in it, as one thing.
//!
//! A source is read on from where its notes say. So a note must become durable together with the lines before it, or
//! neither: a [`Batch`] carries both, and an [`Outlet`] commits them at once. What was not committed is read again
//! after a restart; what was, never.

use std::collections::HashMap;
use std::ops::Range;

use wellkept_model::{Labels, Level, LogLine, LogSink};

/// How far a source was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Names the place: `file/…`, `journal`. A later note under the same key replaces it.
    pub key: String,
    /// JSON of the source's own making; nothing when the place is gone and its note may be forgotten.
    pub value: Option<String>,
}

/// Takes batches.
pub trait Outlet: Send + Sync + 'static {
    /// Returns when the lines and notes of a batch are on disk. May block, which slows the source: that is how it learns
    /// of a store that cannot keep up.
    ///
    /// # Errors
    /// [`CommitError`] when nothing of the batch counts. The source offers the same batch again.
    fn commit(&self, batch: &Batch) -> Result<(), CommitError>;

    /// True while somebody waits for every line: then sources do not let lines come together for some time.
    fn hurries(&self) -> bool {
        false
    }
}

/// Why a batch was not taken, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lines were not stored: {0}")]
pub struct CommitError(pub String);

/// Lines with their notes.
#[derive(Debug, Default)]
pub struct Batch {
    lines: Vec<Line>,
    text: Vec<u8>,
    names: String,
    fields: Vec<(Range<usize>, Range<usize>)>,
    notes: Vec<Note>,
    /// Where the note of a key stands.
    noted: HashMap<String, usize>,
}

#[derive(Debug)]
struct Line {
    at_ns: i64,
    labels: Labels,
    level: Option<Level>,
    text: Range<usize>,
    fields: Range<usize>,
}

impl Batch {
    /// Hands every line to a sink, in the order in which they came.
    pub fn replay(&self, sink: &mut dyn LogSink) {
        for line in &self.lines {
            let name = |range: &Range<usize>| self.names.get(range.clone()).unwrap_or_default();
            let fields = self.fields.get(line.fields.clone()).unwrap_or_default();
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (name(n), name(v))).collect();
            sink.line(&LogLine {
                at_ns: line.at_ns,
                labels: &line.labels,
                level: line.level,
                text: self.text.get(line.text.clone()).unwrap_or_default(),
                fields: &fields,
            });
        }
    }

    /// How far the sources of the lines were read; a key stands here at most once.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Neither lines nor notes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.notes.is_empty()
    }

    /// Bytes that the batch holds, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.names.len() + self.lines.len() * size_of::<Line>() + self.fields.len() * 32
    }

    /// Adds a note; one under the same key is replaced.
    pub fn note(&mut self, key: &str, value: Option<String>) {
        match self.noted.get(key).and_then(|at| self.notes.get_mut(*at)) {
            Some(note) => note.value = value,
            None => {
                self.noted.insert(key.to_owned(), self.notes.len());
                self.notes.push(Note { key: key.to_owned(), value });
            }
        }
    }

    /// Empties the batch and keeps its memory, unless that is much.
    pub fn clear(&mut self) {
        const KEPT_BYTES: usize = 4 << 20;
        self.lines.clear();
        self.text.clear();
        self.names.clear();
        self.fields.clear();
        self.notes.clear();
        self.noted.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.names.shrink_to(KEPT_BYTES);
        self.lines.shrink_to(KEPT_BYTES / size_of::<Line>());
        self.fields.shrink_to(KEPT_BYTES / 32);
    }

    fn name(&mut self, text: &str) -> Range<usize> {
        let start = self.names.len();
        self.names.push_str(text);
        start..self.names.len()
    }
}

impl LogSink for Batch {
    fn line(&mut self, line: &LogLine<'_>) {
        let text = self.text.len();
        self.text.extend_from_slice(line.text);
        let fields = self.fields.len();
        for (name, value) in line.fields {
            let pair = (self.name(name), self.name(value));
            self.fields.push(pair);
        }
        self.lines.push(Line {
            at_ns: line.at_ns,
            labels: line.labels.clone(),
            level: line.level,
            text: text..self.text.len(),
            fields: fields..self.fields.len(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_went_in() {
        let labels = Labels::new([("service", "a")]);
        let line =
            |at_ns, text, fields| LogLine { at_ns, labels: &labels, level: Some(Level::Info), text, fields };
        let mut first = Batch::default();
        first.line(&line(1, b"one\xff", &[("a", "1"), ("b", "")]));
        first.line(&line(2, b"", &[]));
        let mut second = Batch::default();
        first.replay(&mut second);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!((second.len(), second.is_empty()), (2, false));
        second.clear();
        assert!(second.is_empty() && second.bytes() == 0);
    }

    #[test]
    fn a_later_note_replaces_the_one_before() {
        let mut batch = Batch::default();
        batch.note("a", Some("1".into()));
        batch.note("b", Some("2".into()));
        batch.note("a", None);
        let notes: Vec<_> = batch.notes().iter().map(|n| (n.key.as_str(), n.value.as_deref())).collect();
        assert_eq!(notes, [("a", None), ("b", Some("2"))]);
    }
}
