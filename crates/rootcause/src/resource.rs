//! Resources that ran full.
//!
//! A share of a capacity tells by itself how near the end is, so its rise counts by the part of the capacity that was
//! taken; an amount with unknown capacity counts less.

use crate::blame::Changes;
use crate::graph::Graph;
use crate::kind::MetricKind;
use crate::scene::Scene;

/// The resource of one entity that ran full most.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Full {
    /// 0 as before, 1 for the whole capacity taken since the alarm.
    pub(crate) strength: f64,
    /// Index of the series.
    pub(crate) series: Option<usize>,
}

/// How far a rise must be beyond noise to count half.
const HALF_STRENGTH: f64 = 4.0;

/// Weight of an amount whose capacity is not known, against a share.
const AMOUNT_WEIGHT: f64 = 0.1;

/// The fullest resource of every entity of the graph, by number.
pub(crate) fn full(scene: &Scene, graph: &Graph, changes: &Changes) -> Vec<Full> {
    let mut out = vec![Full::default(); graph.len()];
    for (i, series) in scene.series.iter().enumerate() {
        let (Some(change), Some(entity)) = (changes.get(i), graph.number(&series.entity)) else { continue };
        let sure = change.strength.max(0.0) / (change.strength.max(0.0) + HALF_STRENGTH);
        let strength = match series.kind {
            MetricKind::Utilisation => {
                sure * ((change.peak - change.before) / capacity(&series.metric, change.peak)).clamp(0.0, 1.0)
            }
            MetricKind::Resource | MetricKind::Headroom | MetricKind::Queue => sure * AMOUNT_WEIGHT,
            _ => continue,
        };
        if let Some(slot) = out.get_mut(entity).filter(|s| s.strength < strength) {
            *slot = Full { strength, series: Some(i) };
        }
    }
    out
}

/// Shares are told in percent or as a part of one; several processors may give more than either.
fn capacity(metric: &str, peak: f64) -> f64 {
    let name = metric.to_ascii_lowercase();
    let percent =
        ["%", "percent", "pct"].iter().any(|w| name.contains(w)) || peak > 1.5 && !name.contains("ratio");
    peak.max(if percent { 100.0 } else { 1.0 })
}
