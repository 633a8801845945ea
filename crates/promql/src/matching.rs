//! Two vectors: which series belong together, and `and`, `or`, `unless`.
//!
//! Series are matched once by their labels; whether a match is unique is asked step by step, because series that
//! follow each other in time may share their labels.

use std::collections::HashMap;

use wellkept_model::{Labels, METRIC_NAME};

use crate::QueryError;
use crate::binary::{combine, drops_name};
use crate::column::{Column, Grid, absent, is_absent, merge};
use crate::eval::Evaluator;
use crate::expr::{Binary, Card, Matching, Op};

/// The labels that must be equal on both sides.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    labels.filter(|name| {
        let named = contains(&matching.labels, name);
        if matching.on { named } else { !named && name != METRIC_NAME }
    })
}

/// Whether a sorted list of names has this one.
pub(crate) fn contains(sorted: &[String], name: &str) -> bool {
    sorted.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
}

fn by_signature<'a>(columns: &'a [Column], matching: &Matching) -> HashMap<Labels, Vec<&'a Column>> {
    let mut groups: HashMap<Labels, Vec<&Column>> = HashMap::with_capacity(columns.len());
    for column in columns {
        groups.entry(signature(&column.labels, matching)).or_default().push(column);
    }
    groups
}

/// The second column of the first pair that has a value at the same step, with the first one.
fn overlap<'a>(group: &[&'a Column], grid: Grid) -> Option<(&'a Column, &'a Column)> {
    if group.len() < 2 {
        return None;
    }
    let mut owner: Vec<Option<&Column>> = vec![None; grid.count];
    for column in group {
        for (owner, _) in owner.iter_mut().zip(&column.values).filter(|(_, v)| !is_absent(**v)) {
            if let Some(first) = owner {
                return Some((first, column));
            }
            *owner = Some(column);
        }
    }
    None
}

/// Arithmetic or comparison of two vectors.
pub(crate) fn join(
    eval: &Evaluator<'_>,
    binary: &Binary,
    lhs: &[Column],
    rhs: &[Column],
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let matching = &binary.matching;
    let swapped = matching.card == Card::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let ones = by_signature(one, matching);
    unique(&ones, grid, if swapped { "left" } else { "right" })?;

    let mut joined: Vec<(Labels, Column)> = Vec::new();
    for column in many {
        let key = signature(&column.labels, matching);
        for partner in ones.get(&key).into_iter().flatten() {
            let mut out = eval.column(result_labels(&column.labels, &partner.labels, binary), grid)?;
            for ((value, m), o) in out.values.iter_mut().zip(&column.values).zip(&partner.values) {
                if is_absent(*m) || is_absent(*o) {
                    continue;
                }
                let (a, b) = if swapped { (*o, *m) } else { (*m, *o) };
                *value = combine(binary, a, b, a).unwrap_or_else(absent);
            }
            if !out.is_empty() {
                joined.push((key.clone(), out));
            }
        }
    }
    if matching.card == Card::OneToOne {
        one_each(&joined, grid)?;
    }
    merge(joined.into_iter().map(|(_, c)| c).collect(), |_| {
        "multiple matches for labels: grouping labels must ensure unique matches".to_owned()
    })
}

/// The side that must be unique is.
fn unique(groups: &HashMap<Labels, Vec<&Column>>, grid: Grid, side: &str) -> Result<(), QueryError> {
    match groups.iter().find_map(|(key, group)| overlap(group, grid).map(|pair| (key, pair))) {
        None => Ok(()),
        Some((key, (a, b))) => Err(QueryError::failed(format!(
            "found duplicate series for the match group {key} on the {side} hand-side of the operation: [{}, {}]; \
             many-to-many matching not allowed: matching labels must be unique on one side",
            a.labels, b.labels
        ))),
    }
}

/// No two results come from one match group at one step.
fn one_each(joined: &[(Labels, Column)], grid: Grid) -> Result<(), QueryError> {
    let mut groups: HashMap<&Labels, Vec<&Column>> = HashMap::new();
    for (key, column) in joined {
        groups.entry(key).or_default().push(column);
    }
    if groups.values().any(|group| overlap(group, grid).is_some()) {
        return Err(QueryError::failed(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ));
    }
    Ok(())
}

fn result_labels(many: &Labels, one: &Labels, binary: &Binary) -> Labels {
    let matching = &binary.matching;
    let one_to_one = matching.card == Card::OneToOne;
    let kept = many.filter(|name| {
        if name == METRIC_NAME && drops_name(binary) {
            return false;
        }
        !one_to_one || contains(&matching.labels, name) == matching.on
    });
    if matching.include.is_empty() {
        return kept;
    }
    let pairs = kept.iter().filter(|(n, _)| !contains(&matching.include, n));
    Labels::new(pairs.chain(matching.include.iter().map(|n| (n.as_str(), one.get(n)))))
}

/// `and`, `or`, `unless`.
pub(crate) fn set(
    eval: &Evaluator<'_>,
    binary: &Binary,
    mut lhs: Vec<Column>,
    mut rhs: Vec<Column>,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let matching = &binary.matching;
    match binary.op {
        Op::Or => {
            let taken = presence(eval, &lhs, matching, grid)?;
            mask(&mut rhs, &taken, matching, false);
            lhs.append(&mut rhs);
        }
        op => {
            let there = presence(eval, &rhs, matching, grid)?;
            mask(&mut lhs, &there, matching, op == Op::And);
        }
    }
    lhs.retain(|c| !c.is_empty());
    merge(lhs, |_| "vector cannot contain metrics with the same labelset".to_owned())
}

/// At which steps a match group has any series.
fn presence(
    eval: &Evaluator<'_>,
    columns: &[Column],
    matching: &Matching,
    grid: Grid,
) -> Result<HashMap<Labels, Vec<bool>>, QueryError> {
    let mut groups: HashMap<Labels, Vec<bool>> = HashMap::new();
    for column in columns {
        eval.charge(grid.count / 8 + 1)?;
        let steps =
            groups.entry(signature(&column.labels, matching)).or_insert_with(|| vec![false; grid.count]);
        for (step, value) in steps.iter_mut().zip(&column.values) {
            *step |= !is_absent(*value);
        }
    }
    Ok(groups)
}

/// Keeps values at the steps at which the group's presence is `wanted`.
fn mask(columns: &mut [Column], presence: &HashMap<Labels, Vec<bool>>, matching: &Matching, wanted: bool) {
    for column in columns {
        match presence.get(&signature(&column.labels, matching)) {
            Some(steps) => {
                for (value, _) in column.values.iter_mut().zip(steps).filter(|(_, there)| **there != wanted) {
                    *value = absent();
                }
            }
            None if wanted => column.values.fill(absent()),
            None => {}
        }
    }
}
