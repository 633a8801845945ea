//! What is remembered of a file: one life of it, from its first byte until it is emptied, replaced or removed.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{self, FileKey, HEAD_BYTES, Head};
use super::rotation;
use crate::batch::Note;
use crate::ledger::Position;

/// Prefix of the keys of notes.
const KEY_PREFIX: &str = "file/";

/// Bytes that a beginning must have to say alone that a file is a copy.
const BLIND_HEAD_BYTES: usize = 64;

/// Where a file belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The path under which it was first found; lines carry it as `filename` after a rotation too.
    pub(crate) path: PathBuf,
    /// Where it really was, when that path was a link: there its rotated forms are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<PathBuf>,
}

impl Place {
    /// The place of a file that is found at a path for the first time.
    pub(crate) fn of(path: &Path) -> Self {
        let home = std::fs::canonicalize(path).ok().filter(|real| real != path);
        Self { path: path.to_owned(), home }
    }

    /// Where it really was.
    pub(crate) fn home(&self) -> &Path {
        self.home.as_deref().unwrap_or(&self.path)
    }

    /// Whether a path may be a rotated form of this file.
    pub(crate) fn is_sibling(&self, path: &Path) -> bool {
        let theirs = family(path);
        theirs.is_some() && (theirs == family(&self.path) || theirs == family(self.home()))
    }
}

/// What the names of a file and its rotated forms have in common: the folder and the name without what rotation adds.
pub(crate) fn family(path: &Path) -> Option<(&OsStr, &str)> {
    Some((path.parent()?.as_os_str(), rotation::base(path.file_name()?.to_str()?)))
}

/// One life of a file, as its note tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    #[serde(flatten)]
    pub(crate) place: Place,
    #[serde(flatten)]
    pub(crate) key: FileKey,
    /// How often this inode had been emptied before.
    #[serde(default)]
    pub(crate) life: u32,
    pub(crate) head: Head,
    #[serde(flatten)]
    pub(crate) position: Position,
    /// When it was last read, milliseconds since the epoch.
    pub(crate) seen_ms: i64,
    /// It is over: emptied, removed, or compressed and read to its end.
    #[serde(default)]
    pub(crate) ended: bool,
    /// It was begun at its end, so that the checksum does not cover it from the beginning.
    #[serde(default)]
    pub(crate) blind: bool,
    /// Places on the way with the checksum before them, each at least twice as far as the one before.
    #[serde(default)]
    pub(crate) marks: Vec<(u64, u32)>,
}

/// The content of a file, decompressed when its name says that it is compressed.
pub(crate) type Content = Box<dyn Read + Send>;

impl Generation {
    /// The key of its note.
    pub(crate) fn note_key(&self) -> String {
        format!("{KEY_PREFIX}{:x}-{:x}-{}", self.key.dev, self.key.ino, self.life)
    }

    /// Its note.
    pub(crate) fn note(&self) -> Note {
        // A structure of texts and numbers is always JSON.
        Note { key: self.note_key(), value: serde_json::to_string(self).ok() }
    }

    /// Reads a note; nothing for those of other sources and for damaged ones.
    pub(crate) fn from_note(note: &Note) -> Option<Self> {
        note.key.starts_with(KEY_PREFIX).then_some(())?;
        serde_json::from_str(note.value.as_deref()?).ok()
    }

    /// Notes on the way what the checksum was, so that a copy that ends before the place that was read is known too.
    pub(crate) fn mark(&mut self) {
        let last = self.marks.last().map_or(0, |(offset, _)| *offset);
        if self.position.offset > last.saturating_mul(2) {
            self.marks.push((self.position.offset, self.position.crc));
        }
    }

    /// How much of what was read of this one stands in a file that begins with `content`.
    ///
    /// # Errors
    /// Those of reading it.
    pub(crate) fn copied_in(&self, content: &mut Content) -> io::Result<Copied> {
        // A file of which nothing was read is like every other.
        if self.position.offset == 0 {
            return Ok(Copied::Not);
        }
        let mut head = Vec::new();
        content.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if !self.head.fits(&head) || (self.blind && self.head.len < BLIND_HEAD_BYTES) {
            return Ok(Copied::Not);
        }
        let mut comparison = Comparison::new(self);
        comparison.add(&head);
        let mut buffer = vec![0; 64 << 10];
        while comparison.same && !comparison.reached() {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => comparison.add(buffer.get(..read).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(comparison.outcome())
    }
}

/// What of a life stands in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copied {
    /// Nothing, or something else.
    Not,
    /// All that was read, and maybe more.
    Whole,
    /// All of the other file was read; this is where it ends.
    Within(Position),
}

/// Compares checksums while a file is read.
struct Comparison<'a> {
    of: &'a Generation,
    /// Marks that were not passed yet, the next one last.
    marks: Vec<(u64, u32)>,
    crc: crc32fast::Hasher,
    at: u64,
    /// The last mark that was passed.
    passed: u64,
    same: bool,
}

