//! Which entity adds time, from steps of requests.
//!
//! Time inside an entity is its own. Time on the way of a call belongs to one of its two ends; the end whose other
//! calls are slow on the way as well is the likelier one, so an entity is blamed for its slow ways in proportion to
//! the part of its ways that are slow.

use std::collections::BTreeMap;

use crate::graph::Graph;
use crate::scene::Scene;
use crate::spans::{Growth, Place, Traces};

/// Seconds that one entity adds since the alarm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Added {
    /// In its own steps.
    pub(crate) inside: f64,
    /// On the ways of its calls, weighed by how many of them are slow.
    pub(crate) on_the_way: f64,
    /// Typical seconds a step before and since, where it added most.
    pub(crate) evidence: Option<(f64, f64)>,
    most: f64,
}

impl Added {
    fn note(&mut self, growth: &Growth) {
        let amount = growth.excess() * growth.n;
        if amount > self.most {
            self.most = amount;
            self.evidence = Some((growth.before, growth.since));
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Ways {
    weight: f64,
    slow: f64,
    seconds: f64,
}

/// What every entity of the graph adds, by number, and what all of them add as a part of the normal time.
pub(crate) fn added(scene: &Scene, graph: &Graph, traces: &Traces) -> (Vec<Added>, f64) {
    let mut out = vec![Added::default(); graph.len()];
    let mut ways: BTreeMap<usize, Ways> = BTreeMap::new();
    let number = |n: u32| graph.number(scene.names.name(n));
    let (mut usual, mut excess) = (0.0, 0.0);
    for (place, growth) in traces.growth() {
        usual += growth.before * growth.n;
        excess += growth.excess() * growth.n;
        match place {
            Place::In { entity, .. } => {
                if let Some(added) = number(entity).and_then(|e| out.get_mut(e)) {
                    added.inside += growth.excess() * growth.n * slowness(&growth);
                    added.note(&growth);
                }
            }
            Place::Between { from, to } => {
                for end in [from, to].into_iter().filter_map(number) {
                    let way = ways.entry(end).or_default();
                    let weight = growth.n.sqrt();
                    way.weight += weight;
                    way.slow += weight * slowness(&growth);
                    way.seconds += growth.excess() * growth.n;
                    if let Some(added) = out.get_mut(end) {
                        added.note(&growth);
                    }
                }
            }
        }
    }
    for (end, way) in ways {
        if let Some(added) = out.get_mut(end).filter(|_| way.weight > 0.0) {
            added.on_the_way = way.seconds * (way.slow / way.weight);
        }
    }
    (out, if usual > 0.0 { excess / usual } else { 0.0 })
}

/// How slow a way became: 0 as before, towards 1 for many times as slow.
fn slowness(growth: &Growth) -> f64 {
    let excess = growth.excess();
    if excess > 0.0 { excess / (excess + 2.0 * growth.before) } else { 0.0 }
}
