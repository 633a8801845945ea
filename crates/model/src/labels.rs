//! Label sets that identify a series.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A sorted set of label pairs; cheap to clone. Two sets are equal when their pairs are.
///
/// Invariant: names are unique and sorted by byte order; no value is empty (an empty value means "not there",
/// as in Prometheus).
///
/// All pairs stand in one text, each length before what it measures, so that a set is one allocation and comparing
/// two for equality is comparing bytes. A store holds millions of these.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Labels(Arc<str>);

impl Labels {
    /// A set from pairs in any order. The last of two pairs with one name wins; empty values are dropped.
    pub fn new<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let map: std::collections::BTreeMap<String, String> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        Self::from_sorted(map.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }

    /// A metric name with further pairs.
    pub fn metric<'a>(name: &'a str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(std::iter::once((METRIC_NAME, name)).chain(pairs))
    }

    /// A set from pairs whose names rise strictly; without the sorting of [`Self::new`]. Pairs that do not rise make a
    /// set that equals no other; empty values are dropped.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::new();
        Self::pack(&mut packed, pairs);
        Self::from_packed(&packed)
    }

    /// Appends pairs, as [`Self::from_sorted`] takes them, to `out` in the form of [`Self::packed`]. With this a set can
    /// be looked up without making one.
    pub fn pack<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (name, value) in pairs {
            if value.is_empty() {
                continue;
            }
            put_length(out, name.len());
            out.push_str(name);
            put_length(out, value.len());
            out.push_str(value);
        }
    }

    /// All pairs as one text: equal for equal sets. How it is made is this type's own affair and may change: it is not
    /// to be stored.
    #[must_use]
    pub fn packed(&self) -> &str {
        &self.0
    }

    /// The set whose [`Self::packed`] form [`Self::pack`] made. Any other text gives a set with some pairs missing.
    #[must_use]
    pub fn from_packed(packed: &str) -> Self {
        Self(Arc::from(packed))
    }

    /// The value of a label; the empty text when it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.pairs().find(|(n, _)| *n == name).map_or("", |(_, v)| v)
    }

    /// The metric name; empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Pairs in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs()
    }

    fn pairs(&self) -> Pairs<'_> {
        Pairs { rest: &self.0 }
    }

    /// True when there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs().len()
    }

    /// A copy with only the labels that `keep` accepts.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Self::from_sorted(self.pairs().filter(|(n, _)| keep(n)))
    }
}

/// Six bits a character, lowest first; all but the last have 64 added. So lengths are text too.
fn put_length(out: &mut String, mut length: usize) {
    while length >= 64 {
        out.push(char::from((length & 63) as u8 | 64));
        length >>= 6;
    }
    out.push(char::from(length as u8));
}

#[derive(Clone)]
struct Pairs<'a> {
    rest: &'a str,
}

impl<'a> Pairs<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let (mut length, mut shift, mut at) = (0_usize, 0_u32, 0_usize);
        loop {
            let byte = *self.rest.as_bytes().get(at)?;
            length |= usize::from(byte & 63).checked_shl(shift)?;
            (at, shift) = (at + 1, shift + 6);
            if byte < 64 {
                break;
            }
        }
        let end = at.checked_add(length)?;
        let text = self.rest.get(at..end)?;
        self.rest = self.rest.get(end..)?;
        Some(text)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }

    /// Exact: counting means walking over the lengths.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let mut rest = self.clone();
        let mut left = 0;
        while rest.next().is_some() {
            left += 1;
        }
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

/// Pair by pair: first name, first value, second name, …
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.pairs().cmp(other.pairs())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As a list of pairs.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for pair in self.pairs() {
            list.serialize_element(&pair)?;
        }
        list.end()
    }
}

impl From<Vec<(String, String)>> for Labels {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Self::new(pairs)
    }
}

/// As PromQL writes it: `up{job="node"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut open = false;
        for (name, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            write!(f, "{}{name}={value:?}", if open { ", " } else { "{" })?;
            open = true;
        }
        if open || self.name().is_empty() {
            f.write_str(if open { "}" } else { "{}" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_empty_values_do_not_matter() {
        let a = Labels::new([("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(a, Labels::new([("a", "1"), ("b", "2")]));
        assert_eq!(a.get("b"), "2");
        assert_eq!(a.get("c"), "");
    }

    #[test]
    fn long_and_many_labels_come_back_in_order() {
        for length in [1, 63, 64, 65, 4095, 4096, 70_000] {
            let value = "é".repeat(length);
            let labels = Labels::new([("z", "1"), ("b", value.as_str()), ("a", "x")]);
            let pairs: Vec<_> = labels.iter().collect();
            assert_eq!(pairs, [("a", "x"), ("b", value.as_str()), ("z", "1")]);
            assert_eq!((labels.len(), labels.iter().len()), (3, 3));
            assert_eq!(labels.filter(|n| n != "b"), Labels::new([("a", "x"), ("z", "1")]));
            assert_eq!(Labels::from_packed(labels.packed()), labels);
        }
    }

    #[test]
    fn sets_are_ordered_pair_by_pair() {
        let sets = [
            vec![],
            vec![("a", "1")],
            vec![("a", "1"), ("b", "1")],
            vec![("a", "11")],
            vec![("a", "2")],
            vec![("aa", "1")],
            vec![("b", "1")],
        ];
        let sets: Vec<Labels> = sets.into_iter().map(Labels::new).collect();
        assert!(sets.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn serde_sees_a_list_of_pairs() {
        let labels = Labels::metric("up", [("job", "n")]);
        let text = serde_json::to_string(&labels).unwrap();
        assert_eq!(text, r#"[["__name__","up"],["job","n"]]"#);
        assert_eq!(serde_json::from_str::<Labels>(&text).unwrap(), labels);
    }

    #[test]
    fn a_series_is_written_as_in_promql() {
        assert_eq!(Labels::metric("up", [("job", "n")]).to_string(), r#"up{job="n"}"#);
        assert_eq!(Labels::metric("up", []).to_string(), "up");
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
