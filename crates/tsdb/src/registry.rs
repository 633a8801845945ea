//! Every series that the head or a block has, once, and the lists that find them by label.
//!
//! A series has an id while someone refers to it; ids are used again after that, so nothing outside the store's
//! lock may keep one. The lists live in memory only and are rebuilt at every start from log and blocks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wellkept_model::{Labels, MatchOp, Matcher};

/// Number of a series, valid while it is referred to.
pub(crate) type SeriesId = u32;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_labels: HashMap<Labels, SeriesId>,
    series: Vec<Entry>,
    free: Vec<SeriesId>,
    postings: BTreeMap<String, BTreeMap<String, BTreeSet<SeriesId>>>,
}

#[derive(Debug, Default)]
struct Entry {
    labels: Labels,
    refs: u32,
}

impl Registry {
    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// The id of a series, with one reference more.
    pub(crate) fn acquire(&mut self, labels: &Labels) -> SeriesId {
        if let Some(&id) = self.by_labels.get(labels) {
            if let Some(entry) = self.series.get_mut(id as usize) {
                entry.refs += 1;
            }
            return id;
        }
        let entry = Entry { labels: labels.clone(), refs: 1 };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.series.push(Entry::default());
                self.series.len() as SeriesId - 1
            }
        };
        if let Some(slot) = self.series.get_mut(id as usize) {
            *slot = entry;
        }
        self.by_labels.insert(labels.clone(), id);
        for (name, value) in labels.iter() {
            let values = self.postings.entry(name.to_owned()).or_default();
            values.entry(value.to_owned()).or_default().insert(id);
        }
        id
    }

    /// Gives one reference back.
    pub(crate) fn release(&mut self, id: SeriesId) {
        let Some(entry) = self.series.get_mut(id as usize) else { return };
        entry.refs = entry.refs.saturating_sub(1);
        if entry.refs > 0 {
            return;
        }
        let labels = std::mem::take(&mut entry.labels);
        self.by_labels.remove(&labels);
        self.free.push(id);
        for (name, value) in labels.iter() {
            let Some(values) = self.postings.get_mut(name) else { continue };
            if let Some(ids) = values.get_mut(value) {
                ids.remove(&id);
                if ids.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
    }

    pub(crate) fn labels(&self, id: SeriesId) -> Labels {
        self.series.get(id as usize).map(|e| e.labels.clone()).unwrap_or_default()
    }

    /// Names of all labels, sorted.
    pub(crate) fn label_names(&self) -> Vec<String> {
        self.postings.keys().cloned().collect()
    }

    /// Values of one label, sorted.
    pub(crate) fn label_values(&self, name: &str) -> Vec<String> {
        self.postings.get(name).map(|v| v.keys().cloned().collect()).unwrap_or_default()
    }

    /// Series that satisfy all matchers, sorted by labels.
    pub(crate) fn find(&self, matchers: &[Matcher]) -> Vec<(Labels, SeriesId)> {
        let narrow = matchers.iter().filter_map(|m| self.candidates(m)).min_by_key(BTreeSet::len);
        let all = || self.by_labels.values().copied().collect();
        let mut found: Vec<(Labels, SeriesId)> = narrow
            .unwrap_or_else(all)
            .into_iter()
            .map(|id| (self.labels(id), id))
            .filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(m.name()))))
            .collect();
        found.sort();
        found
    }

    /// The series that a matcher allows, where the lists can say so cheaply: not when it accepts an absent label.
    fn candidates(&self, matcher: &Matcher) -> Option<BTreeSet<SeriesId>> {
        if matcher.matches("") {
            return None;
        }
        let values = self.postings.get(matcher.name());
        match matcher.op() {
            MatchOp::Equal => Some(values.and_then(|v| v.get(matcher.value())).cloned().unwrap_or_default()),
            MatchOp::Regex | MatchOp::NotRegex | MatchOp::NotEqual => {
                let matching = values.into_iter().flatten().filter(|(value, _)| matcher.matches(value));
                Some(matching.flat_map(|(_, ids)| ids.iter().copied()).collect())
            }
        }
    }
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
