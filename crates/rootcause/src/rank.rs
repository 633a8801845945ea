//! The answer: who is likeliest to be the root, and why.

use wellkept_model::TimestampMs;

use crate::blame::{Changes, Trouble, blame};
use crate::change::Confidence;
use crate::delay::added;
use crate::graph::Graph;
use crate::onset::worst_change;
use crate::resource::full;
use crate::scene::Scene;
use crate::spans::Traces;
use crate::structure::breaks;
use crate::weigh::{Signs, Weighed, weigh};
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
    /// Steps of its work break off, or are followed by what never followed.
    Changed,
}

/// One reason for suspecting an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// What it says.
    pub kind: SignKind,
    /// The series, or an item of the work and what follows it.
    pub series: String,
    /// Typical value before, in the series' unit; for own time seconds a step, for changed work a share.
    pub before: f64,
    /// Value since: the worst of a series, the typical one of steps.
    pub after: f64,
    /// 0 to 1, comparable between entities and kinds.
    pub strength: f64,
}

/// One suspect.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub entity: String,
    /// 0 (no sign) to 1. The ranking is ordered by it, falling.
    pub score: f64,
    /// When the strongest of its series that can tell began to move.
    pub onset: Option<TimestampMs>,
    /// Reasons, strongest first.
    pub signs: Vec<Sign>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The instant that parts before from after: where the series that rang began to be bad, else the alarm, else where
    /// most series changed. `None` when nothing changed.
    pub onset: Option<TimestampMs>,
    /// How far the first candidate can be trusted; `Unknown` means: nobody stands out, and the order says little.
    pub confidence: Confidence,
    /// All entities, likeliest first.
    pub candidates: Vec<Candidate>,
}

/// A first candidate below this score does not stand out from noise.
const SCORE_MIN: f64 = 0.05;

/// A first candidate that is to be trusted has this many times the score of the second.
const LEAD_MIN: f64 = 1.5;

/// For so many candidates the onset is looked for: nobody reads further, and each costs a search.
const ONSETS_MAX: usize = 10;

/// Ranks all entities of a scene. Never fails: what cannot be told is left out, and the confidence says so.
#[must_use]
pub fn rank(scene: &Scene) -> Ranking {
    let traces = Traces::of(scene);
    let graph = Graph::of(scene, &traces);
    let found = Window::of(scene);
    // Without a beginning no series can be compared; steps of requests still can.
    let window = found.unwrap_or_else(Window::never);
    let changes = Changes::of(scene, &window);
    let (added, grown) = added(scene, &graph, &traces);
    let signs = Signs {
        slow: blame(scene, &graph, &changes, &window, Trouble::Slow),
        failing: blame(scene, &graph, &changes, &window, Trouble::Failing),
        added,
        grown: traces.comparable().then_some(grown),
        full: full(scene, &graph, &changes),
        breaks: breaks(scene, &graph, &traces),
    };
    let mut weighed: Vec<(usize, f64, Vec<Weighed>)> =
        weigh(scene, &graph, &changes, &signs).into_iter().enumerate().map(|(e, (s, w))| (e, s, w)).collect();
    // Numbers are in order of names, so equal scores keep that order.
    weighed.sort_by(|a, b| b.1.total_cmp(&a.1));
    let confidence = confidence(&changes, &weighed);
    let candidates = weighed.into_iter().enumerate().map(|(place, (entity, score, signs))| Candidate {
        entity: graph.name(entity).to_owned(),
        score,
        onset: if place < ONSETS_MAX { first_move(scene, &signs) } else { None },
        signs: signs.into_iter().map(|(sign, _)| sign).collect(),
    });
    Ranking { onset: found.map(|w| w.start), confidence, candidates: candidates.collect() }
}

fn first_move(scene: &Scene, signs: &[Weighed]) -> Option<TimestampMs> {
    let series = signs.iter().filter_map(|(_, index)| scene.series.get((*index)?));
    series.filter_map(worst_change).map(|c| c.at).next()
}

fn confidence(changes: &Changes, weighed: &[(usize, f64, Vec<Weighed>)]) -> Confidence {
    let score = |place: usize| weighed.get(place).map_or(0.0, |w| w.1);
    let Some((_, _, signs)) = weighed.first().filter(|w| w.1 >= SCORE_MIN) else {
        return Confidence::Unknown;
    };
    let few = |w: &Weighed| w.1.and_then(|i| changes.get(i)).is_some_and(|c| c.confidence < Confidence::Firm);
    let rests_on_few = signs.first().is_some_and(few);
    if score(0) < LEAD_MIN * score(1) || rests_on_few { Confidence::Weak } else { Confidence::Firm }
}
