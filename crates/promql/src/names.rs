//! Labels as an expression sees them, and finding equal ones without building them anew.
//!
//! After `rate(x)` the name of `x` must be gone. Building label sets without it for every series would cost more than
//! the rate itself, so a column only notes that its name is to go, and every look at labels leaves it out. With
//! delayed name removal (Prometheus' `promql-delayed-name-removal`) it is still seen until the query is answered.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use wellkept_model::{Labels, METRIC_NAME};

use crate::QueryError;
use crate::column::Column;
use crate::eval::Evaluator;

/// Labels that tell what a metric is, and are no longer true once its values were changed.
const RESERVED: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The reserved labels of a set: they sort before all names in small letters, so that few are looked at.
fn reserved(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().take_while(|(name, _)| *name < "_a").filter(|(name, _)| is_reserved(name))
}

/// The metric's name; empty when there is none.
pub(crate) fn metric_name(labels: &Labels) -> &str {
    reserved(labels).find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
}

/// What Prometheus says when two series would be one.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// The labels of a column, perhaps without its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    labels: &'a Labels,
    hidden: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn get(&self, name: &str) -> &'a str {
        if self.hidden && is_reserved(name) { "" } else { self.labels.get(name) }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.labels.iter().filter(move |(name, _)| !(self.hidden && is_reserved(name)))
    }

    /// The labels as a set of their own.
    pub(crate) fn to_labels(self) -> Labels {
        if self.hidden && reserved(self.labels).next().is_some() {
            self.labels.filter(|name| !is_reserved(name))
        } else {
            self.labels.clone()
        }
    }

    pub(crate) fn to_labels_of(self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        self.labels.filter(|name| !(self.hidden && is_reserved(name)) && keep(name))
    }
}

/// Whether a sorted list of names has this one.
pub(crate) fn contains(sorted: &[String], name: &str) -> bool {
    sorted.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
}

