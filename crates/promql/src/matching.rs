//! Two vectors: which series belong together, and `and`, `or`, `unless`.
//!
//! Series are matched once by their labels; whether a match is unique is asked step by step, because series that
//! follow each other in time may share their labels.

use wellkept_model::Labels;

use crate::QueryError;
use crate::binary::{Operand, changes_meaning, drops_name};
use crate::column::{Cell, Column, Grid};
use crate::eval::Evaluator;
use crate::names::{Index, Key, SAME_LABELS, contains, is_reserved};
use crate::syntax::tree::{Binary, Card, Matching, Op};

/// What Prometheus says when results of one match group would be one series.
const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

fn key(matching: &Matching) -> Key<'_> {
    if matching.on { Key::Only(&matching.sorted) } else { Key::Without(&matching.sorted) }
}

/// Columns of both sides by the labels that must be equal.
struct Groups {
    /// For each column of a side its group.
    lhs: Vec<usize>,
    rhs: Vec<usize>,
    count: usize,
}

fn groups(eval: &Evaluator<'_>, matching: &Matching, lhs: &[Column], rhs: &[Column]) -> Groups {
    let mut index = Index::new(key(matching), lhs.len().max(rhs.len()));
    let lhs: Vec<usize> = lhs.iter().map(|c| index.insert(eval.names(c))).collect();
    let rhs: Vec<usize> = rhs.iter().map(|c| index.insert(eval.names(c))).collect();
    let count = lhs.iter().chain(&rhs).max().map_or(0, |m| m + 1);
    Groups { lhs, rhs, count }
}

/// The columns of each group, by their places.
fn members(of: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); count];
    for (place, group) in of.iter().enumerate() {
        if let Some(group) = members.get_mut(*group) {
            group.push(place);
        }
    }
    members
}

/// Arithmetic, comparison or trimming of two vectors.
pub(crate) fn join(
    eval: &Evaluator<'_>,
    binary: &Binary,
    lhs: &[Column],
    rhs: &[Column],
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let matching = &binary.matching;
    let groups = groups(eval, matching, lhs, rhs);
    let swapped = matching.card == Card::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let (many_groups, one_groups) =
        if swapped { (&groups.rhs, &groups.lhs) } else { (&groups.lhs, &groups.rhs) };
    let (many_fill, one_fill) = if swapped {
        (matching.fill_right, matching.fill_left)
    } else {
        (matching.fill_left, matching.fill_right)
    };
    let manys = members(many_groups, groups.count);
    let ones = members(one_groups, groups.count);
    let join = Join { eval, binary, grid, swapped };
    let mut out = Vec::new();
    for (many_places, one_places) in manys.iter().zip(&ones) {
        let at = |side: &'_ [Column], places: &[usize]| -> Vec<usize> {
            places.iter().copied().filter(|p| *p < side.len()).collect()
        };
        let ones: Vec<&Column> = at(one, one_places).into_iter().filter_map(|p| one.get(p)).collect();
        let manys: Vec<&Column> = at(many, many_places).into_iter().filter_map(|p| many.get(p)).collect();
        if (manys.is_empty() && many_fill.is_none()) || (ones.is_empty() && one_fill.is_none()) {
            // Nothing can come of it; but two on the one side are an error only where something looks for them.
            join.unique(&ones, !ones.is_empty() && !many.is_empty())?;
            continue;
        }
        join.unique(&ones, true)?;
        join.group(&manys, &ones, many_fill, one_fill, &mut out)?;
    }
    eval.merge(out, NOT_UNIQUE)
}

struct Join<'e> {
    eval: &'e Evaluator<'e>,
    binary: &'e Binary,
    grid: Grid,
    swapped: bool,
}

