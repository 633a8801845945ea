//! Finds files by their patterns and decides what each one is: one that is followed already, one to be read on, a copy
//! of another, or a new one.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::followed::{Followed, Reader};
use super::generation::{self, Copied, Generation, Place};
use super::identity::{self, FileKey, HEAD_BYTES, Head};
use super::{Files, Start, rotation};
use crate::ledger::Position;

/// Shortest time between two looks at whether a file that is gone rests.
const REST_PAUSE_NS: i64 = 1_000_000_000;

/// A file as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) source: usize,
    pub(super) metadata: Metadata,
}

impl Found {
    pub(super) fn key(&self) -> FileKey {
        FileKey::of(&self.metadata)
    }

    pub(super) fn is_gzip(&self) -> bool {
        self.path.file_name().and_then(|n| n.to_str()).is_some_and(rotation::is_gzip)
    }

    /// What stands in it.
    ///
    /// # Errors
    /// Those of the system, also when another file is at the path by now.
    pub(super) fn content(&self) -> std::io::Result<generation::Content> {
        generation::content(&self.path, self.key())
    }

    /// When it was written last.
    pub(super) fn age(&self) -> (i64, i64) {
        (self.metadata.mtime(), self.metadata.mtime_nsec())
    }
}

impl Files {
    /// Looks everything up.
    pub(super) fn scan(&mut self, now_ns: i64) {
        self.counts.unreadable = 0;
        self.listings.clear();
        let found = self.find();
        let mut present = HashSet::new();
        let mut new = Vec::new();
        for found in found {
            let key = found.key();
            if !present.insert(key) {
                continue;
            }
            match self.followed.get_mut(&key) {
                Some(file) => {
                    file.replaced = false;
                    file.missing = false;
                    if file.at != found.path {
                        file.at.clone_from(&found.path);
                        self.watch_file(key, &found.path);
                    }
                    if self.followed.get(&key).is_some_and(|f| f.differs(&found.metadata)) {
                        self.enqueue(key);
                    }
                }
                None => new.push(found),
            }
        }
        let replaced = self.look_for_missing(&present, now_ns);
        // What was written first is read first.
        new.sort_by_key(Found::age);
        for found in new {
            if !self.followed.contains_key(&found.key()) {
                self.adopt(&found, now_ns);
            }
        }
        if self.first_scan {
            self.first_scan = false;
            self.catch_up_all(now_ns);
            self.complete_ms = now_ns / 1_000_000;
        } else {
            // What came and was rotated away since the last look was never at a path that matches.
            let since_ms = self.complete_ms;
            let mut complete = true;
            for (place, source) in replaced {
                complete &= self.missed(&place, source, since_ms, now_ns);
            }
            if complete {
                self.complete_ms = now_ns / 1_000_000;
            }
        }
        self.prune(now_ns);
    }

    fn find(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (source, rules) in self.sources.iter().enumerate() {
            for pattern in &rules.include {
                self.watch.folder(fixed_part(pattern.as_str()));
                let Ok(paths) = glob::glob(pattern.as_str()) else { continue };
                for path in paths {
                    let Ok(path) = path else {
                        self.counts.unreadable += 1;
                        continue;
                    };
                    if rules.exclude.iter().any(|e| e.matches_path(&path)) || seen.contains(&path) {
                        continue;
                    }
                    if let Ok(metadata) = std::fs::metadata(&path)
                        && metadata.is_file()
                    {
                        seen.insert(path.clone());
                        found.push(Found { path, source, metadata });
                    }
                }
            }
        }
        found
    }

