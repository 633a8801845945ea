//! Who calls whom, over small numbers.

use std::collections::{BTreeSet, VecDeque};

use crate::scene::Scene;
use crate::spans::Traces;

/// Entities by number and the calls between them. Order of numbers is order of names, so results do not depend on
/// the order of the input.
#[derive(Debug)]
pub(crate) struct Graph {
    names: Vec<String>,
    callees: Vec<Vec<usize>>,
    callers: Vec<Vec<usize>>,
}

impl Graph {
    /// Every entity that the scene names anywhere, with the declared calls and those seen in the spans.
    pub(crate) fn of(scene: &Scene, traces: &Traces) -> Self {
        let seen = seen_calls(scene, traces);
        let mut names: BTreeSet<&str> = scene.series.iter().map(|s| s.entity.as_str()).collect();
        names.extend(scene.calls.iter().flat_map(|c| [c.from.as_str(), c.to.as_str()]));
        let stepping: BTreeSet<u32> = traces.all().flat_map(|t| t.spans).map(|s| s.entity).collect();
        names.extend(stepping.into_iter().map(|e| scene.names.name(e)));
        names.extend(scene.alarm.entity.as_deref());
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut graph =
            Self { callees: vec![Vec::new(); names.len()], callers: vec![Vec::new(); names.len()], names };
        let declared = scene.calls.iter().map(|c| (c.from.as_str(), c.to.as_str()));
        let edges: BTreeSet<(usize, usize)> = declared
            .chain(seen)
            .filter_map(|(from, to)| Some((graph.number(from)?, graph.number(to)?)))
            .filter(|(from, to)| from != to)
            .collect();
        for (from, to) in edges {
            if let Some(list) = graph.callees.get_mut(from) {
                list.push(to);
            }
            if let Some(list) = graph.callers.get_mut(to) {
                list.push(from);
            }
        }
        graph
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, entity: usize) -> &str {
        self.names.get(entity).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|n| n.as_str().cmp(name)).ok()
    }

    pub(crate) fn callees(&self, entity: usize) -> &[usize] {
        self.callees.get(entity).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn callers(&self, entity: usize) -> &[usize] {
        self.callers.get(entity).map_or(&[], Vec::as_slice)
    }

    /// `start` and everything that it calls, near or far.
    pub(crate) fn below(&self, start: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([start]);
        let mut todo = VecDeque::from([start]);
        while let Some(at) = todo.pop_front() {
            for to in self.callees(at) {
                if seen.insert(*to) {
                    todo.push_back(*to);
                }
            }
        }
        seen
    }
}

/// Pairs of entities where a step of one is part of a step of the other.
fn seen_calls<'s>(scene: &'s Scene, traces: &Traces) -> Vec<(&'s str, &'s str)> {
    let mut pairs = BTreeSet::new();
    for tree in traces.all() {
        for (place, span) in tree.spans.iter().enumerate() {
            let others = tree.child_places(place).map(|(_, c)| c.entity).filter(|e| *e != span.entity);
            pairs.extend(others.map(|to| (span.entity, to)));
        }
    }
    pairs.into_iter().map(|(from, to)| (scene.names.name(from), scene.names.name(to))).collect()
}
