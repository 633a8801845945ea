//! One file that is followed: reads on where it stopped, and notices when it is no longer the same.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use wellkept_model::LogSink;

use super::generation::{Content, Generation};
use super::identity::{self, FileKey, HEAD_BYTES, Head};
use crate::pipe::Pipe;

/// Where the bytes come from.
pub(super) enum Reader {
    /// A file that may grow; closed while it rests.
    Plain(Option<File>),
    /// A compressed one, which is read once.
    Gzip(Content),
}

/// A file on its way.
pub(super) struct Followed {
    /// What its notes say, except position and head, which the pipe and the file tell.
    pub(super) generation: Generation,
    /// Where it is now; differs from the generation's path after a rotation.
    pub(super) at: PathBuf,
    /// Where that really is.
    pub(super) real: Option<PathBuf>,
    pub(super) source: usize,
    pub(super) pipe: Pipe,
    pub(super) reader: Reader,
    head: Vec<u8>,
    /// When something was read last.
    pub(super) active_ns: i64,
    /// Another file, or none, is at its path.
    pub(super) replaced: bool,
    /// The last look at everything did not find it.
    pub(super) missing: bool,
    mtime: (i64, i64),
    /// Its note is to be written although no line was handed on.
    pub(super) note_due: bool,
    /// Bytes of nothing that were passed over.
    pub(super) nul_bytes: u64,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Followed")
            .field("at", &self.at)
            .field("life", &self.generation.life)
            .finish_non_exhaustive()
    }
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is more.
    More,
    /// Nothing more for now.
    AtEnd,
    /// It was emptied or written anew.
    Truncated,
    /// It cannot grow and was read.
    Finished,
    /// It is not where it was.
    Gone,
}

impl Followed {
    pub(super) fn new(
        generation: Generation,
        at: PathBuf,
        source: usize,
        pipe: Pipe,
        reader: Reader,
        now_ns: i64,
    ) -> Self {
        Self {
            generation,
            at,
            real: None,
            source,
            pipe,
            reader,
            head: Vec::new(),
            active_ns: now_ns,
            replaced: false,
            missing: false,
            mtime: (0, 0),
            note_due: true,
            nul_bytes: 0,
        }
    }

    /// Whether it was removed while we have it open: it then takes room on the disk because we do.
    pub(super) fn is_nameless(&self) -> bool {
        let Reader::Plain(Some(file)) = &self.reader else { return false };
        file.metadata().is_ok_and(|m| m.nlink() == 0)
    }

    /// What is to be noted of it now.
    pub(super) fn generation(&mut self, now_ns: i64) -> Generation {
        if self.generation.head.len != self.head.len() && !self.head.is_empty() {
            self.generation.head = Head::of(&self.head);
        }
        self.generation.position = self.pipe.position();
        self.generation.mark();
        self.generation.seen_ms = now_ns / 1_000_000;
        self.generation.clone()
    }

    /// Begins the next life of an emptied file.
    pub(super) fn begin_again(&mut self, pipe: Pipe) {
        self.generation.life += 1;
        self.generation.ended = false;
        self.generation.blind = false;
        self.generation.marks.clear();
        self.generation.head = Head::default();
        self.head.clear();
        self.pipe = pipe;
        self.note_due = true;
        self.mtime = (0, 0);
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.reader, Reader::Plain(Some(_)))
    }

    pub(super) fn close(&mut self) {
        if let Reader::Plain(file) = &mut self.reader {
            *file = None;
        }
    }

    /// Whether the file's size and time say that there is something to look at.
    pub(super) fn differs(&self, metadata: &std::fs::Metadata) -> bool {
        metadata.len() != self.pipe.read_offset() || self.mtime != (metadata.mtime(), metadata.mtime_nsec())
    }

    /// Reads at most as much as the buffer holds, and hands on what it completes.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        now_ns: i64,
        sink: &mut dyn LogSink,
    ) -> io::Result<Outcome> {
        match &mut self.reader {
            Reader::Gzip(content) => {
                let read = content.read(buffer)?;
                if read == 0 {
                    return Ok(Outcome::Finished);
                }
                self.active_ns = now_ns;
                self.take(buffer.get(..read).unwrap_or_default(), now_ns, sink);
                Ok(Outcome::More)
            }
            Reader::Plain(_) => self.read_plain(buffer, now_ns, sink),
        }
    }

    fn read_plain(&mut self, buffer: &mut [u8], now_ns: i64, sink: &mut dyn LogSink) -> io::Result<Outcome> {
        let Some(file) = self.open()? else { return Ok(Outcome::Gone) };
        let outcome = self.read_file(&file, buffer, now_ns, sink);
        self.reader = Reader::Plain(Some(file));
        outcome
    }

    fn read_file(
        &mut self,
        file: &File,
        buffer: &mut [u8],
        now_ns: i64,
        sink: &mut dyn LogSink,
    ) -> io::Result<Outcome> {
        let offset = self.pipe.read_offset();
        let metadata = file.metadata()?;
        let mtime = (metadata.mtime(), metadata.mtime_nsec());
        if metadata.len() < offset {
            return Ok(Outcome::Truncated);
        }
        if metadata.len() == offset && mtime == self.mtime {
            return Ok(Outcome::AtEnd);
        }
        let read = retried(|| file.read_at(buffer, offset))?;
        // Looked at behind the reading: what was read belongs to a file that still begins as before.
        let head = identity::head_bytes(file, HEAD_BYTES)?;
        let same = if self.head.is_empty() {
            self.generation.head.fits(&head)
        } else {
            head.starts_with(&self.head)
        };
        if !same {
            return Ok(Outcome::Truncated);
        }
        if head.len() > self.head.len() {
            self.head = head;
        }
        self.mtime = mtime;
        if read == 0 {
            return Ok(Outcome::AtEnd);
        }
        self.active_ns = now_ns;
        self.take(buffer.get(..read).unwrap_or_default(), now_ns, sink);
        Ok(if read == buffer.len() { Outcome::More } else { Outcome::AtEnd })
    }

    fn take(&mut self, bytes: &[u8], now_ns: i64, sink: &mut dyn LogSink) {
        /// Shorter runs of nothing are part of a line.
        const HOLE_BYTES: usize = 4096;
        // A file that was emptied under a writer that keeps its place begins with a hole.
        let hole = bytes.iter().take_while(|b| **b == 0).count();
        let (hole, text) = bytes.split_at(if hole >= HOLE_BYTES { hole } else { 0 });
        if !hole.is_empty() && self.pipe.skip(hole) {
            self.nul_bytes += hole.len() as u64;
            self.pipe.push(text, now_ns, sink);
        } else {
            self.pipe.push(bytes, now_ns, sink);
        }
    }

    /// The open file, taken out; nothing when another one is at its place.
    fn open(&mut self) -> io::Result<Option<File>> {
        let Reader::Plain(slot) = &mut self.reader else { return Ok(None) };
        if let Some(file) = slot.take() {
            return Ok(Some(file));
        }
        let (file, metadata) = match identity::open(&self.at) {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok((FileKey::of(&metadata) == self.generation.key).then_some(file))
    }
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
