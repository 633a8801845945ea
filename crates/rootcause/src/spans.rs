//! Where the time of requests goes: own time of each step, and time on the way between two entities.
//!
//! A step whose children all belong to one other entity is a call to it: its own time is spent on the way (network,
//! queue of connections, a thread pool that is full), and neither end can be told from it alone. Everything else that
//! children do not cover is time of the step's entity.

use std::collections::{BTreeMap, HashMap};

use crate::robust::{decile_mean, sorted};
use crate::scene::{Scene, Span, SpanEvent, SpanSet};

/// Whose time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Of an entity, in an operation.
    In { entity: u32, operation: u32 },
    /// On the way of a call.
    Between { from: u32, to: u32 },
}

/// Seconds of own time by place, one value a step.
type Times = BTreeMap<Place, Vec<f64>>;

/// Steps of a scene with their children.
pub(crate) struct Traces<'a> {
    pub(crate) normal: Vec<Tree<'a>>,
    pub(crate) since: Tree<'a>,
}

impl<'a> Traces<'a> {
    pub(crate) fn of(scene: &'a Scene) -> Self {
        Self { normal: scene.normal.iter().map(Tree::of).collect(), since: Tree::of(&scene.since) }
    }

    /// Whether steps of both sides are there to compare.
    pub(crate) fn comparable(&self) -> bool {
        !self.since.spans.is_empty() && self.normal.iter().any(|n| !n.spans.is_empty())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Tree<'a>> {
        self.normal.iter().chain([&self.since])
    }

    /// Growth of the time at every place.
    pub(crate) fn growth(&self) -> BTreeMap<Place, Growth> {
        let normal: Vec<Times> = self.normal.iter().map(Tree::times).collect();
        growth(&normal, &self.since.times())
    }
}

/// Children of each step, by position in the set.
pub(crate) struct Tree<'a> {
    pub(crate) spans: &'a [Span],
    pub(crate) events: &'a [SpanEvent],
    children: Vec<Vec<u32>>,
    by_id: HashMap<u32, u32>,
}

impl<'a> Tree<'a> {
    pub(crate) fn of(set: &'a SpanSet) -> Self {
        let place = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        let by_id: HashMap<u32, u32> = set.spans.iter().enumerate().map(|(i, s)| (s.id, place(i))).collect();
        let mut children = vec![Vec::new(); set.spans.len()];
        for (i, span) in set.spans.iter().enumerate() {
            let parent = span.parent.and_then(|p| by_id.get(&p)).filter(|p| **p != place(i));
            if let Some(list) = parent.and_then(|p| children.get_mut(*p as usize)) {
                list.push(place(i));
            }
        }
        let roots: Vec<u32> = (0..set.spans.len()).map(place).collect();
        for parent in roots {
            nest(&set.spans, &mut children, parent as usize);
        }
        Self { spans: &set.spans, events: &set.events, children, by_id }
    }

    fn children(&self, place: usize) -> impl Iterator<Item = &'a Span> + '_ {
        self.child_places(place).map(|(_, child)| child)
    }

    /// Children with their positions.
    pub(crate) fn child_places(&self, place: usize) -> impl Iterator<Item = (usize, &'a Span)> + '_ {
        let list = self.children.get(place).map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|c| Some((*c as usize, self.spans.get(*c as usize)?)))
    }

    pub(crate) fn place(&self, id: u32) -> Option<usize> {
        self.by_id.get(&id).map(|p| *p as usize)
    }

    /// The one other entity to which all children of a step belong.
    pub(crate) fn called(&self, place: usize) -> Option<u32> {
        let entity = self.spans.get(place)?.entity;
        let mut children = self.children(place).map(|c| c.entity);
        let first = children.next().filter(|c| *c != entity)?;
        children.all(|c| c == first).then_some(first)
    }

    fn times(&self) -> Times {
        let mut out = Times::new();
        for (i, span) in self.spans.iter().enumerate() {
            let place = match self.called(i) {
                Some(to) => Place::Between { from: span.entity, to },
                None => Place::In { entity: span.entity, operation: span.operation },
            };
            out.entry(place).or_default().push(self.own_seconds(i, span));
        }
        out
    }

