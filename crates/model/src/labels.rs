//! Label sets that identify a series.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A sorted set of label pairs; cheap to clone. Two sets are equal when their pairs are.
///
/// Invariant: names are unique and sorted by byte order; no value is empty (an empty value means "not there",
/// as in Prometheus).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Labels(Arc<[(String, String)]>);

impl Labels {
    /// A set from pairs in any order. The last of two pairs with one name wins; empty values are dropped.
    pub fn new<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let map: std::collections::BTreeMap<String, String> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        Self(map.into_iter().filter(|(_, v)| !v.is_empty()).collect())
    }

    /// A metric name with further pairs.
    pub fn metric<'a>(name: &'a str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(std::iter::once((METRIC_NAME, name)).chain(pairs))
    }

    /// The value of a label; the empty text when it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).map_or("", |i| self.0[i].1.as_str())
    }

    /// The metric name; empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Pairs in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// True when there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A copy with only the labels that `keep` accepts.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(n, _)| keep(n)).cloned().collect())
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
    fn a_series_is_written_as_in_promql() {
        assert_eq!(Labels::metric("up", [("job", "n")]).to_string(), r#"up{job="n"}"#);
        assert_eq!(Labels::metric("up", []).to_string(), "up");
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
