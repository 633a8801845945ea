//! Recording rules: the result of an expression under a new name.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::{Labels, METRIC_NAME, TimestampMs};

use crate::Reader;
use crate::ask::{self, Point};
use crate::file::Rule;

/// The samples that the rule gives at `at`, or why it gives none.
pub(crate) fn evaluate(
    rule: &Rule,
    limit: usize,
    at: TimestampMs,
    reader: &Reader<'_>,
) -> Result<Vec<(Labels, Point)>, String> {
    let vector = ask::vector(&rule.query, at, reader).map_err(|e| e.to_string())?;
    if limit > 0 && vector.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", vector.len()));
    }
    let mut seen = BTreeSet::new();
    let mut samples = Vec::with_capacity(vector.len());
    for (labels, value) in vector {
        let mut all: BTreeMap<&str, &str> = labels.iter().collect();
        all.insert(METRIC_NAME, &rule.name);
        all.extend(rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let labels = Labels::new(all);
        if !seen.insert(labels.clone()) {
            return Err(
                "vector contains metrics with the same labelset after applying rule labels".to_owned()
            );
        }
        samples.push((labels, value));
    }
    Ok(samples)
}