    /// Files that are followed and stand at no matching path any more: read on under their new name, until they rest.
    /// Which paths lost their file since the last look.
    fn look_for_missing(&mut self, present: &HashSet<FileKey>, now_ns: i64) -> Vec<(Place, usize)> {
        let mut lost = Vec::new();
        self.rest_ns = i64::MAX;
        let missing: Vec<FileKey> =
            self.followed.keys().filter(|key| !present.contains(key)).copied().collect();
        for key in missing {
            let Some(file) = self.followed.get_mut(&key) else { continue };
            let place = file.generation.place.clone();
            if !file.missing {
                file.missing = true;
                file.replaced = true;
                file.active_ns = now_ns;
                lost.push((place.clone(), file.source));
            }
            if let Some(renamed) = self.siblings(place.home()).into_iter().find(|f| f.key() == key) {
                self.watch_file(key, &renamed.path);
                if let Some(file) = self.followed.get_mut(&key) {
                    file.at = renamed.path;
                }
            }
            self.enqueue(key);
            let Some(file) = self.followed.get(&key) else { continue };
            let linger = if file.is_nameless() { self.options.linger_nameless } else { self.options.linger };
            let linger_ns = i64::try_from(linger.as_nanos()).unwrap_or(i64::MAX);
            let rests_ns = file.active_ns.saturating_add(linger_ns);
            self.rest_ns = self.rest_ns.min(rests_ns.max(now_ns.saturating_add(REST_PAUSE_NS)));
            if now_ns >= rests_ns || now_ns < file.active_ns {
                self.read_one(key, now_ns);
                let still = self.followed.get(&key).is_some_and(|f| f.active_ns != now_ns);
                if still {
                    self.end(key, now_ns);
                }
            }
        }
        lost
    }

    /// Decides what a file is that is not followed yet.
    fn adopt(&mut self, found: &Found, now_ns: i64) {
        if self.followed.len() >= self.options.files_max {
            self.counts.unreadable += 1;
            return;
        }
        let head = match found.content().and_then(head_of) {
            Ok(head) => head,
            Err(_) => {
                self.counts.unreadable += 1;
                return;
            }
        };
        let known = self.known.values().filter(|g| g.key == found.key()).max_by_key(|g| g.life).cloned();
        if let Some(known) = known {
            let fits = known.head.fits(&head);
            if found.is_gzip() && fits {
                if !known.ended {
                    self.resume(found, known, now_ns);
                }
                return;
            }
            if fits && found.metadata.len() >= known.position.offset {
                self.resume(found, known, now_ns);
                return;
            }
            // The inode has another content: emptied and written anew, or used again after a removal.
            let life = known.life + 1;
            if !known.ended {
                self.catch_up(&known, now_ns);
            }
            self.begin(found, life, Position::default(), &Place::of(&found.path), now_ns);
            return;
        }
        match self.copied_from(found, &head) {
            Some(Original::Live) => {}
            Some(Original::Over(over)) => self.go_on(found, &over.0, over.1, now_ns),
            None => self.begin_new(found, now_ns),
        }
    }

    /// Begins a file that nobody knows.
    fn begin_new(&mut self, found: &Found, now_ns: i64) {
        let skip = self.first_scan
            && self.first_ever
            && !found.is_gzip()
            && self.sources.get(found.source).is_some_and(|s| s.start == Start::End);
        let offset = if skip { last_line(found) } else { 0 };
        let position = Position { offset, ..Position::default() };
        self.begin(found, 0, position, &Place::of(&found.path), now_ns);
        if skip && let Some(file) = self.followed.get_mut(&found.key()) {
            file.generation.blind = true;
        }
    }

    /// Of which life a file is a copy.
    fn copied_from(&self, found: &Found, head: &[u8]) -> Option<Original> {
        let copied = |g: &Generation| {
            let may = g.position.offset > 0 && g.place.is_sibling(&found.path) && g.head.fits(head);
            let copied = if may { found.content().and_then(|mut c| g.copied_in(&mut c)).ok() } else { None };
            match copied? {
                Copied::Not => None,
                Copied::Whole => Some(g.position.clone()),
                Copied::Within(end) => Some(end),
            }
        };
        if self.followed.values().any(|f| copied(&f.generation).is_some()) {
            return Some(Original::Live);
        }
        let over = self.known.values().filter_map(|g| Some((g, copied(g)?)));
        let best = over.max_by_key(|(g, _)| g.position.offset);
        best.map(|(g, at)| Original::Over(Box::new((g.clone(), at))))
    }

    /// Reads a file on that was noted.
    pub(super) fn resume(&mut self, found: &Found, known: Generation, now_ns: i64) {
        self.known.remove(&known.note_key());
        let place = known.place.clone();
        self.begin(found, known.life, known.position.clone(), &place, now_ns);
        if let Some(file) = self.followed.get_mut(&found.key()) {
            file.generation = Generation { ended: false, ..known };
        }
    }