/// Which labels count when series are put together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'k> {
    /// These; sorted.
    Only(&'k [String]),
    /// All but these and the name; sorted.
    Without(&'k [String]),
    /// All but this one.
    Except(&'k str),
    All,
}

impl Key<'_> {
    fn has(&self, name: &str) -> bool {
        match self {
            Key::Only(names) => contains(names, name),
            Key::Without(names) => name != METRIC_NAME && !contains(names, name),
            Key::Except(one) => name != *one,
            Key::All => true,
        }
    }

    /// The labels that count.
    pub(crate) fn labels(&self, names: Names<'_>) -> Labels {
        match self {
            Key::All => names.to_labels(),
            _ => names.to_labels_of(|name| self.has(name)),
        }
    }

    fn hash(&self, names: Names<'_>, state: &RandomState) -> u64 {
        let mut hasher = state.build_hasher();
        match self {
            Key::Only(list) => list.iter().for_each(|name| names.get(name).hash(&mut hasher)),
            _ => names.iter().filter(|(name, _)| self.has(name)).for_each(|pair| pair.hash(&mut hasher)),
        }
        hasher.finish()
    }

    fn same(&self, a: Names<'_>, b: Names<'_>) -> bool {
        match self {
            Key::Only(list) => list.iter().all(|name| a.get(name) == b.get(name)),
            _ => {
                let there = |n: &(&str, &str)| self.has(n.0);
                a.iter().filter(there).eq(b.iter().filter(there))
            }
        }
    }
}

/// Numbers series by the labels that count: equal ones get one number, in order of their first coming.
pub(crate) struct Index<'a, 'k> {
    key: Key<'k>,
    state: RandomState,
    /// By hash: the newest group with it; `next` leads to older ones.
    newest: HashMap<u64, usize>,
    groups: Vec<(Names<'a>, Option<usize>)>,
}

impl<'a, 'k> Index<'a, 'k> {
    pub(crate) fn new(key: Key<'k>, capacity: usize) -> Self {
        let newest = HashMap::with_capacity(capacity);
        Self { key, state: RandomState::new(), newest, groups: Vec::with_capacity(capacity) }
    }

    fn find_hashed(&self, names: Names<'_>, hash: u64) -> Option<usize> {
        let mut at = self.newest.get(&hash).copied();
        while let Some((group, next)) = at.and_then(|i| self.groups.get(i)) {
            if self.key.same(*group, names) {
                return at;
            }
            at = *next;
        }
        None
    }

    /// The number of these labels; new ones get the next.
    pub(crate) fn insert(&mut self, names: Names<'a>) -> usize {
        let hash = self.key.hash(names, &self.state);
        if let Some(found) = self.find_hashed(names, hash) {
            return found;
        }
        let number = self.groups.len();
        let older = self.newest.insert(hash, number);
        self.groups.push((names, older));
        number
    }

    /// For each number the labels that count.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Labels> {
        self.groups.iter().map(|(names, _)| self.key.labels(*names))
    }
}

impl Evaluator<'_> {
    /// The labels of a column as the query sees them at this point.
    pub(crate) fn names<'c>(&self, column: &'c Column) -> Names<'c> {
        self.names_of(&column.labels, column.nameless)
    }

    pub(crate) fn names_of<'c>(&self, labels: &'c Labels, nameless: bool) -> Names<'c> {
        Names { labels, hidden: nameless && !self.limits.delayed_name_removal }
    }

    /// Drops the metric name of every column; columns that become one are merged.
    pub(crate) fn drop_names(&self, mut columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
        if self.limits.delayed_name_removal {
            columns.iter_mut().for_each(|c| c.nameless = true);
            return Ok(columns);
        }
        // Series of one metric differ in their other labels; they cannot become one.
        let alike = match columns.split_first() {
            Some((first, rest)) => rest.iter().all(|c| {
                c.nameless == first.nameless
                    && (c.nameless || reserved(&c.labels).eq(reserved(&first.labels)))
            }),
            None => true,
        };
        columns.iter_mut().for_each(|c| c.nameless = true);
        if alike { Ok(columns) } else { self.merge(columns, SAME_LABELS) }
    }

    /// Merges columns with equal labels that have values at different steps. Two values at one step are an error.
    pub(crate) fn merge(&self, columns: Vec<Column>, clash: &str) -> Result<Vec<Column>, QueryError> {
        let mut index = Index::new(Key::All, columns.len());
        let numbers: Vec<usize> = columns.iter().map(|c| index.insert(self.names(c))).collect();
        drop(index);
        let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
        for (column, number) in columns.into_iter().zip(numbers) {
            match merged.get_mut(number) {
                Some(into) => {
                    self.work(column.values.len())?;
                    if !into.overlay(&column) {
                        return Err(QueryError::failed(clash));
                    }
                }
                None => merged.push(column),
            }
        }
        Ok(merged)
    }

    /// As [`Self::merge`] at the end of a query: the names that were to go are gone.
    pub(crate) fn finish(&self, mut columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
        let mut dropped = false;
        for column in columns.iter_mut().filter(|c| c.nameless) {
            dropped = true;
            let names = Names { labels: &column.labels, hidden: true };
            column.labels = names.to_labels();
            column.nameless = false;
        }
        if dropped && self.limits.delayed_name_removal {
            self.merge(columns, SAME_LABELS)
        } else {
            Ok(columns)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_labels_get_one_number() {
        let sets: Vec<Labels> =
            [("a", "1"), ("a", "2"), ("b", "1")].map(|(name, v)| Labels::metric(name, [("k", v)])).to_vec();
        let names = |hidden| sets.iter().map(move |labels| Names { labels, hidden });
        let mut shown = Index::new(Key::All, 0);
        assert_eq!(names(false).map(|n| shown.insert(n)).collect::<Vec<_>>(), [0, 1, 2]);
        let mut hidden = Index::new(Key::All, 0);
        assert_eq!(names(true).map(|n| hidden.insert(n)).collect::<Vec<_>>(), [0, 1, 0]);
        let only = ["k".to_owned()];
        let mut by = Index::new(Key::Only(&only), 0);
        assert_eq!(names(false).map(|n| by.insert(n)).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(by.labels().next(), Some(Labels::new([("k", "1")])));
    }
}
