//! Groups what one request brought into batches: one for each identity and instant, as the store wants them.
//!
//! Label sets that came before are known by their bytes on the wire and not built again. What is known is shared by all
//! requests and bounded; when it is full, it is forgotten as a whole, which costs one slow request of each client.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use wellkept_model::{Batch, Exemplar, Histogram, Labels, Metadata, Sink, TimestampMs};

use crate::{ExemplarStore, MetadataStore};

/// Most label sets that are known by their bytes.
const KNOWN_MAX: usize = 2_000_000;
/// Labels that name a source: samples of one source at one instant are one batch.
const IDENTITY: [&str; 2] = ["job", "instance"];

/// Label sets by their bytes on the wire.
#[derive(Debug, Default)]
pub(crate) struct Known {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: HashMap<Box<[u8]>, Series>,
    targets: HashMap<Labels, u32>,
    /// Counts how often all was forgotten: numbers of targets mean something only within one life.
    life: u32,
}

/// One series with the number of its source.
#[derive(Debug, Clone)]
struct Series {
    labels: Labels,
    target: u32,
    identity: Labels,
    life: u32,
}

impl Known {
    fn get(&self, wire: &[u8]) -> Option<Series> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).series.get(wire).cloned()
    }

    fn put(&self, wire: &[u8], labels: Labels) -> Series {
        let identity = labels.filter(|name| IDENTITY.contains(&name));
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.series.len() >= KNOWN_MAX || inner.targets.len() >= KNOWN_MAX {
            let life = inner.life.wrapping_add(1);
            *inner = Inner { life, ..Inner::default() };
        }
        let next = u32::try_from(inner.targets.len()).unwrap_or(u32::MAX);
        let target = *inner.targets.entry(identity.clone()).or_insert(next);
        let series = Series { labels, target, identity, life: inner.life };
        if !wire.is_empty() {
            inner.series.insert(wire.into(), series.clone());
        }
        series
    }
}

/// Which batch: source and instant.
type Key = (u32, u32, i64);

/// A sink that makes batches.
pub(crate) struct Batcher<'a> {
    known: &'a Known,
    metadata: &'a MetadataStore,
    exemplars: &'a ExemplarStore,
    current: Option<Series>,
    places: HashMap<Key, usize>,
    /// The batch that was added to last; most samples go to the same.
    last: Option<(Key, usize)>,
    batches: Vec<Batch>,
    pending: Vec<Exemplar>,
}

impl<'a> Batcher<'a> {
    pub(crate) fn new(known: &'a Known, metadata: &'a MetadataStore, exemplars: &'a ExemplarStore) -> Self {
        Self {
            known,
            metadata,
            exemplars,
            current: None,
            places: HashMap::new(),
            last: None,
            batches: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The batches, oldest first, so that a source's samples come in order.
    pub(crate) fn finish(mut self) -> Vec<Batch> {
        self.batches.sort_by_key(|b| b.at);
        for exemplar in std::mem::take(&mut self.pending) {
            self.exemplars.put(exemplar);
        }
        self.batches
    }

    fn batch(&mut self, at: TimestampMs) -> Option<(&mut Batch, Labels)> {
        let series = self.current.as_ref()?;
        let key = (series.life, series.target, at.0);
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => {
                let next = self.batches.len();
                let place = *self.places.entry(key).or_insert(next);
                if place == next {
                    let target = series.identity.clone();
                    self.batches.push(Batch { at, target, ..Batch::default() });
                }
                self.last = Some((key, place));
                place
            }
        };
        let labels = series.labels.clone();
        Some((self.batches.get_mut(place)?, labels))
    }
}

impl Sink for Batcher<'_> {
    fn known(&mut self, wire: &[u8]) -> bool {
        let found = self.known.get(wire);
        let known = found.is_some();
        if known {
            self.current = found;
        }
        known
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.current = Some(self.known.put(wire, Labels::new(labels.iter().copied())));
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        if let Some((batch, labels)) = self.batch(at) {
            batch.samples.push((labels, value));
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        if let Some((batch, labels)) = self.batch(at) {
            batch.histograms.push((labels, histogram.into()));
        }
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        if let Some(series) = &self.current {
            let labels = Labels::new(labels.iter().copied());
            self.pending.push(Exemplar { series: series.labels.clone(), labels, value, at });
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.metadata.put(metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_source_and_instant_are_one_batch() {
        let (known, metadata, exemplars) =
            (Known::default(), MetadataStore::default(), ExemplarStore::default());
        for round in 0..2 {
            let mut batcher = Batcher::new(&known, &metadata, &exemplars);
            for host in ["a", "b"] {
                for name in ["x", "y"] {
                    let wire = format!("{name}{host}");
                    if !batcher.known(wire.as_bytes()) {
                        assert_eq!(round, 0, "{wire} is known in the second round");
                        batcher.series(wire.as_bytes(), &[("__name__", name), ("instance", host)]);
                    }
                    batcher.float(TimestampMs(2000), 1.0);
                    batcher.float(TimestampMs(1000), 2.0);
                }
            }
            let batches = batcher.finish();
            let shape: Vec<_> =
                batches.iter().map(|b| (b.at.0, b.target.get("instance"), b.samples.len())).collect();
            assert_eq!(shape, [(1000, "a", 2), (1000, "b", 2), (2000, "a", 2), (2000, "b", 2)]);
        }
    }

    #[test]
    fn exemplars_are_kept_with_their_series() {
        let (known, metadata, exemplars) =
            (Known::default(), MetadataStore::default(), ExemplarStore::default());
        let mut batcher = Batcher::new(&known, &metadata, &exemplars);
        batcher.series(b"", &[("__name__", "a")]);
        batcher.exemplar(TimestampMs(5), 1.0, &[("trace_id", "t")]);
        batcher.finish();
        let any = wellkept_model::Matcher::new("__name__", wellkept_model::MatchOp::Equal, "a").unwrap();
        let view = exemplars.view(&[vec![any]], TimestampMs(0), TimestampMs(9));
        assert_eq!(view[0]["exemplars"][0]["labels"]["trace_id"], "t");
    }
}