impl Join<'_> {
    /// The side that must be unique is, at every step.
    fn unique(&self, ones: &[&Column], asked: bool) -> Result<(), QueryError> {
        if ones.len() < 2 || !asked {
            return Ok(());
        }
        let mut owner: Vec<Option<&Column>> = vec![None; self.grid.count];
        for column in ones {
            self.eval.work(self.grid.count)?;
            for (_, owner) in owner.iter_mut().enumerate().filter(|(step, _)| column.has(*step)) {
                if let Some(first) = owner {
                    return Err(self.duplicate(first, column));
                }
                *owner = Some(column);
            }
        }
        Ok(())
    }

    fn duplicate(&self, a: &Column, b: &Column) -> QueryError {
        let group = key(&self.binary.matching).labels(self.eval.names(a));
        let side = if self.swapped { "left" } else { "right" };
        QueryError::failed(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            plain(&group),
            plain(&self.eval.names(b).to_labels()),
            plain(&self.eval.names(a).to_labels())
        ))
    }

    /// All results of one match group.
    fn group(
        &self,
        manys: &[&Column],
        ones: &[&Column],
        many_fill: Option<f64>,
        one_fill: Option<f64>,
        out: &mut Vec<Column>,
    ) -> Result<(), QueryError> {
        let start = out.len();
        for many in manys {
            for one in ones {
                let labels = self.labels(many, Some(one));
                self.pair(labels, |step| Some((operand(many, step)?, operand(one, step)?)), out)?;
            }
            if let Some(fill) = one_fill {
                let labels = self.labels(many, None);
                let alone = |step| !ones.iter().any(|one| one.has(step));
                self.pair(
                    labels,
                    |step| operand(many, step).filter(|_| alone(step)).map(|m| (m, Operand::Float(fill))),
                    out,
                )?;
            }
        }
        if let Some(fill) = many_fill {
            let alone = |step| !manys.iter().any(|many| many.has(step));
            for one in ones {
                let labels = (key(&self.binary.matching).labels(self.eval.names(one)), false);
                self.pair(
                    labels,
                    |step| operand(one, step).filter(|_| alone(step)).map(|o| (Operand::Float(fill), o)),
                    out,
                )?;
            }
        }
        if self.binary.matching.card == Card::OneToOne {
            self.one_each(out.get(start..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// One result column; `at` gives the operands at a step, those of the many side first.
    fn pair<'c>(
        &self,
        (labels, nameless): (Labels, bool),
        at: impl Fn(usize) -> Option<(Operand<'c>, Operand<'c>)>,
        out: &mut Vec<Column>,
    ) -> Result<(), QueryError> {
        let mut column = self.eval.column(labels, self.grid)?;
        column.nameless = nameless;
        let mut any = false;
        for step in 0..self.grid.count {
            let Some((many, one)) = at(step) else { continue };
            let (a, b) = if self.swapped { (one, many) } else { (many, one) };
            let cell = self.eval.combine(self.binary, a, b);
            if !cell.is_none() {
                any = true;
                self.eval.charge_cell(&cell)?;
                column.set(step, cell);
            }
        }
        if any {
            out.push(column);
        }
        Ok(())
    }

    /// No two results come from one match group at one step.
    fn one_each(&self, results: &[Column]) -> Result<(), QueryError> {
        if results.len() < 2 {
            return Ok(());
        }
        let twice = |step| results.iter().filter(|c| c.has(step)).nth(1).is_some();
        self.eval.work(results.len() * self.grid.count)?;
        if (0..self.grid.count).any(twice) {
            return Err(QueryError::failed(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
        Ok(())
    }

    /// Labels of a result, and whether its name is still to go.
    fn labels(&self, many: &Column, one: Option<&Column>) -> (Labels, bool) {
        let matching = &self.binary.matching;
        let changed = changes_meaning(self.binary.op);
        let names = self.eval.names(many);
        let delayed = self.eval.limits.delayed_name_removal;
        let nameless = self.binary.as_bool || (delayed && many.nameless && !changed);
        let all = matching.card != Card::OneToOne || (!matching.on && matching.labels.is_empty());
        if all && matching.include.is_empty() && !delayed {
            // The same labels, less the name: nothing to build.
            return (many.labels.clone(), many.nameless || drops_name(self.binary));
        }
        let kept = names.to_labels_of(|name| {
            if is_reserved(name) && (changed || (!delayed && self.binary.as_bool)) {
                return false;
            }
            all || contains(&matching.sorted, name) == matching.on
        });
        let Some(one) = one.filter(|_| !matching.include.is_empty()) else { return (kept, nameless) };
        let from = self.eval.names(one);
        let pairs = kept.iter().filter(|(name, _)| !matching.include.iter().any(|i| i == name));
        let taken = matching.include.iter().map(|name| (name.as_str(), from.get(name)));
        (Labels::new(pairs.chain(taken)), nameless)
    }
}

/// `{__name__="a", c="d"}`, the name among the labels.
fn plain(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(n, v)| format!("{n}={}", crate::syntax::quote::quote(v))).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn operand(column: &Column, step: usize) -> Option<Operand<'_>> {
    match column.float(step) {
        Some(value) => Some(Operand::Float(value)),
        None => column.histogram(step).map(Operand::Histogram),
    }
}

/// `and`, `or`, `unless`.
pub(crate) fn set(
    eval: &Evaluator<'_>,
    binary: &Binary,
    mut lhs: Vec<Column>,
    mut rhs: Vec<Column>,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let groups = groups(eval, &binary.matching, &lhs, &rhs);
    if binary.op == Op::Or {
        let taken = presence(eval, &lhs, &groups.lhs, groups.count, grid)?;
        mask(&mut rhs, &groups.rhs, &taken, false);
        rhs.retain(|c| !c.is_empty());
        lhs.append(&mut rhs);
        return eval.merge(lhs, SAME_LABELS);
    }
    let there = presence(eval, &rhs, &groups.rhs, groups.count, grid)?;
    mask(&mut lhs, &groups.lhs, &there, binary.op == Op::And);
    lhs.retain(|c| !c.is_empty());
    Ok(lhs)
}

/// For each group the steps at which it has any series; nothing for a group without one.
fn presence(
    eval: &Evaluator<'_>,
    columns: &[Column],
    of: &[usize],
    count: usize,
    grid: Grid,
) -> Result<Vec<Option<Vec<bool>>>, QueryError> {
    let mut groups: Vec<Option<Vec<bool>>> = vec![None; count];
    for (column, group) in columns.iter().zip(of) {
        eval.charge(grid.count / 8 + 1)?;
        let Some(group) = groups.get_mut(*group) else { continue };
        let steps = group.get_or_insert_with(|| vec![false; grid.count]);
        for (step, there) in steps.iter_mut().enumerate() {
            *there = *there || column.has(step);
        }
    }
    Ok(groups)
}

/// Keeps values at the steps at which the group's presence is `wanted`.
fn mask(columns: &mut [Column], of: &[usize], presence: &[Option<Vec<bool>>], wanted: bool) {
    for (column, group) in columns.iter_mut().zip(of) {
        match presence.get(*group).and_then(Option::as_ref) {
            Some(steps) => {
                for (step, _) in steps.iter().enumerate().filter(|(_, there)| **there != wanted) {
                    if column.has(step) {
                        column.set(step, Cell::None);
                    }
                }
            }
            None if wanted => (0..column.values.len()).for_each(|step| column.clear(step)),
            None => {}
        }
    }
}
