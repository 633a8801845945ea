//! Finds what happened to a file while nobody looked: where its unread rest went, and what was written and rotated
//! away since.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::Files;
use super::generation::{Copied, Generation, Place};
use super::identity::FileKey;
use super::scan::Found;
use crate::ledger::Position;

/// How far the time stamps of files may lag behind the clock.
const FILE_CLOCK_MS: i64 = 1000;

impl Files {
    /// After a start: the rest of every noted file that was not found at its path, and what came since.
    pub(super) fn catch_up_all(&mut self, now_ns: i64) {
        let mut families: BTreeMap<PathBuf, (Place, usize, i64)> = BTreeMap::new();
        // Those that were begun just now are not what was noted.
        let noted = self.followed.values().map(|f| &f.generation).filter(|g| g.position.offset > 0);
        for life in self.known.values().chain(noted) {
            let source = self.source_of(life);
            let family = families.entry(life.place.path.clone());
            let (_, _, seen_ms) = family.or_insert_with(|| (life.place.clone(), source, life.seen_ms));
            *seen_ms = life.seen_ms.max(*seen_ms);
        }
        let open: Vec<Generation> = self.known.values().filter(|g| !g.ended).cloned().collect();
        for life in open {
            // The one before may have found it already.
            if self.known.contains_key(&life.note_key()) {
                self.catch_up(&life, now_ns);
            }
        }
        for (place, source, seen_ms) in families.into_values() {
            self.missed(&place, source, seen_ms, now_ns);
        }
    }

    /// Looks for the rest of a life that is over: under another name, as a copy, or compressed. True when it was found.
    pub(super) fn catch_up(&mut self, life: &Generation, now_ns: i64) -> bool {
        let source = self.source_of(life);
        let mut siblings = self.siblings(life.place.home());
        siblings.iter_mut().for_each(|s| s.source = source);
        match siblings.iter().find(|s| self.holds_rest(s, life)) {
            Some(found) if found.key() == life.key => {
                self.resume(found, life.clone(), now_ns);
            }
            Some(found) => self.go_on(found, life, life.position.clone(), now_ns),
            None => {
                self.counts.not_found += u64::from(life.position.offset > 0);
                self.remember(Generation { ended: true, ..life.clone() });
                return false;
            }
        }
        true
    }

    /// Reads what was written and rotated away since `since_ms`: siblings that nobody knows. False when names moved under
    /// us, so that something may have been overlooked.
    pub(super) fn missed(&mut self, place: &Place, source: usize, since_ms: i64, now_ns: i64) -> bool {
        /// Looks that are taken while names move.
        const LOOKS_MAX: usize = 5;
        // The clock of files runs a little behind.
        let since_ms = since_ms - FILE_CLOCK_MS;
        let since = (since_ms.div_euclid(1000), since_ms.rem_euclid(1000) * 1_000_000);
        for _ in 0..LOOKS_MAX {
            let mut steady = true;
            for mut found in self.siblings(place.home()) {
                found.source = source;
                if found.age() < since || found.path == place.home() {
                    continue;
                }
                steady &= match self.is_unknown(&found) {
                    Ok(true) => self.begin(&found, 0, Position::default(), place, now_ns),
                    Ok(false) => true,
                    // A compressed file may be broken; anything else has moved.
                    Err(_) => found.is_gzip(),
                };
            }
            if steady {
                return true;
            }
            self.listings.clear();
        }
        false
    }

    /// Which source a noted file belongs to: the first that its path matches.
    fn source_of(&self, life: &Generation) -> usize {
        let matches =
            |source: &super::Source| source.include.iter().any(|p| p.matches_path(&life.place.path));
        self.sources.iter().position(matches).unwrap_or(0)
    }

    /// Whether a file holds what was read of a life, and so its rest.
    fn holds_rest(&self, found: &Found, life: &Generation) -> bool {
        if self.followed.contains_key(&found.key()) {
            return false;
        }
        if found.key() == life.key {
            let same = found.content().and_then(super::scan::head_of).is_ok_and(|head| life.head.fits(&head));
            return same && (found.is_gzip() || found.metadata.len() >= life.position.offset);
        }
        found.content().and_then(|mut c| life.copied_in(&mut c)).is_ok_and(|copied| copied == Copied::Whole)
    }

    /// Whether nothing is known of a file: it is neither followed nor noted, nor a copy of one that is.
    fn is_unknown(&self, found: &Found) -> io::Result<bool> {
        let key: FileKey = found.key();
        if self.followed.contains_key(&key) {
            return Ok(false);
        }
        let head = found.content().and_then(super::scan::head_of)?;
        // An inode alone says little: it is used again.
        if self.known.values().any(|g| g.key == key && g.head.fits(&head)) {
            return Ok(false);
        }
        let lives = self.known.values().chain(self.followed.values().map(|f| &f.generation));
        for life in
            lives.filter(|g| g.position.offset > 0 && g.place.is_sibling(&found.path) && g.head.fits(&head))
        {
            if life.copied_in(&mut found.content()?)? != Copied::Not {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A followed file was emptied: what it held is handed on, its copy is looked for, and it begins anew.
    pub(super) fn truncated(&mut self, key: FileKey, now_ns: i64) {
        self.counts.truncated += 1;
        self.listings.clear();
        self.with_sink(key, now_ns, |file, sink| file.pipe.flush_groups(now_ns, sink));
        // While the copies are looked at, this file must not count as one that is still read.
        let Some(mut file) = self.followed.remove(&key) else { return };
        let life = Generation { ended: true, ..file.generation(now_ns) };
        let source = file.source;
        self.known.insert(life.note_key(), life.clone());
        let found = self.catch_up(&life, now_ns);
        self.followed.insert(key, file);
        self.missed(&life.place, source, self.complete_ms, now_ns);
        if !found {
            // Nobody will ever complete the last line.
            let last = self.with_sink(key, now_ns, |file, sink| {
                file.pipe.finish(now_ns, sink);
                Generation { ended: true, ..file.generation(now_ns) }
            });
            last.into_iter().for_each(|last| self.remember(last));
        }
        let pipe = self.pipe(&life.place.path, source, &Position::default());
        if let Some(file) = self.followed.get_mut(&key) {
            super::add_counts(&mut self.counts, file);
            file.nul_bytes = 0;
            file.begin_again(pipe);
        }
        self.enqueue(key);
    }
}
