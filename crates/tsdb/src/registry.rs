//! Every series that the head or a block has, once, and the lists that find them by label.
//!
//! A series has an id while someone refers to it; ids are used again after that, so nothing outside the store's
//! lock may keep one. The lists live in memory only and are rebuilt at every start from log and blocks: for each
//! label pair a compressed bitmap of ids.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use roaring::RoaringBitmap;
use wellkept_model::{Labels, MatchOp, Matcher};

/// Number of a series, valid while it is referred to.
pub(crate) type SeriesId = u32;

/// Where the head has a series: index of the group, and slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadPlace {
    pub(crate) group: u32,
    pub(crate) slot: u32,
}

impl HeadPlace {
    const NONE: Self = Self { group: u32::MAX, slot: u32::MAX };
}

/// Selections of at least this many series are sorted by rank.
const RANK_FROM: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_labels: HashTable<SeriesId>,
    hasher: DefaultHashBuilder,
    series: Vec<Entry>,
    free: Vec<SeriesId>,
    postings: BTreeMap<Box<str>, BTreeMap<Box<str>, RoaringBitmap>>,
    /// Place of each id in the order of labels, while no series has come since.
    ranks: Mutex<Option<Arc<Vec<u32>>>>,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    refs: u32,
    place: HeadPlace,
}

impl Registry {
    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// The id of the series whose labels have this packed form.
    pub(crate) fn lookup(&self, packed: &str) -> Option<SeriesId> {
        let same = |id: &SeriesId| self.series.get(*id as usize).is_some_and(|e| e.labels.packed() == packed);
        self.by_labels.find(self.hasher.hash_one(packed), same).copied()
    }

