//! Count vectors: how they are made, compared and weighed.

use std::collections::{BTreeMap, BTreeSet};

use super::{MAX_WEIGHT, Normal};

/// Event, and how often it happened; in order of events.
pub(super) type Vector = Vec<(u64, u32)>;

pub(super) fn vector(events: &[u64]) -> Vector {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for &event in events {
        let count = counts.entry(event).or_default();
        *count = count.saturating_add(1);
    }
    counts.into_iter().collect()
}

/// All events of either vector with both counts.
pub(super) fn pairs<'a>(a: &'a Vector, b: &'a Vector) -> impl Iterator<Item = (u64, u32, u32)> + 'a {
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        let (left, right) = (a.get(i).copied(), b.get(j).copied());
        let event = match (left, right) {
            (Some((l, _)), Some((r, _))) => l.min(r),
            (Some((l, _)), None) => l,
            (None, Some((r, _))) => r,
            (None, None) => return None,
        };
        let count = left.filter(|&(e, _)| e == event).map_or(0, |(_, n)| n);
        let expected = right.filter(|&(e, _)| e == event).map_or(0, |(_, n)| n);
        i += usize::from(left.is_some_and(|(e, _)| e == event));
        j += usize::from(right.is_some_and(|(e, _)| e == event));
        Some((event, count, expected))
    })
}

/// Weight of each event: high when its count hardly ever differs.
pub(super) fn weights(vectors: &[Normal], sessions: u64) -> BTreeMap<u64, f64> {
    let mut counts: BTreeMap<u64, BTreeMap<u32, u64>> = BTreeMap::new();
    let events: BTreeSet<u64> =
        vectors.iter().flat_map(|v| v.vector.iter().map(|&(event, _)| event)).collect();
    for normal in vectors {
        for &(event, count) in &normal.vector {
            *counts.entry(event).or_default().entry(count).or_default() += normal.sessions;
        }
    }
    let weight = |event: &u64| {
        let mut spread = counts.remove(event).unwrap_or_default();
        let seen: u64 = spread.values().sum();
        *spread.entry(0).or_default() += sessions - seen;
        let entropy: f64 = spread
            .values()
            .filter(|&&n| n > 0)
            .map(|&n| n as f64 / sessions as f64)
            .map(|share| -share * share.ln())
            .sum();
        (1.0 / (0.1 + entropy)).min(MAX_WEIGHT)
    };
    let mut weight = weight;
    events.into_iter().map(|event| (event, weight(&event))).collect()
}

/// Half of each score replaced by the mean over its parent.
pub(super) fn with_parents<'a>(parents: impl Iterator<Item = Option<&'a str>>, own: &[f64]) -> Vec<f64> {
    let parents: Vec<Option<&str>> = parents.collect();
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (parent, score) in parents.iter().zip(own) {
        if let Some(parent) = parent {
            let sum = sums.entry(parent).or_default();
            *sum = (sum.0 + score, sum.1 + 1.0);
        }
    }
    let mean = |parent: &Option<&str>| parent.and_then(|p| sums.get(p)).map(|(sum, n)| sum / n);
    parents
        .iter()
        .zip(own)
        .map(|(parent, &score)| mean(parent).map_or(score, |m| f64::midpoint(score, m)))
        .collect()
}
