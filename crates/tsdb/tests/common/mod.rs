//! What the store's scenario tests share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "shared by test files that are crates of their own")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{Batch, Labels, SeriesSource, SourceError, SourceLimits, TimestampMs};
use wellkept_tsdb::sim::SimDisk;
use wellkept_tsdb::{Store, StoreConfig};

/// Series, time, bits of the value.
pub type Content = BTreeMap<(String, i64), u64>;

pub fn config() -> StoreConfig {
    StoreConfig {
        block_span: Duration::from_secs(60),
        retention: Duration::from_secs(3600),
        segment_bytes: 4096,
        consolidate: Vec::new(),
        merge_spans: vec![Duration::from_secs(180), Duration::from_secs(600)],
        ..StoreConfig::default()
    }
}

pub fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), config()).unwrap()
}

pub fn batch(at: i64, target: &str, samples: &[(&str, f64)]) -> Batch {
    let target = Labels::new([("instance", target)]);
    let labels = |name: &str| Labels::metric(name, target.iter());
    let samples = samples.iter().map(|(n, v)| (labels(n), *v)).collect();
    Batch { at: TimestampMs(at), target: target.clone(), samples, ..Batch::default() }
}

pub fn content_of(batch: &Batch) -> impl Iterator<Item = ((String, i64), u64)> + '_ {
    batch.samples.iter().map(|(l, v)| ((l.to_string(), batch.at.0), v.to_bits()))
}

pub fn try_read(store: &Store) -> Result<Content, SourceError> {
    let (from, to) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));
    let series = store.select(&[], from, to, &SourceLimits::default())?;
    let mut content = Content::new();
    for s in &series {
        assert!(s.samples.is_sorted_by(|a, b| a.at < b.at), "times rise strictly");
        for sample in &s.samples {
            content.insert((s.labels.to_string(), sample.at.0), sample.value.to_bits());
        }
    }
    Ok(content)
}

pub fn read(store: &Store) -> Content {
    try_read(store).unwrap()
}