    /// The id of a series, with one reference more.
    pub(crate) fn acquire(&mut self, labels: &Labels) -> SeriesId {
        if let Some(id) = self.lookup(labels.packed()) {
            self.refer(id);
            return id;
        }
        let entry = Entry { labels: labels.clone(), refs: 1, place: HeadPlace::NONE };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.series.get_mut(id as usize) {
                    *slot = entry;
                }
                id
            }
            None => {
                self.series.push(entry);
                self.series.len() as SeriesId - 1
            }
        };
        let (series, hasher) = (&self.series, &self.hasher);
        let rehash =
            |id: &SeriesId| series.get(*id as usize).map_or(0, |e| hasher.hash_one(e.labels.packed()));
        self.by_labels.insert_unique(hasher.hash_one(labels.packed()), id, rehash);
        self.post(id, labels);
        *self.ranks.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        id
    }

    fn post(&mut self, id: SeriesId, labels: &Labels) {
        for (name, value) in labels.iter() {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.postings.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(ids) => {
                    ids.insert(id);
                }
                None => {
                    values.insert(value.into(), RoaringBitmap::from_iter([id]));
                }
            }
        }
    }

    /// One reference more to a series that has one.
    pub(crate) fn refer(&mut self, id: SeriesId) {
        if let Some(entry) = self.series.get_mut(id as usize) {
            entry.refs += 1;
        }
    }

    /// Gives one reference back.
    pub(crate) fn release(&mut self, id: SeriesId) {
        let Some(entry) = self.series.get_mut(id as usize) else { return };
        entry.refs = entry.refs.saturating_sub(1);
        if entry.refs > 0 {
            return;
        }
        let labels = std::mem::take(&mut entry.labels);
        entry.place = HeadPlace::NONE;
        if let Ok(found) = self.by_labels.find_entry(self.hasher.hash_one(labels.packed()), |i| *i == id) {
            found.remove();
        }
        self.free.push(id);
        for (name, value) in labels.iter() {
            let Some(values) = self.postings.get_mut(name) else { continue };
            if let Some(ids) = values.get_mut(value) {
                ids.remove(id);
                if ids.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
        *self.ranks.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn labels(&self, id: SeriesId) -> Option<&Labels> {
        self.series.get(id as usize).map(|e| &e.labels)
    }

    /// Where the head has a series.
    pub(crate) fn place(&self, id: SeriesId) -> Option<HeadPlace> {
        self.series.get(id as usize).map(|e| e.place).filter(|&p| p != HeadPlace::NONE)
    }

    /// Says where the head has a series from now on.
    pub(crate) fn set_place(&mut self, id: SeriesId, place: Option<HeadPlace>) {
        if let Some(entry) = self.series.get_mut(id as usize) {
            entry.place = place.unwrap_or(HeadPlace::NONE);
        }
    }

    /// Names of all labels, sorted.
    pub(crate) fn label_names(&self) -> Vec<String> {
        self.postings.keys().map(|n| n.as_ref().to_owned()).collect()
    }

    /// Values of one label, sorted.
    pub(crate) fn label_values(&self, name: &str) -> Vec<String> {
        self.values(name).map(|(v, _)| v.to_owned()).collect()
    }

    /// Names of all labels with their values and how many series have each.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, u64)>)> {
        self.postings
            .iter()
            .map(|(n, values)| (n.as_ref(), values.iter().map(|(v, ids)| (v.as_ref(), ids.len()))))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = (&str, &RoaringBitmap)> {
        self.postings.get(name).into_iter().flatten().map(|(v, ids)| (v.as_ref(), ids))
    }

    /// Series that satisfy all matchers, sorted by labels.
    pub(crate) fn find(&self, matchers: &[Matcher]) -> Vec<(Labels, SeriesId)> {
        let mut found: Option<RoaringBitmap> = None;
        let mut barred = RoaringBitmap::new();
        for matcher in matchers {
            match self.judge(matcher) {
                Judged::Only(ids) => found = Some(found.map_or_else(|| ids.clone(), |all| all & &ids)),
                Judged::Without(ids) => barred |= ids,
            }
        }
        let found = found.unwrap_or_else(|| self.by_labels.iter().copied().collect()) - barred;
        self.sorted(found)
    }

    fn sorted(&self, ids: RoaringBitmap) -> Vec<(Labels, SeriesId)> {
        let n = ids.len() as usize;
        let entry = |id: SeriesId| Some((self.labels(id)?.clone(), id));
        if n >= RANK_FROM
            && let Some(ranks) = self.ranks(n)
        {
            let mut ids: Vec<SeriesId> = ids.into_iter().collect();
            ids.sort_unstable_by_key(|&id| ranks.get(id as usize));
            return ids.into_iter().filter_map(entry).collect();
        }
        let mut found: Vec<(Labels, SeriesId)> = ids.into_iter().filter_map(entry).collect();
        found.sort_unstable();
        found
    }

    /// Ranks of all ids; made anew only for a selection that would cost as much by itself.
    fn ranks(&self, n: usize) -> Option<Arc<Vec<u32>>> {
        let mut ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        if ranks.is_none() && n >= self.len() / 4 {
            let mut all: Vec<(&Labels, SeriesId)> =
                self.by_labels.iter().filter_map(|&id| Some((self.labels(id)?, id))).collect();
            all.sort_unstable();
            let mut places = vec![0; self.series.len()];
            for (rank, (_, id)) in (0..).zip(all) {
                if let Some(place) = places.get_mut(id as usize) {
                    *place = rank;
                }
            }
            *ranks = Some(Arc::new(places));
        }
        ranks.clone()
    }

    /// What a matcher says, as a bitmap. One that accepts an absent label says which series it does not accept.
    fn judge(&self, matcher: &Matcher) -> Judged {
        let name = matcher.name();
        let absent = matcher.matches("");
        let mut ids = RoaringBitmap::new();
        if matcher.op() == MatchOp::Equal && !absent {
            let values = self.postings.get(name);
            return Judged::Only(values.and_then(|v| v.get(matcher.value())).cloned().unwrap_or_default());
        }
        if matcher.op() == MatchOp::NotEqual && absent {
            let values = self.postings.get(name);
            return Judged::Without(values.and_then(|v| v.get(matcher.value())).cloned().unwrap_or_default());
        }
        for (value, with) in self.values(name) {
            if matcher.matches(value) != absent {
                ids |= with;
            }
        }
        if absent { Judged::Without(ids) } else { Judged::Only(ids) }
    }
}

enum Judged {
    Only(RoaringBitmap),
    Without(RoaringBitmap),
}
#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let mut r = Registry::default();
        for (name, job) in [("up", "a"), ("up", "b"), ("load", "a")] {
            r.acquire(&Labels::metric(name, [("job", job)]));
        }
        r.acquire(&Labels::metric("bare", []));
        r
    }

    fn check(matchers: &[(&str, MatchOp, &str)], want: &[&str]) {
        let matchers: Vec<Matcher> =
            matchers.iter().map(|(n, op, v)| Matcher::new(n, *op, v).unwrap()).collect();
        let got: Vec<String> = registry().find(&matchers).iter().map(|(l, _)| l.to_string()).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn matchers_are_joined_by_and() {
        check(&[("job", MatchOp::Equal, "a"), ("__name__", MatchOp::Equal, "up")], &[r#"up{job="a"}"#]);
        check(
            &[("job", MatchOp::Regex, "a|b"), ("__name__", MatchOp::NotEqual, "up")],
            &[r#"load{job="a"}"#],
        );
        check(&[("job", MatchOp::Equal, "zzz")], &[]);
    }

    #[test]
    fn an_absent_label_is_the_empty_value() {
        check(&[("job", MatchOp::Equal, "")], &["bare"]);
        check(&[("job", MatchOp::NotEqual, "a")], &["bare", r#"up{job="b"}"#]);
        check(&[("job", MatchOp::Regex, "|b")], &["bare", r#"up{job="b"}"#]);
    }

    #[test]
    fn a_series_that_nobody_refers_to_is_forgotten() {
        let mut r = registry();
        let labels = Labels::metric("bare", []);
        let id = r.acquire(&labels);
        r.release(id);
        assert_eq!(r.find(&[]).len(), 4);
        r.release(id);
        assert_eq!(r.len(), 3);
        assert_eq!(r.label_values("__name__"), ["load", "up"]);
    }
}
