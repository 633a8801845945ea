//! What is sent of what was scraped: external labels, rules, and portions of a bounded size. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::{HistogramSample, Labels, Sample, TimestampMs};

use crate::config::{Place, RemoteWrite};
use crate::relabel::{LabelSet, Rule};
use crate::seam::{Outgoing, Scraped};

/// Most series whose labels are remembered; all are forgotten when there are more.
const KNOWN_MAX: usize = 500_000;

/// True when nothing but the place in the file differs.
pub(super) fn same(a: &RemoteWrite, b: &RemoteWrite) -> bool {
    RemoteWrite { place: Place::default(), ..a.clone() }
        == RemoteWrite { place: Place::default(), ..b.clone() }
}

/// Samples of all kinds.
pub(super) fn samples_of(series: &[Outgoing]) -> u64 {
    series.iter().map(|s| (s.samples.len() + s.histograms.len()) as u64).sum()
}

/// Turns labels into those that are sent, and remembers what it made.
pub(super) struct Relabeler {
    external: Labels,
    rules: Vec<Rule>,
    histograms: bool,
    known: HashMap<Labels, Option<Labels>>,
}

impl Relabeler {
    pub(super) fn new(external: &Labels, rules: &[Rule], histograms: bool) -> Self {
        Self { external: external.clone(), rules: rules.to_vec(), histograms, known: HashMap::new() }
    }

    /// The labels that are sent; `None` when rules drop the series.
    fn labels(&mut self, labels: &Labels) -> Option<Labels> {
        if self.external.is_empty() && self.rules.is_empty() {
            return Some(labels.clone());
        }
        if let Some(known) = self.known.get(labels) {
            return known.clone();
        }
        let mut set = LabelSet::from(labels);
        for (name, value) in self.external.iter() {
            if set.get(name).is_empty() {
                set.set(name, value);
            }
        }
        let kept = set.relabel(&self.rules) && set.iter().len() > 0;
        let made = kept.then(|| set.into_labels());
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(labels.clone(), made.clone());
        made
    }

    fn float(&mut self, labels: &Labels, at: TimestampMs, value: f64, out: &mut Vec<Outgoing>) -> u64 {
        let Some(labels) = self.labels(labels) else { return 1 };
        out.push(Outgoing { labels, samples: vec![Sample { at, value }], histograms: Vec::new() });
        0
    }

    fn histogram(&mut self, labels: &Labels, sample: HistogramSample, out: &mut Vec<Outgoing>) -> u64 {
        if !self.histograms {
            return 1;
        }
        let Some(labels) = self.labels(labels) else { return 1 };
        out.push(Outgoing { labels, samples: Vec::new(), histograms: vec![sample] });
        0
    }

    /// Adds what is sent of a scrape; gives how many samples are not.
    pub(super) fn scraped(&mut self, scraped: &Scraped, out: &mut Vec<Outgoing>) -> u64 {
        let (at, mut left_out) = (scraped.batch.at, 0);
        for (labels, value) in &scraped.batch.samples {
            left_out += self.float(labels, at, *value, out);
        }
        for (labels, sample) in &scraped.stamped {
            left_out += self.float(labels, sample.at, sample.value, out);
        }
        for (labels, histogram) in &scraped.batch.histograms {
            left_out += self.histogram(labels, HistogramSample { at, histogram: Arc::clone(histogram) }, out);
        }
        for (labels, sample) in &scraped.stamped_histograms {
            left_out += self.histogram(labels, sample.clone(), out);
        }
        left_out
    }

    /// Adds what is sent of these series; gives how many samples are not.
    pub(super) fn series(&mut self, series: &[Outgoing], out: &mut Vec<Outgoing>) -> u64 {
        let mut left_out = 0;
        for one in series {
            match self.labels(&one.labels) {
                Some(labels) => {
                    let histograms = if self.histograms { one.histograms.clone() } else { Vec::new() };
                    left_out += (one.histograms.len() - histograms.len()) as u64;
                    out.push(Outgoing { labels, samples: one.samples.clone(), histograms });
                }
                None => left_out += samples_of(std::slice::from_ref(one)),
            }
        }
        left_out
    }
}

