//! What no longer follows.
//!
//! A run of an operation is a row of child steps and lines of a log, in order of time. For each of them: in which share
//! of its occurrences did which one come next before, and in which since? A share that moved by more than chance
//! explains is a sign, and the place where the row breaks is the place to look. A fault cuts work short, speaks of
//! trouble, or does what was never done; going another usual way is a faint sign. All this is conditional on the run having come
//! so far, so that an entity which is merely asked less, or later, shows nothing. What follows a call depends on its
//! outcome, so a break after a call is a sign of the other side.
//!
//! Source of the idea to compare what follows what in traces and logs with fault-free operation: Yu et al., "Nezha:
//! Interpretable Fine-Grained Root Causes Analysis for Microservices on Multi-modal Observability Data", ESEC/FSE 2023.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::scene::Scene;
use crate::spans::{Traces, Tree};

/// One item in the row of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// Begin of a run of this operation.
    Begin(u32),
    /// A step, by operation; of the entity itself, or a call that it makes.
    Step(u32),
    /// A line of a log.
    Line(u32),
    /// The run is over.
    End,
}

/// How often an item occurred, and what came next.
#[derive(Debug, Default)]
struct Habit {
    n: f64,
    next: BTreeMap<Item, f64>,
}

/// Where a habit was seen: the entity whose run it is, the entity that a break blames, and the item.
type Habits = BTreeMap<(u32, u32, Item), Habit>;

/// The strongest break with habit of one entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Break {
    /// Distance beyond chance, in standard deviations, times the part of the occurrences that changed.
    pub(crate) strength: f64,
    /// Share of the occurrences before and since.
    pub(crate) shares: (f64, f64),
    /// The item and what follows it.
    pub(crate) what: String,
}

/// Fewest occurrences on either side.
const SEEN_MIN: f64 = 4.0;

/// What is within this many standard deviations is chance: hundreds of shares are compared at a time.
const CHANCE: f64 = 2.5;

/// Occurrences on the smaller side at which a break counts half: a short stretch may have missed what is usual.
const HALF_SEEN: f64 = 10.0;

/// Weight of a move from one usual step to another: that depends on what is asked, not on who is asked.
const BRANCH_WEIGHT: f64 = 0.2;

/// The strongest break of every entity of the graph, by number.
pub(crate) fn breaks(scene: &Scene, graph: &Graph, traces: &Traces) -> Vec<Break> {
    let mut out = vec![Break::default(); graph.len()];
    let normal: Vec<Habits> = traces.normal.iter().map(habits).collect();
    for (place, now) in habits(&traces.since) {
        let before: Vec<&Habit> = normal.iter().filter_map(|n| n.get(&place)).collect();
        if before.iter().map(|h| h.n).sum::<f64>() < SEEN_MIN || now.n < SEEN_MIN {
            continue;
        }
        // What the entity itself wrote down is its own behaviour, also after a call.
        let blamed = if matches!(risen(&before, &now), Some(Item::Line(_))) { place.0 } else { place.1 };
        let Some(slot) = graph.number(scene.names.name(blamed)).and_then(|e| out.get_mut(e)) else {
            continue;
        };
        for moved in moves(scene, &before, &now) {
            if slot.strength < moved.strength {
                let what = format!("{} > {}", describe(scene, &place.2), describe(scene, &moved.next));
                *slot = Break { strength: moved.strength, shares: moved.shares, what };
            }
        }
    }
    explain_away(graph, &mut out);
    out
}

/// Weakens the break of an entity by the strongest one among those that it leans on: work that breaks off below
/// changes what is done above. Entities that lean on each other do not explain each other.
fn explain_away(graph: &Graph, breaks: &mut [Break]) {
    let broken = breaks.iter().enumerate().filter(|(_, b)| b.strength > 0.0);
    let below: BTreeMap<usize, BTreeSet<usize>> = broken.map(|(e, _)| (e, graph.below(e))).collect();
    let as_part = |s: f64| s / (s + HALF_EXPLAINED);
    let strongest = |e: usize, found: &[Break]| {
        let apart = |c: &&usize| **c != e && below.get(*c).is_some_and(|b| !b.contains(&e));
        let callees = below.get(&e).into_iter().flatten().filter(apart);
        callees.filter_map(|c| found.get(*c)).map(|b| as_part(b.strength)).fold(0.0, f64::max)
    };
    let explained: Vec<f64> = (0..breaks.len()).map(|e| strongest(e, breaks)).collect();
    for (found, explained) in breaks.iter_mut().zip(explained) {
        found.strength *= 1.0 - EXPLAINED_MOST * explained;
    }
}

/// Strength of a break below that explains half of what it can explain above.
const HALF_EXPLAINED: f64 = 1.0;

/// How much of a break one below can explain at most: the entity above may be at fault as well.
const EXPLAINED_MOST: f64 = 0.7;

/// What follows more often than before, by the largest difference of shares.
fn risen(before: &[&Habit], now: &Habit) -> Option<Item> {
    let seen: f64 = before.iter().map(|h| h.n).sum();
    let gain = |i: &Item| {
        let earlier: f64 = before.iter().filter_map(|h| h.next.get(i)).sum();
        now.next.get(i).copied().unwrap_or(0.0) / now.n - earlier / seen
    };
    now.next.keys().copied().max_by(|a, b| gain(a).total_cmp(&gain(b)))
}

/// A share that moved.
struct Move {
    strength: f64,
    shares: (f64, f64),
    next: Item,
}

