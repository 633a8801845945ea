//! Explaining away over the call graph, from typed metrics.
//!
//! What an entity adds to the trouble is counted in the alarm's own unit: seconds of waiting a second (rise of latency
//! times rate of requests), or failed requests. From it goes what its callees add; what is left is its own. A callee
//! that several call shares its part out by their rates. A callee that did not exist before the alarm cannot be the
//! root: that it is called at all is its caller's doing, so its part stays with the caller.

use std::collections::BTreeMap;

use crate::change::{Change, mean};
use crate::graph::Graph;
use crate::kind::MetricKind;
use crate::robust::sorted;
use crate::scene::{MetricSeries, Scene};
use crate::window::Window;

/// What one entity adds itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    /// All that it adds, callees included.
    pub(crate) total: f64,
    /// What its callees do not explain.
    pub(crate) own: f64,
    /// What it usually takes, in the same unit; only for slowness.
    pub(crate) usual: f64,
    /// Index of the series that tells it.
    pub(crate) series: Option<usize>,
}

/// Changes of all series, in their order.
pub(crate) struct Changes(pub(crate) Vec<Option<Change>>);

impl Changes {
    pub(crate) fn of(scene: &Scene, window: &Window) -> Self {
        Self(scene.series.iter().map(|s| Change::of(s, window)).collect())
    }

    pub(crate) fn get(&self, series: usize) -> Option<&Change> {
        self.0.get(series)?.as_ref()
    }
}

/// The two kinds of trouble that travel along calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Slow,
    Failing,
}

/// What every entity of the graph adds itself, by number.
pub(crate) fn blame(
    scene: &Scene,
    graph: &Graph,
    changes: &Changes,
    window: &Window,
    trouble: Trouble,
) -> Vec<Own> {
    let by_entity = series_by_entity(scene, graph);
    let rates = rates(scene, graph, changes, window, &by_entity);
    let mut parts: Vec<Own> = (0..graph.len())
        .map(|e| {
            let rate = rates.get(e).copied().unwrap_or(0.0);
            part(scene, changes, list(&by_entity, e), rate, trouble)
        })
        .collect();
    let known: Vec<bool> = (0..graph.len()).map(|e| existed(scene, list(&by_entity, e), window)).collect();
    explain_away(graph, &rates, &known, &mut parts);
    parts
}

fn list(by_entity: &BTreeMap<usize, Vec<usize>>, entity: usize) -> &[usize] {
    by_entity.get(&entity).map_or(&[], Vec::as_slice)
}

fn series_by_entity(scene: &Scene, graph: &Graph) -> BTreeMap<usize, Vec<usize>> {
    let mut out: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, series) in scene.series.iter().enumerate() {
        if let Some(entity) = graph.number(&series.entity) {
            out.entry(entity).or_default().push(i);
        }
    }
    out
}

/// Whether anything but nothing was measured of it before the alarm.
fn existed(scene: &Scene, series: &[usize], window: &Window) -> bool {
    let alive = |s: &MetricSeries| {
        let before = s.samples.iter().filter(|p| p.at < window.start).map(|p| p.value);
        before.chain(s.reference.iter().copied()).any(|v| v.is_finite() && v != 0.0)
    };
    series.is_empty() || series.iter().filter_map(|i| scene.series.get(*i)).any(alive)
}

/// Requests since the alarm, by number of the entity.
///
/// Where none are counted an entity is taken to be asked as often as its callers are, once when nobody knows.
fn rates(
    scene: &Scene,
    graph: &Graph,
    changes: &Changes,
    window: &Window,
    by_entity: &BTreeMap<usize, Vec<usize>>,
) -> Vec<f64> {
    let known: Vec<Option<f64>> =
        (0..graph.len()).map(|e| rate(scene, changes, list(by_entity, e), window)).collect();
    let of = |e: &usize| known.get(*e).copied().flatten();
    let of_callers = |e: usize| graph.callers(e).iter().filter_map(of).reduce(|a, b| a + b);
    (0..graph.len()).map(|e| of(&e).or_else(|| of_callers(e)).unwrap_or(1.0)).collect()
}

/// Requests since the alarm, from the first series that counts them.
fn rate(scene: &Scene, changes: &Changes, series: &[usize], window: &Window) -> Option<f64> {
    let counts =
        |m: &str| ["request", "workload", "ops", "calls", "hits", "rps", "qps"].iter().any(|w| m.contains(w));
    let found = series.iter().find_map(|i| {
        let s = scene.series.get(*i)?;
        (s.kind == MetricKind::Traffic && counts(&s.metric.to_ascii_lowercase())).then_some((*i, s))
    });
    let (index, s) = found?;
    // A series that began with the alarm has no change, but counts all the same.
    let since = || sorted(s.samples.iter().filter(|p| window.holds(p.at)).map(|p| p.value));
    Some(changes.get(index).map_or_else(|| mean(&since()), |change| change.after).max(0.0))
}

/// What one entity adds in all.
fn part(scene: &Scene, changes: &Changes, series: &[usize], rate: f64, trouble: Trouble) -> Own {
    let mut best: Option<(u8, Own)> = None;
    for i in series {
        let (Some(s), Some(change)) = (scene.series.get(*i), changes.get(*i)) else { continue };
        let (rank, amount, usual) = match (trouble, s.kind) {
            (Trouble::Slow, MetricKind::Latency) => {
                (statistic_rank(&s.metric), change.excess() * rate, change.before * rate)
            }
            (Trouble::Failing, MetricKind::Availability) => {
                (0, change.shortfall() / scale(change) * rate, 0.0)
            }
            (Trouble::Failing, MetricKind::Errors) => (1, change.excess(), 0.0),
            _ => continue,
        };
        let own = Own { total: amount, own: amount, usual, series: Some(*i) };
        if best.as_ref().is_none_or(|(r, _)| rank < *r) {
            best = Some((rank, own));
        }
    }
    best.map(|(_, own)| own).unwrap_or_default()
}

/// Availability is told in percent or as a share of one.
fn scale(change: &Change) -> f64 {
    if change.before > 1.5 { 100.0 } else { 1.0 }
}

/// Which statistic of a latency tells added time best: the mean adds up, a low quantile is next, a high one last.
fn statistic_rank(metric: &str) -> u8 {
    let name = metric.to_ascii_lowercase();
    let quantile = ["p50", "p75", "p90", "p95", "p99"].iter().position(|q| name.contains(q));
    quantile.map_or(0, |place| u8::try_from(place).unwrap_or(9) + 1)
}

fn explain_away(graph: &Graph, rates: &[f64], known: &[bool], parts: &mut [Own]) {
    let get = |v: &[f64], i: usize| v.get(i).copied().unwrap_or(0.0);
    let is_known = |e: usize| known.get(e).copied().unwrap_or(true);
    let mut explained = vec![0.0; parts.len()];
    for callee in (0..graph.len()).filter(|c| is_known(*c)) {
        let callers = graph.callers(callee);
        let all: f64 = callers.iter().map(|c| get(rates, *c)).sum();
        for caller in callers {
            let share = if all > 0.0 { get(rates, *caller) / all } else { 1.0 };
            if let (Some(slot), Some(part)) = (explained.get_mut(*caller), parts.get(callee)) {
                *slot += part.total * share;
            }
        }
    }
    for (entity, part) in parts.iter_mut().enumerate() {
        part.own = if is_known(entity) { (part.total - get(&explained, entity)).max(0.0) } else { 0.0 };
    }
}