impl<'a> Comparison<'a> {
    fn new(of: &'a Generation) -> Self {
        let end = (of.position.offset, of.position.crc);
        let mut marks: Vec<_> = of.marks.iter().copied().filter(|m| m.0 < end.0).chain([end]).collect();
        marks.reverse();
        Self { of, marks, crc: crc32fast::Hasher::new(), at: 0, passed: 0, same: true }
    }

    fn reached(&self) -> bool {
        self.at >= self.of.position.offset
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while let Some((offset, crc)) = self.marks.last().copied() {
            let until = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let Some((before, behind)) = bytes.split_at_checked(until) else { break };
            self.crc.update(before);
            self.at = offset;
            self.same &= self.of.blind || self.crc.clone().finalize() == crc;
            self.passed = offset;
            self.marks.pop();
            bytes = behind;
        }
        if !self.marks.is_empty() {
            self.crc.update(bytes);
            self.at += bytes.len() as u64;
        }
    }

    fn outcome(self) -> Copied {
        if !self.same {
            return Copied::Not;
        }
        if self.reached() {
            return Copied::Whole;
        }
        // What reaches no further than the first mark is too little to say anything.
        if self.passed == 0 && !self.of.blind {
            return Copied::Not;
        }
        Copied::Within(Position { offset: self.at, crc: self.crc.finalize(), done: Vec::new() })
    }
}

/// Opens the content of a file from its beginning.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::NotFound`] when another file than `key` is at the path by now.
pub(crate) fn content(path: &Path, key: FileKey) -> io::Result<Content> {
    let (file, metadata) = identity::open(path)?;
    if FileKey::of(&metadata) != key {
        return Err(io::ErrorKind::NotFound.into());
    }
    let gzip = path.file_name().and_then(|n| n.to_str()).is_some_and(rotation::is_gzip);
    Ok(if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file)))
    } else {
        Box::new(file)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn generation(path: &Path, text: &[u8], offset: usize) -> Generation {
        Generation {
            place: Place::of(path),
            key: FileKey { dev: 1, ino: 2 },
            life: 3,
            head: Head::of(text),
            position: Position {
                offset: offset as u64,
                crc: crc32fast::hash(&text[..offset]),
                done: vec![(7, 9)],
            },
            seen_ms: 5,
            ended: false,
            blind: false,
            marks: vec![(1000, crc32fast::hash(text.get(..1000).unwrap_or_default()))],
        }
    }

    #[test]
    fn a_note_leads_back_to_what_it_was_made_of() {
        let generation = generation(Path::new("/a/b.log"), b"abc", 2);
        let note = generation.note();
        assert_eq!(note.key, "file/1-2-3");
        assert_eq!(Generation::from_note(&note), Some(generation));
        let broken = Note { value: Some("{}".into()), ..note.clone() };
        assert_eq!(Generation::from_note(&broken), None);
        assert_eq!(Generation::from_note(&Note { key: "journal".into(), ..note }), None);
    }

    #[test]
    fn copies_are_known_by_their_content_compressed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = "a line of a log\n".repeat(10_000);
        let path = folder.path().join("a.log");
        let read = generation(&path, text.as_bytes(), 100_000);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let gzip = |bytes: &[u8]| {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        };
        let copied = |path: PathBuf| {
            let key = FileKey::of(&std::fs::metadata(&path).unwrap());
            read.copied_in(&mut content(&path, key)?)
        };
        assert_eq!(copied(write("same", text.as_bytes())).unwrap(), Copied::Whole);
        assert_eq!(copied(write("same.gz", &gzip(text.as_bytes()))).unwrap(), Copied::Whole);
        let short = &text.as_bytes()[..99_999];
        let within = Position { offset: 99_999, crc: crc32fast::hash(short), done: vec![] };
        assert_eq!(copied(write("short", short)).unwrap(), Copied::Within(within));
        assert_eq!(copied(write("shorter", &short[..999])).unwrap(), Copied::Not, "too little to tell");
        assert_eq!(copied(write("other", text.replace("of a", "of_a").as_bytes())).unwrap(), Copied::Not);
        let mut late = text.clone().into_bytes();
        late[99_998] = b'X';
        assert_eq!(copied(write("late", &late)).unwrap(), Copied::Not);
        assert!(copied(write("broken.gz", b"no gzip")).is_err());
        assert!(content(&path.with_file_name("same"), FileKey { dev: 0, ino: 0 }).is_err());
        assert!(
            read.place.is_sibling(&folder.path().join("a.log.1.gz"))
                && !read.place.is_sibling(&folder.path().join("b.log.1"))
        );
    }
}