/// The moves of one habit: away from usual work, towards trouble, and from one usual step to another.
fn moves(scene: &Scene, before: &[&Habit], now: &Habit) -> Vec<Move> {
    let all: BTreeSet<Item> =
        before.iter().flat_map(|h| h.next.keys()).chain(now.next.keys()).copied().collect();
    let trouble: BTreeSet<Item> = all.iter().filter(|i| is_trouble(scene, i)).copied().collect();
    let usual: BTreeSet<Item> = before
        .iter()
        .flat_map(|h| h.next.keys())
        .filter(|i| **i != Item::End && !trouble.contains(*i))
        .copied()
        .collect();
    let test = |items: &BTreeSet<Item>, weight: f64, wanted: fn(f64, f64) -> bool| {
        let (strength, shares) = strength(before, now, items)?;
        let most = |i: &&Item| now.next.get(*i).copied().unwrap_or(0.0);
        let next = *items.iter().max_by(|a, b| most(a).total_cmp(&most(b)))?;
        wanted(shares.0, shares.1).then_some(Move { strength: strength * weight, shares, next })
    };
    let falls: fn(f64, f64) -> bool = |before, now| now < before;
    let rises: fn(f64, f64) -> bool = |before, now| now > before;
    let branches = usual.iter().map(|i| test(&BTreeSet::from([*i]), BRANCH_WEIGHT, |_, _| true));
    [test(&usual, 1.0, falls), test(&trouble, 1.0, rises)].into_iter().chain(branches).flatten().collect()
}

/// Strength of a move of the share that some items have, and the shares before and since.
///
/// All stretches of normal operation are pooled; by as much as they differ among themselves the move is weaker.
fn strength(before: &[&Habit], now: &Habit, items: &BTreeSet<Item>) -> Option<(f64, (f64, f64))> {
    let count = |h: &Habit| (items.iter().filter_map(|i| h.next.get(i)).sum::<f64>(), h.n);
    let pool = before.iter().map(|h| count(h)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))?;
    let since = count(now);
    let restless = before.iter().map(|h| deviation(pool, count(h)).abs()).fold(0.0, f64::max);
    let shares = (pool.0 / pool.1, since.0 / since.1);
    let seen = pool.1.min(since.1);
    let beyond = (deviation(pool, since).abs() - restless - CHANCE).max(0.0);
    Some((beyond * (shares.0 - shares.1).abs() * seen / (seen + HALF_SEEN), shares))
}

/// Whether an item tells of trouble by its name.
fn is_trouble(scene: &Scene, item: &Item) -> bool {
    let name = describe(scene, item).to_ascii_lowercase();
    ["error", "exception", "fail", "warn", "fatal", "panic"].iter().any(|w| name.contains(w))
}

fn describe<'s>(scene: &'s Scene, item: &Item) -> &'s str {
    match item {
        Item::Begin(what) | Item::Step(what) | Item::Line(what) => scene.names.name(*what),
        Item::End => "(end)",
    }
}

fn habits(tree: &Tree) -> Habits {
    let mut lines: BTreeMap<usize, Vec<(i64, Item)>> = BTreeMap::new();
    for event in tree.events {
        if let Some(place) = tree.place(event.span) {
            lines.entry(place).or_default().push((event.at_ns, Item::Line(event.what)));
        }
    }
    let mut out = Habits::new();
    for (i, span) in tree.spans.iter().enumerate() {
        let steps = tree.child_places(i).map(|(place, child)| {
            let blamed = tree.called(place).unwrap_or(child.entity);
            (child.start_ns, Item::Step(child.operation), blamed)
        });
        let lines = lines.get(&i).into_iter().flatten().map(|(at, item)| (*at, *item, span.entity));
        let mut row: Vec<(i64, Item, u32)> = steps.chain(lines).collect();
        row.sort_by_key(|(at, item, _)| (*at, *item));
        let items = std::iter::once((Item::Begin(span.operation), span.entity))
            .chain(row.into_iter().map(|(_, item, blamed)| (item, blamed)));
        let mut items = items.peekable();
        while let Some((item, blamed)) = items.next() {
            let next = items.peek().map_or(Item::End, |(next, _)| *next);
            let habit = out.entry((span.entity, blamed, item)).or_default();
            habit.n += 1.0;
            *habit.next.entry(next).or_default() += 1.0;
        }
    }
    out
}

/// Distance of two shares `k / n` from being one share, in standard deviations: the signed root of the likelihood
/// ratio, which unlike the usual z sees how much it means that a habit had no exception.
///
/// Source: Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", 1993.
fn deviation((k0, n0): (f64, f64), (k1, n1): (f64, f64)) -> f64 {
    let log_likelihood = |k: f64, n: f64, p: f64| part(k, p) + part(n - k, 1.0 - p);
    let (p0, p1, p) = (k0 / n0, k1 / n1, (k0 + k1) / (n0 + n1));
    let apart = log_likelihood(k0, n0, p0) + log_likelihood(k1, n1, p1);
    let together = log_likelihood(k0, n0, p) + log_likelihood(k1, n1, p);
    (2.0 * (apart - together)).max(0.0).sqrt().copysign(p1 - p0)
}

/// `count * ln(share)`, zero when there is nothing to count.
fn part(count: f64, share: f64) -> f64 {
    if count > 0.0 && share > 0.0 { count * share.ln() } else { 0.0 }
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
