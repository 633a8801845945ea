//! What is remembered of a file: one life of it, from its first byte until it is emptied, replaced or removed.

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

/// One life of a file, as its note tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// The path under which it was first found; lines carry it as `filename` after a rotation too.
    pub(crate) path: PathBuf,
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

    /// Whether a path may be a rotated form of this file.
    pub(crate) fn is_sibling(&self, path: &Path) -> bool {
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let base = |path: &Path| name(path).map(|n| rotation::base(&n).to_owned());
        self.path.parent() == path.parent() && base(&self.path).is_some() && base(&self.path) == base(path)
    }

    /// Whether a file holds what was read of this one, at the same place: the same file, or a copy of it.
    ///
    /// # Errors
    /// Those of reading it.
    pub(crate) fn is_copied_in(&self, path: &Path) -> io::Result<bool> {
        // A file of which nothing was read is like every other.
        if self.position.offset == 0 {
            return Ok(false);
        }
        let mut content = content(path)?;
        let mut head = Vec::new();
        content.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if !self.head.fits(&head) {
            return Ok(false);
        }
        let mut left = self.position.offset;
        let mut crc = crc32fast::Hasher::new();
        let mut add = |bytes: &[u8]| {
            let used =
                bytes.get(..usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())).unwrap_or_default();
            crc.update(used);
            left -= used.len() as u64;
            left
        };
        add(&head);
        let mut buffer = vec![0; 64 << 10];
        while add(&[]) > 0 {
            let read = match content.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            add(buffer.get(..read).unwrap_or_default());
        }
        let same =
            if self.blind { self.head.len >= BLIND_HEAD_BYTES } else { crc.finalize() == self.position.crc };
        Ok(same)
    }
}

/// Opens the content of a file from its beginning.
pub(crate) fn content(path: &Path) -> io::Result<Content> {
    let (file, _) = identity::open(path)?;
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
            path: path.to_owned(),
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
        assert!(read.is_copied_in(&write("same", text.as_bytes())).unwrap());
        assert!(read.is_copied_in(&write("same.gz", &gzip(text.as_bytes()))).unwrap());
        assert!(!read.is_copied_in(&write("short", &text.as_bytes()[..99_999])).unwrap());
        assert!(!read.is_copied_in(&write("other", text.replace("of a", "of_a").as_bytes())).unwrap());
        let mut late = text.clone().into_bytes();
        late[99_998] = b'X';
        assert!(!read.is_copied_in(&write("late", &late)).unwrap());
        assert!(read.is_copied_in(&write("broken.gz", b"no gzip")).is_err());
        assert!(
            read.is_sibling(&folder.path().join("a.log.1.gz"))
                && !read.is_sibling(&folder.path().join("b.log.1"))
        );
    }
}