    /// Reads a copy on from where its original stopped.
    pub(super) fn go_on(&mut self, found: &Found, original: &Generation, at: Position, now_ns: i64) {
        // What is still to be known of the original is known of its copy from now on, if that has all of it.
        if at == original.position {
            self.forget(&original.note_key());
        }
        self.begin(found, 0, at, &original.place, now_ns);
        if let Some(file) = self.followed.get_mut(&found.key()) {
            file.generation.blind = original.blind;
            file.generation.marks.clone_from(&original.marks);
            file.generation.marks.retain(|(offset, _)| *offset <= file.generation.position.offset);
        }
    }

    /// Follows a file from a position on. `place` is the one that its lines carry. False when it cannot be opened, or
    /// another file is at its path by now.
    pub(super) fn begin(
        &mut self,
        found: &Found,
        life: u32,
        position: Position,
        place: &Place,
        now_ns: i64,
    ) -> bool {
        let Ok(reader) = self.reader(found, position.offset) else {
            self.counts.unreadable += 1;
            return false;
        };
        let key = found.key();
        let pipe = self.pipe(&place.path, found.source, &position);
        let generation = Generation {
            place: place.clone(),
            key,
            life,
            head: Head::default(),
            position,
            seen_ms: now_ns / 1_000_000,
            ended: false,
            blind: false,
            marks: Vec::new(),
        };
        let file = Followed::new(generation, found.path.clone(), found.source, pipe, reader, now_ns);
        self.followed.insert(key, file);
        self.touched.insert(key);
        self.watch_file(key, &found.path);
        self.enqueue(key);
        true
    }

    /// Opened at once, since it may be renamed or removed before its turn comes.
    fn reader(&mut self, found: &Found, offset: u64) -> std::io::Result<Reader> {
        if found.is_gzip() {
            return self.gzip_from(found, offset).map(Reader::Gzip);
        }
        let (file, metadata) = identity::open(&found.path)?;
        if FileKey::of(&metadata) != found.key() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(Reader::Plain(Some(file)))
    }

    /// The decompressed content behind an offset.
    fn gzip_from(&mut self, found: &Found, mut offset: u64) -> std::io::Result<generation::Content> {
        let mut content = found.content()?;
        while offset > 0 {
            let most = usize::try_from(offset).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = content.read(self.buffer.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            offset -= read as u64;
        }
        Ok(content)
    }
}

/// What a file is a copy of.
enum Original {
    /// One that is still read: nothing is to be done until it is over.
    Live,
    /// One that is over.
    Over(Box<(Generation, Position)>),
}

/// Where the last line of a file begins that has no end yet; the end of the file when there is none, or it is long.
fn last_line(found: &Found) -> u64 {
    /// Bytes that are looked at.
    const LINE_BYTES: u64 = 4096;
    let len = found.metadata.len();
    let from = len.saturating_sub(LINE_BYTES);
    let mut bytes = vec![0; usize::try_from(len - from).unwrap_or(0)];
    let read = identity::open(&found.path).and_then(|(file, _)| file.read_exact_at(&mut bytes, from));
    let end = bytes.iter().rposition(|b| *b == b'\n').filter(|_| read.is_ok());
    end.map_or(len, |at| from + at as u64 + 1)
}

pub(super) fn head_of(content: generation::Content) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut head = Vec::new();
    content.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The folder of a pattern before its first star.
fn fixed_part(pattern: &str) -> &Path {
    let fixed = pattern.find(['*', '?', '[']).map_or(pattern, |at| pattern.get(..at).unwrap_or_default());
    let path = Path::new(fixed);
    if fixed.ends_with('/') { path } else { path.parent().unwrap_or(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_pattern_is_what_stands_before_its_stars() {
        for (pattern, folder) in
            [("/a/b/*.log", "/a/b/"), ("/a/b*/c", "/a"), ("/a/b.log", "/a"), ("/**/x", "/")]
        {
            assert_eq!(fixed_part(pattern), Path::new(folder), "{pattern}");
        }
    }
}
