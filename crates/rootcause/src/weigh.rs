//! Weighs the signs of every entity against each other.
//!
//! Each kind of sign has its own unit (seconds, failures, a part of a capacity, standard deviations). What is shared out
//! between entities is told as a part of the whole, the rest by how sure it is; weights then say how far a kind of sign
//! can carry a score by itself. Signs of one entity add up as independent witnesses do.

use crate::blame::{Changes, Own};
use crate::delay::Added;
use crate::graph::Graph;
use crate::kind::MetricKind;
use crate::resource::Full;
use crate::scene::Scene;
use crate::structure::Break;

use crate::rank::{Sign, SignKind};

/// How far each kind of sign can carry a score by itself.
#[derive(Debug, Clone, Copy)]
struct Weights {
    slow: f64,
    failing: f64,
    full: f64,
    changed: f64,
    /// Factor for entities that the one with the alarm does not lean on.
    unrelated: f64,
}

impl Weights {
    /// The kind of the alarm says which trouble it is that must be explained.
    fn of(alarm: Option<MetricKind>) -> Self {
        // A full resource explains slowness and failures, not the other way round: it weighs more than they do.
        let all = Self { slow: 0.6, failing: 0.6, full: 0.9, changed: 0.6, unrelated: 0.3 };
        match alarm {
            Some(MetricKind::Latency | MetricKind::CalleeLatency) => Self { failing: 0.1, slow: 0.9, ..all },
            Some(MetricKind::Availability | MetricKind::Errors) => Self { slow: 0.1, failing: 0.9, ..all },
            _ => all,
        }
    }
}

/// Strength at which a break with habit counts half.
const HALF_BREAK: f64 = 1.0;

/// Added time as a part of the normal time at which "slow" counts half.
const HALF_GROWN: f64 = 0.3;

/// Every sign of every entity, by number of the entity.
pub(crate) struct Signs {
    pub(crate) slow: Vec<Own>,
    pub(crate) failing: Vec<Own>,
    pub(crate) added: Vec<Added>,
    /// Time that all steps add, as a part of their normal time; `None` when steps cannot be compared.
    pub(crate) grown: Option<f64>,
    pub(crate) full: Vec<Full>,
    pub(crate) breaks: Vec<Break>,
}

/// A weighed sign, with the index of the series that gave it.
pub(crate) type Weighed = (Sign, Option<usize>);

/// Scores and signs (strongest first) of all entities, by number.
pub(crate) fn weigh(
    scene: &Scene,
    graph: &Graph,
    changes: &Changes,
    signs: &Signs,
) -> Vec<(f64, Vec<Weighed>)> {
    let weights = Weights::of(scene.alarm.kind);
    let below = scene.alarm.entity.as_deref().and_then(|e| graph.number(e)).map(|e| graph.below(e));
    let slow = slow(scene, changes, signs, weights.slow);
    let failing = shares(signs.failing.iter().map(|o| o.own));
    (0..graph.len())
        .map(|e| {
            let mut found: Vec<Weighed> = slow.get(e).cloned().flatten().into_iter().collect();
            if let (Some(own), Some(share)) = (signs.failing.get(e), failing.get(e)) {
                found.extend(of_series(
                    scene,
                    changes,
                    own.series,
                    SignKind::Failing,
                    weights.failing * share,
                ));
            }
            if let Some(full) = signs.full.get(e) {
                found.extend(of_series(
                    scene,
                    changes,
                    full.series,
                    SignKind::Full,
                    weights.full * full.strength,
                ));
            }
            found.extend(signs.breaks.get(e).map(|b| (of_break(b, weights.changed), None)));
            found.retain(|(s, _)| s.strength > 0.0);
            found.sort_by(|a, b| b.0.strength.total_cmp(&a.0.strength));
            let related = below.as_ref().is_none_or(|b| b.contains(&e));
            let against: f64 = found.iter().map(|(s, _)| 1.0 - s.strength).product();
            ((1.0 - against) * if related { 1.0 } else { weights.unrelated }, found)
        })
        .collect()
}

/// Own time of every entity: from its steps when they can be compared, else from its latency.
fn slow(scene: &Scene, changes: &Changes, signs: &Signs, weight: f64) -> Vec<Option<Weighed>> {
    // An alarm of slowness says that there is something to explain; else the time added must speak for itself.
    let alarmed = matches!(scene.alarm.kind, Some(MetricKind::Latency | MetricKind::CalleeLatency));
    let Some(grown) = signs.grown else {
        let parts = shares(signs.slow.iter().map(|o| o.own));
        let weight = weight * if alarmed { 1.0 } else { noticeable(own_growth(&signs.slow)) };
        let sign =
            |(own, part): (&Own, f64)| of_series(scene, changes, own.series, SignKind::Slow, weight * part);
        return signs.slow.iter().zip(parts).map(sign).collect();
    };
    let parts = shares(signs.added.iter().map(|a| a.inside + a.on_the_way));
    let sign = |(added, part): (&Added, f64)| {
        let (before, after) = added.evidence?;
        let strength = weight * part * noticeable(grown);
        Some((Sign { kind: SignKind::Slow, series: "own time".to_owned(), before, after, strength }, None))
    };
    signs.added.iter().zip(parts).map(sign).collect()
}

/// How far added time, as a part of the normal time, deserves an explanation.
fn noticeable(grown: f64) -> f64 {
    grown / (grown + HALF_GROWN)
}

/// What all entities add themselves, as a part of what they usually take.
fn own_growth(slow: &[Own]) -> f64 {
    let usual: f64 = slow.iter().map(|o| o.usual).sum();
    if usual > 0.0 { slow.iter().map(|o| o.own).sum::<f64>() / usual } else { 0.0 }
}

fn of_series(
    scene: &Scene,
    changes: &Changes,
    series: Option<usize>,
    kind: SignKind,
    strength: f64,
) -> Option<Weighed> {
    let (s, c) = (scene.series.get(series?)?, changes.get(series?)?);
    Some((Sign { kind, series: s.metric.clone(), before: c.before, after: c.peak, strength }, series))
}

fn of_break(found: &Break, weight: f64) -> Sign {
    let (before, after) = found.shares;
    let strength = weight * found.strength / (found.strength + HALF_BREAK);
    Sign { kind: SignKind::Changed, series: found.what.clone(), before, after, strength }
}

/// Part of each value in the sum of all; zeros when the sum is zero.
fn shares(values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let sum: f64 = values.clone().sum();
    values.map(|v| if sum > 0.0 { v / sum } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one_or_to_nothing() {
        assert_eq!(shares([1.0, 3.0].into_iter()), [0.25, 0.75]);
        assert_eq!(shares([0.0, 0.0].into_iter()), [0.0, 0.0]);
    }

    #[test]
    fn the_alarm_says_which_trouble_weighs_more() {
        let of = |k| Weights::of(Some(k));
        assert!(of(MetricKind::Latency).slow > of(MetricKind::Latency).failing);
        assert!(of(MetricKind::Availability).failing > of(MetricKind::Availability).slow);
    }
}
