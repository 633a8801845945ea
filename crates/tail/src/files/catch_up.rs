//! Finds what happened to a file while nobody looked: where its unread rest went, and what was written and rotated
//! away since.

use super::generation::Generation;
use super::identity::FileKey;
use super::scan::Found;
use super::{Files, generation};
use crate::ledger::Position;

/// How far the time stamps of files may lag behind the clock.
const FILE_CLOCK_MS: i64 = 1000;

impl Files {
    /// After a start: every noted file that was not found at its path.
    pub(super) fn catch_up_all(&mut self, now_ns: i64) {
        let open: Vec<Generation> = self.known.values().filter(|g| !g.ended).cloned().collect();
        for generation in open {
            // The one before may have found it already.
            if self.known.contains_key(&generation.note_key()) {
                self.catch_up(generation, now_ns);
            }
        }
    }

    /// Looks for the rest of a life that is over, and for what came between it and the file of today. True when its rest
    /// was found: under another name, as a copy, or compressed.
    pub(super) fn catch_up(&mut self, life: Generation, now_ns: i64) -> bool {
        let source = self.source_of(&life);
        let mut siblings = self.siblings(&life.path);
        siblings.iter_mut().for_each(|s| s.source = source);
        let at = siblings.iter().position(|s| self.holds_rest(s, &life));
        match at.and_then(|at| siblings.get(at)) {
            Some(found) if found.key() == life.key && !found.is_gzip() => {
                self.resume(found, life.clone(), now_ns)
            }
            Some(found) => self.go_on(found, &life, now_ns),
            None => {
                self.counts.not_found += u64::from(life.position.offset > 0);
                self.remember(Generation { ended: true, ..life.clone() });
            }
        }
        // What was written since has a time since then; the clock of files runs a little behind.
        let since_ms = life.seen_ms - FILE_CLOCK_MS;
        let since = (since_ms.div_euclid(1000), since_ms.rem_euclid(1000) * 1_000_000);
        let between = siblings
            .iter()
            .enumerate()
            .filter(|(i, s)| Some(*i) != at && s.age() >= since && s.path != life.path);
        let between: Vec<&Found> = between.map(|(_, s)| s).collect();
        for found in between {
            if self.is_unknown(found) {
                self.begin(found, 0, Position::default(), &life.path, now_ns);
            }
        }
        at.is_some()
    }

    /// Which source a noted file belongs to: the first that its path matches.
    fn source_of(&self, life: &Generation) -> usize {
        let matches = |source: &super::Source| source.include.iter().any(|p| p.matches_path(&life.path));
        self.sources.iter().position(matches).unwrap_or(0)
    }

    /// Whether a file holds what was read of a life, and so its rest.
    fn holds_rest(&self, found: &Found, life: &Generation) -> bool {
        if self.followed.contains_key(&found.key()) {
            return false;
        }
        if found.key() == life.key {
            let head = generation::content(&found.path).and_then(super::scan::head_of);
            let same = head.is_ok_and(|head| life.head.fits(&head));
            return same && found.metadata.len() >= life.position.offset;
        }
        life.is_copied_in(&found.path).unwrap_or(false)
    }

    /// Whether nothing is known of a file: it is neither followed nor noted, nor a copy of one that is.
    fn is_unknown(&self, found: &Found) -> bool {
        let key: FileKey = found.key();
        let same = |g: &Generation| g.key == key || g.is_copied_in(&found.path).unwrap_or(true);
        !self.followed.contains_key(&key)
            && !self
                .followed
                .values()
                .filter(|f| f.generation.is_sibling(&found.path))
                .any(|f| same(&f.generation))
            && !self.known.values().filter(|g| g.is_sibling(&found.path)).any(same)
    }

    /// A followed file was emptied: what it held is handed on, its copy is looked for, and it begins anew.
    pub(super) fn truncated(&mut self, key: FileKey, now_ns: i64) {
        self.counts.truncated += 1;
        self.with_sink(key, now_ns, |file, sink| file.pipe.flush_groups(now_ns, sink));
        // While the copies are looked at, this file must not count as one that is still read.
        let Some(mut file) = self.followed.remove(&key) else { return };
        let life = Generation { ended: true, ..file.generation(now_ns) };
        let source = file.source;
        self.known.insert(life.note_key(), life.clone());
        let found = self.catch_up(life.clone(), now_ns);
        self.followed.insert(key, file);
        if !found {
            // Nobody will ever complete the last line.
            let last = self.with_sink(key, now_ns, |file, sink| {
                file.pipe.finish(now_ns, sink);
                Generation { ended: true, ..file.generation(now_ns) }
            });
            last.into_iter().for_each(|last| self.remember(last));
        }
        let pipe = self.pipe(&life.path, source, &Position::default());
        if let Some(file) = self.followed.get_mut(&key) {
            super::add_counts(&mut self.counts, file);
            file.nul_bytes = 0;
            file.begin_again(pipe);
        }
        self.enqueue(key);
    }
}
