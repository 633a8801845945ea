//! What belongs to one file: its rotated forms in the folder, the folders to be watched, and the lives that are remembered.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::Files;
use super::generation::family;
use super::identity::FileKey;
use super::scan::Found;

/// Folders as they were listed during one look at everything: each file by what rotation leaves of its name.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<PathBuf, HashMap<String, Vec<Found>>>);

impl Listings {
    /// Forgets everything: names have changed.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Files in the same folder whose names differ only by what rotation adds, oldest first.
    fn siblings(&mut self, path: &Path) -> Vec<Found> {
        let Some((folder, base)) = family(path) else { return Vec::new() };
        let folder = Path::new(folder);
        if !self.0.contains_key(folder) {
            self.0.insert(folder.to_owned(), list(folder));
        }
        self.0.get(folder).and_then(|families| families.get(base)).cloned().unwrap_or_default()
    }
}

fn list(folder: &Path) -> HashMap<String, Vec<Found>> {
    /// Entries of a folder that are looked at.
    const ENTRIES_MAX: usize = 100_000;
    let mut families: HashMap<String, Vec<Found>> = HashMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return families };
    for entry in entries.take(ENTRIES_MAX).filter_map(Result::ok) {
        let path = entry.path();
        let Some(metadata) = std::fs::metadata(&path).ok().filter(Metadata::is_file) else { continue };
        if let Some((_, base)) = family(&path) {
            let base = base.to_owned();
            families.entry(base).or_default().push(Found { path, source: 0, metadata });
        }
    }
    families.values_mut().for_each(|found| found.sort_by_key(Found::age));
    families
}

impl Files {
    /// Files in the same folder whose names differ only by what rotation adds, oldest first.
    pub(super) fn siblings(&mut self, path: &Path) -> Vec<Found> {
        self.listings.siblings(path)
    }

    /// Has the folder watched in which a file really is.
    pub(super) fn watch_file(&mut self, key: FileKey, path: &Path) {
        let Ok(real) = std::fs::canonicalize(path) else { return };
        if let Some(folder) = real.parent() {
            self.watch.folder(folder);
        }
        if let Some(folder) = path.parent() {
            self.watch.folder(folder);
        }
        let before = self.followed.get_mut(&key).and_then(|f| f.real.replace(real.clone()));
        if let Some(before) = before.filter(|b| *b != real) {
            self.real_paths.remove(&before);
        }
        self.real_paths.insert(real, key);
    }

    /// Lets go of lives that no copy can be expected of any more.
    pub(super) fn prune(&mut self, now_ns: i64) {
        /// Lives of one family that are remembered, and those that ended so lately that their files would be taken for
        /// new ones.
        const FAMILY_MAX: usize = 8;
        const LATE_MAX: usize = 1000;
        const LATE_MS: i64 = 3_600_000;
        const DAYS_MAX: i64 = 30;
        let mut families: HashMap<PathBuf, Vec<(i64, String)>> = HashMap::new();
        for (note_key, g) in self.known.iter().filter(|(_, g)| g.ended) {
            families.entry(g.place.path.clone()).or_default().push((g.seen_ms, note_key.clone()));
        }
        let now_ms = now_ns / 1_000_000;
        let (late_ms, oldest_ms) = (now_ms - LATE_MS, now_ms - DAYS_MAX * 86_400_000);
        let mut over = Vec::new();
        for lives in families.values_mut() {
            lives.sort_unstable_by(|a, b| b.cmp(a));
            let late = lives.iter().take(LATE_MAX).take_while(|(seen_ms, _)| *seen_ms >= late_ms).count();
            let known =
                lives.iter().take(FAMILY_MAX).take_while(|(seen_ms, _)| *seen_ms >= oldest_ms).count();
            let kept = late.max(known);
            over.extend(lives.drain(kept..).map(|(_, note_key)| note_key));
        }
        over.iter().for_each(|note_key| self.forget(note_key));
    }
}
