//! Label sets that are built once.
//!
//! A round emits nearly the same series in nearly the same order every second. Building a label set costs a map
//! and a dozen small allocations; comparing a name and two values with what came at this place in the last round
//! costs nothing. So [`Series`] remembers the order of the last round and walks along it; only what is new or moved
//! is looked up, and only what is new is built.

use std::collections::HashMap;

use wellkept_model::{Labels, METRIC_NAME};

/// Most series that one host's round may give. More is a runaway (thousands of interfaces or mounts): the rest is
/// counted in [`Series::refused`], not stored.
pub(crate) const SERIES_MAX: usize = 50_000;

/// Forgotten series are dropped when the table is this many times longer than the last round.
const SLACK: usize = 4;

#[derive(Debug)]
struct Known {
    /// Metric name and label values, each followed by a zero byte.
    key: Box<str>,
    labels: Labels,
    /// Place in the round in which it came last.
    place: u32,
    /// That round.
    round: u64,
}

/// The samples of one round, with the label sets of the rounds before.
#[derive(Debug, Default)]
pub(crate) struct Series {
    identity: Vec<(String, String)>,
    known: Vec<Known>,
    by_key: HashMap<Box<str>, u32>,
    order: Vec<u32>,
    next: Vec<u32>,
    cursor: usize,
    samples: Vec<(Labels, f64)>,
    scratch: String,
    round: u64,
    refused: u64,
}

impl Series {
    /// An empty table; every series gets the pairs of `identity`.
    pub(crate) fn new(identity: &[(&str, &str)]) -> Self {
        let identity = identity.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Self { identity, ..Self::default() }
    }

    /// Adds one sample; a second one for the same series in one round is dropped. `pairs` must have the same label names in the same order each time for one `metric`.
    pub(crate) fn put(&mut self, metric: &str, pairs: &[(&str, &str)], value: f64) {
        if self.samples.len() >= SERIES_MAX {
            self.refused += 1;
            return;
        }
        let index = self.find(metric, pairs);
        let Some(known) = self.known.get_mut(index as usize) else { return };
        if known.round == self.round {
            return;
        }
        (known.place, known.round) = (self.next.len() as u32, self.round);
        self.next.push(index);
        self.samples.push((known.labels.clone(), value));
    }

    /// How many samples did not fit since the beginning.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Ends the round and hands out its samples.
    pub(crate) fn take(&mut self) -> Vec<(Labels, f64)> {
        self.cursor = 0;
        self.round += 1;
        std::mem::swap(&mut self.order, &mut self.next);
        self.next.clear();
        if self.known.len() > SLACK * self.order.len() + 64 {
            self.forget();
        }
        let next = Vec::with_capacity(self.samples.len());
        std::mem::replace(&mut self.samples, next)
    }

    fn find(&mut self, metric: &str, pairs: &[(&str, &str)]) -> u32 {
        if let Some(&index) = self.order.get(self.cursor)
            && self.known.get(index as usize).is_some_and(|k| same(&k.key, metric, pairs))
        {
            self.cursor += 1;
            return index;
        }
        write_key(&mut self.scratch, metric, pairs);
        if let Some(&index) = self.by_key.get(self.scratch.as_str()) {
            let place = self.known.get(index as usize).map_or(0, |k| k.place as usize);
            if self.order.get(place) == Some(&index) {
                self.cursor = place + 1;
            }
            return index;
        }
        self.add(metric, pairs)
    }

    fn add(&mut self, metric: &str, pairs: &[(&str, &str)]) -> u32 {
        let all = std::iter::once((METRIC_NAME, metric))
            .chain(pairs.iter().copied())
            .chain(self.identity.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let index = self.known.len() as u32;
        let key: Box<str> = self.scratch.as_str().into();
        self.known.push(Known {
            key: key.clone(),
            labels: Labels::new(all),
            place: u32::MAX,
            round: u64::MAX,
        });
        self.by_key.insert(key, index);
        index
    }

    /// Drops what did not come in the last round.
    fn forget(&mut self) {
        let mut old: Vec<Option<Known>> = std::mem::take(&mut self.known).into_iter().map(Some).collect();
        self.by_key.clear();
        for slot in &mut self.order {
            let Some(known) = old.get_mut(*slot as usize).and_then(Option::take) else { continue };
            *slot = self.known.len() as u32;
            self.by_key.insert(known.key.clone(), *slot);
            self.known.push(known);
        }
    }
}

fn write_key(out: &mut String, metric: &str, pairs: &[(&str, &str)]) {
    out.clear();
    out.push_str(metric);
    out.push('\0');
    for (_, value) in pairs {
        out.push_str(value);
        out.push('\0');
    }
}

fn same(key: &str, metric: &str, pairs: &[(&str, &str)]) -> bool {
    let step = |rest: &mut &[u8], part: &str| -> bool {
        match rest.strip_prefix(part.as_bytes()).and_then(|r| r.strip_prefix(b"\0")) {
            Some(r) => {
                *rest = r;
                true
            }
            None => false,
        }
    };
    let mut rest = key.as_bytes();
    step(&mut rest, metric) && pairs.iter().all(|(_, v)| step(&mut rest, v)) && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(series: &mut Series, devices: &[&str]) -> Vec<String> {
        for device in devices {
            series.put("m", &[("device", device)], 1.0);
        }
        series.take().iter().map(|(l, _)| l.to_string()).collect()
    }

    fn written(devices: &[&str]) -> Vec<String> {
        devices.iter().map(|d| format!("m{{device=\"{d}\", instance=\"h\"}}")).collect()
    }

    #[test]
    fn series_that_come_go_and_move_keep_their_labels() {
        let mut series = Series::new(&[("instance", "h")]);
        for devices in [&["a", "b", "c"][..], &["b", "c"], &["x", "a", "b", "c"], &["c", "b", "a"], &[]] {
            assert_eq!(round(&mut series, devices), written(devices));
        }
    }

    #[test]
    fn a_label_set_is_built_once() {
        let mut series = Series::new(&[]);
        series.put("m", &[("a", "1")], 1.0);
        series.take();
        series.put("m", &[("a", "1")], 2.0);
        series.take();
        assert_eq!(series.known.len(), 1);
    }

    #[test]
    fn values_that_run_together_stay_apart() {
        let mut series = Series::new(&[]);
        series.put("m", &[("a", "1"), ("b", "23")], 1.0);
        series.put("m", &[("a", "12"), ("b", "3")], 1.0);
        assert_eq!(series.take().len(), 2);
        assert_eq!(series.known.len(), 2);
    }

    #[test]
    fn a_series_comes_at_most_once_in_a_round() {
        let mut series = Series::new(&[]);
        assert_eq!(round(&mut series, &["a", "b", "a"]).len(), 2);
        assert_eq!(round(&mut series, &["a", "b", "a"]).len(), 2);
    }

    #[test]
    fn what_is_long_gone_is_forgotten() {
        let mut series = Series::new(&[]);
        for i in 0..10_000 {
            series.put("m", &[("pid", &i.to_string())], 1.0);
            series.take();
        }
        assert!(series.known.len() < 200, "{}", series.known.len());
    }
}
