//! Weighs the signs of every entity and ranks.

use wellkept_model::TimestampMs;

use crate::blame::{Changes, Own, Trouble, blame};
use crate::change::Confidence;
use crate::delay::{Added, added};
use crate::graph::Graph;
use crate::kind::MetricKind;
use crate::onset::{onset, worst_change};
use crate::resource::{Full, full};
use crate::scene::Scene;
use crate::spans::Tree;
use crate::structure::{Break, breaks};
use crate::window::Window;

/// What a sign says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignKind {
    /// It adds time that its callees do not explain.
    Slow,
    /// It fails where its callees do not.
    Failing,
    /// One of its resources ran full.
    Full,
    /// Steps of its work are missing or new.
    Changed,
}

/// One reason for suspecting an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// What it says.
    pub kind: SignKind,
    /// The series, or the operation and its step.
    pub series: String,
    /// Typical value before, in the series' unit.
    pub before: f64,
    /// Value since: the worst of a series, the typical one of steps.
    pub after: f64,
    /// 0 to 1, comparable between entities.
    pub strength: f64,
}

/// One suspect.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub entity: String,
    /// 0 (no sign) to 1. Ordered by it, falling.
    pub score: f64,
    /// When it began to move, when its series tell.
    pub onset: Option<TimestampMs>,
    /// Reasons, strongest first.
    pub signs: Vec<Sign>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The instant that parts before from after.
    pub onset: Option<TimestampMs>,
    /// What the ranking rests on; `Unknown` means: nothing moved, or nothing was measured. The order then means nothing.
    pub confidence: Confidence,
    /// All entities, likeliest first.
    pub candidates: Vec<Candidate>,
}

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
        let all = Self { slow: 0.6, failing: 0.6, full: 0.9, changed: 0.6, unrelated: 0.3 };
        match alarm {
            Some(MetricKind::Latency | MetricKind::CalleeLatency) => Self { failing: 0.1, slow: 0.9, ..all },
            Some(MetricKind::Availability | MetricKind::Errors) => Self { slow: 0.1, failing: 0.9, ..all },
            _ => all,
        }
    }
}

/// Standard deviations beyond chance at which a break with habit counts half.
const HALF_BREAK: f64 = 1.0;

/// Added time as a part of the normal time at which "slow" counts half.
const HALF_GROWN: f64 = 0.3;

struct Signs {
    slow: Vec<Own>,
    failing: Vec<Own>,
    added: Vec<Added>,
    /// Time that all steps add, as a part of their normal time.
    grown: f64,
    /// Whether steps of both sides are there to compare.
    traced: bool,
    full: Vec<Full>,
    breaks: Vec<Break>,
}

/// Ranks all entities of a scene. Never fails: what cannot be told is left out, and the confidence says so.
#[must_use]
pub fn rank(scene: &Scene) -> Ranking {
    let graph = Graph::of(scene);
    let Some(at) = scene.alarm.at.or_else(|| onset(scene)) else { return unknown(&graph) };
    let normal: Vec<_> = scene.normal.iter().map(|n| Tree::of(n).times()).collect();
    let window = Window::of(scene, at);
    let changes = Changes::of(scene, &window);
    let (added, grown) = added(scene, &graph, &normal, &Tree::of(&scene.since).times());
    let signs = Signs {
        slow: blame(scene, &graph, &changes, &window, Trouble::Slow),
        failing: blame(scene, &graph, &changes, &window, Trouble::Failing),
        added,
        grown,
        traced: !scene.since.spans.is_empty() && scene.normal.iter().any(|n| !n.spans.is_empty()),
        full: full(scene, &graph, &changes),
        breaks: breaks(scene, &graph),
    };
    let mut candidates = weigh(scene, &graph, &changes, &signs);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)));
    let confidence = confidence(&changes, &candidates);
    Ranking { onset: Some(window.start), confidence, candidates }
}

fn unknown(graph: &Graph) -> Ranking {
    let candidate =
        |e| Candidate { entity: graph.name(e).to_owned(), score: 0.0, onset: None, signs: Vec::new() };
    Ranking {
        onset: None,
        confidence: Confidence::Unknown,
        candidates: (0..graph.len()).map(candidate).collect(),
    }
}

fn confidence(changes: &Changes, candidates: &[Candidate]) -> Confidence {
    if candidates.first().is_none_or(|c| c.score <= 0.0) {
        return Confidence::Unknown;
    }
    changes.0.iter().flatten().map(|c| c.confidence).max().unwrap_or(Confidence::Weak)
}

/// Part of each value in the sum of all; zeros when the sum is zero.
fn shares(values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let sum: f64 = values.clone().sum();
    values.map(|v| if sum > 0.0 { v / sum } else { 0.0 }).collect()
}

fn weigh(scene: &Scene, graph: &Graph, changes: &Changes, signs: &Signs) -> Vec<Candidate> {
    let weights = Weights::of(scene.alarm.kind);
    let below = scene.alarm.entity.as_deref().and_then(|e| graph.number(e)).map(|e| graph.below(e));
    let slow = shares(signs.slow.iter().map(|o| o.own));
    let failing = shares(signs.failing.iter().map(|o| o.own));
    let grown = signs.grown / (signs.grown + HALF_GROWN);
    let traced: Vec<f64> =
        shares(signs.added.iter().map(|a| a.inside + a.on_the_way)).into_iter().map(|s| s * grown).collect();
    let has_traces = signs.traced;
    let at = |v: &[f64], i: usize| v.get(i).copied().unwrap_or(0.0);
    (0..graph.len())
        .map(|e| {
            let mut found = Vec::new();
            let series = |i: Option<usize>, kind, strength| {
                let (i, strength): (Option<usize>, f64) = (i, strength);
                let (s, c) = (scene.series.get(i?)?, changes.get(i?)?);
                Some(Sign { kind, series: s.metric.clone(), before: c.before, after: c.peak, strength })
            };
            if has_traces {
                if let Some((before, after)) = signs.added.get(e).and_then(|a| a.evidence) {
                    let strength = weights.slow * at(&traced, e);
                    found.push(Sign {
                        kind: SignKind::Slow,
                        series: "own time".into(),
                        before,
                        after,
                        strength,
                    });
                }
            } else if let Some(own) = signs.slow.get(e) {
                found.extend(series(own.series, SignKind::Slow, weights.slow * at(&slow, e)));
            }
            if let Some(own) = signs.failing.get(e) {
                found.extend(series(own.series, SignKind::Failing, weights.failing * at(&failing, e)));
            }
            if let Some(full) = signs.full.get(e) {
                found.extend(series(full.series, SignKind::Full, weights.full * full.strength));
            }
            if let Some(b) = signs.breaks.get(e).filter(|b| b.strength > 0.0) {
                let strength = weights.changed * b.strength / (b.strength + HALF_BREAK);
                let (before, after) = b.shares;
                found.push(Sign { kind: SignKind::Changed, series: b.what.clone(), before, after, strength });
            }
            found.retain(|s| s.strength > 0.0);
            found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
            let related = below.as_ref().is_none_or(|b| b.contains(&e));
            let against: f64 = found.iter().map(|s| 1.0 - s.strength).product();
            let score = (1.0 - against) * if related { 1.0 } else { weights.unrelated };
            Candidate { entity: graph.name(e).to_owned(), score, onset: None, signs: found }
        })
        .collect()
}