    /// Time of a step that none of its children covers, seconds.
    fn own_seconds(&self, place: usize, span: &Span) -> f64 {
        let clip = |c: &Span| (c.start_ns.max(span.start_ns), c.end_ns.min(span.end_ns));
        let mut parts: Vec<(i64, i64)> = self.children(place).map(clip).collect();
        parts.sort_unstable();
        let mut covered = 0_i64;
        let mut reached = span.start_ns;
        for (start, end) in parts {
            covered = covered.saturating_add((end.saturating_sub(start.max(reached))).max(0));
            reached = reached.max(end);
        }
        let own = span.end_ns.saturating_sub(span.start_ns).saturating_sub(covered).max(0);
        #[expect(clippy::cast_precision_loss, reason = "a step lasts less than 2^53 nanoseconds, 104 days")]
        let own = own as f64;
        own / 1e9
    }
}

/// Puts a step under its sibling when it ran within it.
///
/// Asynchronous frameworks note the inner step beside the outer one, which would count its time twice. Only a sibling
/// without children of its own takes others in: two calls side by side have children, and stay side by side.
fn nest(spans: &[Span], children: &mut [Vec<u32>], parent: usize) {
    let list = children.get(parent).cloned().unwrap_or_default();
    if list.len() < 2 || list.len() > SIBLINGS_MAX {
        return;
    }
    let is_leaf = |children: &[Vec<u32>], c: u32| children.get(c as usize).is_none_or(Vec::is_empty);
    for outer in &list {
        let Some(o) = spans.get(*outer as usize).filter(|_| is_leaf(children, *outer)) else { continue };
        let within = |inner: &u32| {
            inner != outer
                && !is_leaf(children, *inner)
                && spans.get(*inner as usize).is_some_and(|i| i.entity == o.entity && mostly_within(i, o))
        };
        let moved: Vec<u32> =
            children.get(parent).into_iter().flatten().copied().filter(|c| within(c)).collect();
        if let Some(siblings) = children.get_mut(parent) {
            siblings.retain(|c| !moved.contains(c));
        }
        if let Some(taken) = children.get_mut(*outer as usize) {
            taken.extend(moved);
        }
    }
}

/// Nine tenths of a step lie in another one: clocks are read a little apart, and callbacks end a little late.
fn mostly_within(inner: &Span, outer: &Span) -> bool {
    let common = inner.end_ns.min(outer.end_ns).saturating_sub(inner.start_ns.max(outer.start_ns));
    inner.start_ns >= outer.start_ns && common >= inner.end_ns.saturating_sub(inner.start_ns) / 10 * 9
}

/// Beyond this many siblings their nesting is not looked at: the work grows with the square.
const SIBLINGS_MAX: usize = 64;

/// Growth of the time at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Typical own time before, seconds a step.
    pub(crate) before: f64,
    /// Typical own time since, seconds a step.
    pub(crate) since: f64,
    /// Steps since the alarm.
    pub(crate) n: f64,
}

/// Share of the time before that always counts as noise: hosts differ from day to day by about this much.
const NOISE_SHARE: f64 = 0.5;

/// Fewest steps on either side for a comparison.
const STEPS_MIN: usize = 3;

impl Growth {
    /// Seconds a step beyond what noise explains.
    pub(crate) fn excess(&self) -> f64 {
        (self.since - self.before * (1.0 + NOISE_SHARE)).max(0.0)
    }
}

/// Growth at every place that was seen often enough on both sides. Of several stretches of normal operation the
/// slowest holds: what has been as slow before is not news.
fn growth(normal: &[Times], since: &Times) -> BTreeMap<Place, Growth> {
    let typical = |values: &Vec<f64>| {
        if values.len() < STEPS_MIN { None } else { decile_mean(&sorted(values.iter().copied())) }
    };
    let mut out = BTreeMap::new();
    for (place, now) in since {
        let before = normal.iter().filter_map(|n| typical(n.get(place)?)).max_by(f64::total_cmp);
        let (Some(before), Some(since)) = (before, typical(now)) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "lengths stay below 2^53")]
        let n = now.len() as f64;
        out.insert(*place, Growth { before, since, n });
    }
    out
}
