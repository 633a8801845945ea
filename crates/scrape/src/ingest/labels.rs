//! A sample's own labels and those of its target become one set, within bounds.

use wellkept_model::{Labels, METRIC_NAME};

use crate::config::Limits;
use crate::relabel::LabelSet;

/// Joins a line's labels with those of the target. Where both have one, the target's wins and the line's is kept under
/// `exported_…`; with `honor` the line's wins.
pub(super) fn combine(labels: &[(&str, &str)], target: &Labels, honor: bool) -> LabelSet {
    let mut set: LabelSet = labels.iter().copied().collect();
    if honor {
        for (name, value) in target.iter() {
            // A label that the line gives with an empty value says: not there.
            if !labels.iter().any(|(n, _)| *n == name) {
                set.set(name, value);
            }
        }
        return set;
    }
    let mut conflicting: Vec<(&str, String)> = Vec::new();
    for (name, value) in target.iter() {
        let own = set.get(name);
        if !own.is_empty() {
            conflicting.push((name, own.to_owned()));
        }
        set.set(name, value);
    }
    conflicting.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicting {
        let mut exported = format!("exported_{name}");
        while !set.get(&exported).is_empty() {
            exported.insert_str(0, "exported_");
        }
        set.set(&exported, &value);
    }
    set
}

/// Checks a finished set against the limits of the operator; the text says which one it breaks.
pub(super) fn check(set: &LabelSet, limits: &Limits) -> Result<(), String> {
    let name = set.get(METRIC_NAME);
    if name.is_empty() {
        return Err("a series has no metric name".to_owned());
    }
    let short: String = name.chars().take(80).collect();
    let count = set.iter().len() as u64;
    if limits.labels > 0 && count > limits.labels {
        return Err(format!(
            "label_limit exceeded (metric: {short:?}, labels: {count}, limit: {})",
            limits.labels
        ));
    }
    for (label, value) in set.iter() {
        for (what, len, limit) in [
            ("label_name_length_limit", label.len(), limits.label_name_length),
            ("label_value_length_limit", value.len(), limits.label_value_length),
        ] {
            if limit > 0 && len as u64 > limit {
                return Err(format!("{what} exceeded (metric: {short:?}, length: {len}, limit: {limit})"));
            }
        }
    }
    Ok(())
}
