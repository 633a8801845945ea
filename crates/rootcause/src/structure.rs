//! Steps of the work that are missing, or new.
//!
//! For each operation: in which share of its runs did each child step, and each line of a log, occur before, and in
//! which since? A share that moved by more than chance explains is a sign. It is conditional on the operation having
//! run, so that an entity which is merely asked less, or later, shows nothing. A call that is made, but no longer
//! reaches the other side, is a sign of the other side.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::scene::{Scene, SpanSet};
use crate::spans::Tree;

/// What may follow in a run of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Follows {
    Step { entity: u32, operation: u32 },
    Line(u32),
}

/// Runs of one operation.
#[derive(Debug, Default)]
struct Runs {
    n: f64,
    with: BTreeMap<Follows, f64>,
}

type Habits = BTreeMap<(u32, u32), Runs>;

/// The strongest break with habit of one entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Break {
    /// Distance from chance, in standard deviations, times the part of the runs that changed.
    pub(crate) strength: f64,
    /// Share of the runs before and since.
    pub(crate) shares: (f64, f64),
    /// The step or line.
    pub(crate) what: String,
}

/// Fewest runs on either side.
const RUNS_MIN: f64 = 4.0;

/// What is within this many standard deviations is chance: hundreds of shares are compared at a time.
const CHANCE: f64 = 2.5;

/// Runs on the smaller side at which a break counts half: a short stretch may have missed what is usual.
const HALF_RUNS: f64 = 10.0;

/// The strongest break of every entity of the graph, by number.
pub(crate) fn breaks(scene: &Scene, graph: &Graph) -> Vec<Break> {
    let mut out = vec![Break::default(); graph.len()];
    let normal: Vec<Habits> = scene.normal.iter().map(habits).collect();
    for (operation, now) in habits(&scene.since) {
        let before: Vec<&Runs> = normal.iter().filter_map(|n| n.get(&operation)).filter(|r| r.n >= RUNS_MIN).collect();
        if before.is_empty() || now.n < RUNS_MIN {
            continue;
        }
        let all: BTreeSet<&Follows> = before.iter().flat_map(|r| r.with.keys()).chain(now.with.keys()).collect();
        for follows in all {
            let Some((strength, shares)) = least_break(&before, &now, follows) else { continue };
            let strength = strength * weight(shares.1 > shares.0, is_trouble(scene, follows));
            let to = scene.names.name(blamed(operation.0, &before, follows));
            if let Some(slot) = graph.number(to).and_then(|e| out.get_mut(e)).filter(|s| s.strength < strength) {
                *slot = Break { strength, shares, what: describe(scene, operation.1, follows) };
            }
        }
    }
    out
}

/// Strength of a break and the shares before and since.
///
/// All stretches of normal operation are pooled; by as much as they differ among themselves the break is weaker.
fn least_break(before: &[&Runs], now: &Runs, follows: &Follows) -> Option<(f64, (f64, f64))> {
    let count = |runs: &Runs| (runs.with.get(follows).copied().unwrap_or(0.0), runs.n);
    let pool = before.iter().map(|r| count(r)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))?;
    let since = count(now);
    let restless = before.iter().map(|r| deviation(pool, count(r)).abs()).fold(0.0, f64::max);
    let shares = (pool.0 / pool.1, since.0 / since.1);
    let runs = pool.1.min(since.1);
    let beyond = (deviation(pool, since).abs() - restless - CHANCE).max(0.0);
    Some((beyond * (shares.0 - shares.1).abs() * runs / (runs + HALF_RUNS), shares))
}

/// A fault cuts work short or speaks of trouble. Less trouble is no sign, and more work than usual a faint one.
fn weight(more: bool, trouble: bool) -> f64 {
    match (more, trouble) {
        (true, true) | (false, false) => 1.0,
        (true, false) => MORE_WORK_WEIGHT,
        (false, true) => 0.0,
    }
}

/// Weight of steps that became more frequent without telling of trouble.
const MORE_WORK_WEIGHT: f64 = 0.2;

/// Whether a step or line tells of trouble by its name.
fn is_trouble(scene: &Scene, follows: &Follows) -> bool {
    let (Follows::Step { operation: what, .. } | Follows::Line(what)) = follows;
    let name = scene.names.name(*what).to_ascii_lowercase();
    ["error", "exception", "fail", "warn", "fatal", "panic"].iter().any(|w| name.contains(w))
}

/// Whose break it is: a call's only child belongs to the other side.
fn blamed(entity: u32, before: &[&Runs], follows: &Follows) -> u32 {
    match follows {
        Follows::Step { entity: other, .. } if before.iter().all(|r| r.with.len() == 1) => *other,
        _ => entity,
    }
}

fn describe(scene: &Scene, operation: u32, follows: &Follows) -> String {
    let (Follows::Step { operation: what, .. } | Follows::Line(what)) = follows;
    format!("{} > {}", scene.names.name(operation), scene.names.name(*what))
}

fn habits(set: &SpanSet) -> Habits {
    let tree = Tree::of(set);
    let mut lines: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    for event in &set.events {
        if let Some(place) = tree.place(event.span) {
            lines.entry(place).or_default().insert(event.what);
        }
    }
    let mut out = Habits::new();
    for (i, span) in tree.spans.iter().enumerate() {
        let runs = out.entry((span.entity, span.operation)).or_default();
        runs.n += 1.0;
        let steps = tree.children(i).map(|c| Follows::Step { entity: c.entity, operation: c.operation });
        let lines = lines.get(&i).into_iter().flatten().map(|l| Follows::Line(*l));
        for follows in steps.chain(lines).collect::<BTreeSet<_>>() {
            *runs.with.entry(follows).or_default() += 1.0;
        }
    }
    out
}

/// Distance of two shares `k / n` in standard deviations of their pooled share, half a run added on each side.
fn deviation((k0, n0): (f64, f64), (k1, n1): (f64, f64)) -> f64 {
    let (p0, p1) = ((k0 + 0.5) / (n0 + 1.0), (k1 + 0.5) / (n1 + 1.0));
    let pooled = (k0 + k1 + 1.0) / (n0 + n1 + 2.0);
    (p1 - p0) / (pooled * (1.0 - pooled) * (1.0 / n0 + 1.0 / n1)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_fell_deviates_and_an_equal_one_does_not() {
        assert!(deviation((50.0, 50.0), (25.0, 50.0)) < -4.0);
        assert!(deviation((25.0, 50.0), (50.0, 100.0)).abs() < 0.1);
    }
}