/// Cuts series into portions with at most `max` samples each. A series with more is cut, too.
pub(super) fn chunks(series: Vec<Outgoing>, max: usize) -> Vec<Vec<Outgoing>> {
    let max = max.max(1);
    let mut chunks = Vec::new();
    let (mut chunk, mut held) = (Vec::new(), 0);
    for mut one in series {
        loop {
            let count = one.samples.len() + one.histograms.len();
            if held + count <= max {
                held += count;
                chunk.push(one);
                break;
            }
            let room = max - held;
            let later_samples = one.samples.split_off(room.min(one.samples.len()));
            let room = room - one.samples.len();
            let later_histograms = one.histograms.split_off(room.min(one.histograms.len()));
            let later =
                Outgoing { labels: one.labels.clone(), samples: later_samples, histograms: later_histograms };
            if !one.samples.is_empty() || !one.histograms.is_empty() {
                chunk.push(one);
            }
            chunks.push(std::mem::take(&mut chunk));
            held = 0;
            one = later;
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// Joins series with the same labels, in the order of their first sample; leaves out samples older than `oldest`, and
/// says how many.
pub(super) fn merge(series: Vec<Outgoing>, oldest: Option<TimestampMs>) -> (Vec<Outgoing>, u64) {
    let mut at: HashMap<Labels, usize> = HashMap::new();
    let mut merged: Vec<Outgoing> = Vec::new();
    let mut left_out = 0;
    for mut one in series {
        if let Some(oldest) = oldest {
            let before = one.samples.len() + one.histograms.len();
            one.samples.retain(|s| s.at >= oldest);
            one.histograms.retain(|s| s.at >= oldest);
            left_out += (before - one.samples.len() - one.histograms.len()) as u64;
        }
        if one.samples.is_empty() && one.histograms.is_empty() {
            continue;
        }
        match at.get(&one.labels).and_then(|at| merged.get_mut(*at)) {
            Some(known) => {
                known.samples.append(&mut one.samples);
                known.histograms.append(&mut one.histograms);
            }
            None => {
                at.insert(one.labels.clone(), merged.len());
                merged.push(one);
            }
        }
    }
    for one in &mut merged {
        one.samples.sort_by_key(|s| s.at);
        one.histograms.sort_by_key(|s| s.at);
    }
    (merged, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{Action, RuleText};

    fn one(name: &str, ats: &[i64]) -> Outgoing {
        let samples = ats.iter().map(|at| Sample { at: TimestampMs(*at), value: 1.0 }).collect();
        Outgoing { labels: Labels::metric(name, []), samples, histograms: Vec::new() }
    }

    #[test]
    fn external_labels_are_added_where_they_lack_and_rules_see_them() {
        let rule = RuleText {
            source_labels: vec!["dc".into()],
            regex: Some("far".into()),
            action: Action::Drop,
            ..RuleText::default()
        };
        let rules = [Rule::new(rule).expect("a good rule")];
        let mut relabeler = Relabeler::new(&Labels::new([("dc", "near")]), &rules, true);
        let far = Outgoing { labels: Labels::metric("b", [("dc", "far")]), ..one("b", &[1, 2]) };
        for _ in 0..2 {
            let mut out = Vec::new();
            assert_eq!(relabeler.series(&[one("a", &[1]), far.clone()], &mut out), 2);
            assert_eq!(out.len(), 1);
            assert_eq!(out[0].labels, Labels::metric("a", [("dc", "near")]));
        }
    }

    #[test]
    fn histograms_are_left_out_where_they_are_not_wanted() {
        let histogram = HistogramSample { at: TimestampMs(1), histogram: Arc::default() };
        let series = [Outgoing { histograms: vec![histogram], ..one("a", &[1]) }];
        let mut out = Vec::new();
        assert_eq!(Relabeler::new(&Labels::default(), &[], false).series(&series, &mut out), 1);
        assert_eq!(samples_of(&out), 1);
        assert_eq!(Relabeler::new(&Labels::default(), &[], true).series(&series, &mut out), 0);
        assert_eq!(samples_of(&out), 3);
    }

    #[test]
    fn portions_hold_all_samples_and_never_too_many() {
        for max in 1..12 {
            let all = vec![one("a", &[1, 2, 3, 4, 5]), one("b", &[1]), one("c", &[1, 2, 3])];
            let chunks = chunks(all.clone(), max);
            assert!(chunks.iter().all(|c| (1..=max as u64).contains(&samples_of(c))), "{max}: {chunks:?}");
            assert_eq!(merge(chunks.concat(), None).0, all, "{max}");
        }
        assert!(chunks(Vec::new(), 5).is_empty());
    }

    #[test]
    fn series_are_joined_in_order_of_time_and_old_samples_left_out() {
        let all = vec![one("a", &[5]), one("b", &[1]), one("a", &[3, 9])];
        let (merged, left_out) = merge(all, Some(TimestampMs(3)));
        assert_eq!((merged, left_out), (vec![one("a", &[3, 5, 9])], 1));
    }
}
