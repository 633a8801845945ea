//! What any bytes must not do to the store: shared by the tests and the fuzz targets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a judge speaks by panicking")]
#![allow(unreachable_pub, reason = "shared by crates of their own")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{Labels, SeriesSource, Sink, SourceLimits, TimestampMs};
use wellkept_tsdb::sim::{Damage, SimDisk};
use wellkept_tsdb::{Store, StoreConfig};

type Map = BTreeMap<(String, i64), u64>;

/// Most operations that are read from one input.
const STEPS_MAX: usize = 200;

fn config() -> StoreConfig {
    StoreConfig {
        block_span: Duration::from_secs(60),
        merge_spans: vec![Duration::from_secs(180), Duration::from_secs(600)],
        retention: Duration::from_secs(10 * 86_400),
        consolidate: Vec::new(),
        out_of_order: Duration::from_secs(86_400),
        segment_bytes: 4096,
        ..StoreConfig::default()
    }
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), config()).unwrap()
}

fn read(store: &Store) -> Map {
    let (from, to) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));
    let series = store.select(&[], from, to, &SourceLimits::default()).unwrap();
    let samples = series.iter().flat_map(|s| s.samples.iter().map(|p| (s.labels.to_string(), *p)));
    samples.map(|(labels, p)| ((labels, p.at.0), p.value.to_bits())).collect()
}

/// Reads the bytes as operations; after each the store holds what a map would hold.
pub fn model(bytes: &[u8]) {
    let (mut disk, mut now) = (SimDisk::new(), 0);
    let mut store = open(&disk);
    let (mut all, mut safe) = (Map::new(), Map::new());
    // A value that was overwritten before it was acknowledged may be what a crash leaves.
    let mut ever = BTreeMap::<_, BTreeSet<u64>>::new();
    for step in bytes.chunks(4).filter(|s| s.len() == 4).take(STEPS_MAX) {
        let (kind, a, b, c) = (step[0] % 16, step[1], step[2], step[3]);
        match kind {
            0..=8 => {
                let mut appender = store.appender(1, "fuzz");
                // Two bytes more make a push of several samples: a run of one series, or the same instant of many.
                for i in 0..=i64::from(kind) {
                    let series = if b & 1 == 0 { a } else { a.wrapping_add(i as u8) } % 40;
                    let at = now + i64::from(b) * 50 + if b & 1 == 0 { i * 100 } else { 0 };
                    let (name, target) = (format!("m{}", series % 10), format!("t{}", series / 10));
                    let labels = [("__name__", name.as_str()), ("instance", target.as_str())];
                    if !appender.known(&[series]) {
                        appender.series(&[series], &labels);
                    }
                    let bits = f64::from(c).to_bits() ^ (u64::from(a) << (c % 60));
                    appender.float(TimestampMs(at), f64::from_bits(bits));
                    let key = (Labels::new(labels).to_string(), at);
                    ever.entry(key.clone()).or_default().insert(bits);
                    all.insert(key, bits);
                }
                appender.finish().unwrap();
            }
            9 => store.commit().map(drop).unwrap(),
            10 => store.write_block().map(drop).unwrap(),
            11 => store.flush_all().unwrap(),
            12 | 13 => {
                now += i64::from(a) * 200;
                store.maintain(TimestampMs(now)).map(drop).unwrap();
            }
            14 => {
                store.commit().unwrap();
                drop(store);
                store = open(&disk);
            }
            _ => {
                drop(store);
                let damage = [Damage::DropUnsynced, Damage::Torn][usize::from(a % 2)];
                disk = disk.crash(damage, u64::from(b));
                store = open(&disk);
                let found = read(&store);
                assert!(found.iter().all(|(k, v)| ever.get(k).is_some_and(|e| e.contains(v))), "made up");
                assert!(safe.keys().all(|k| found.contains_key(k)), "lost what was acknowledged");
                all = found;
            }
        }
        if matches!(kind, 9 | 10 | 11 | 14 | 15) {
            safe.clone_from(&all);
        }
        assert!(read(&store) == all, "the store is not the map after {step:?}");
    }
}

/// A store with a block of floats, and a log.
fn filled() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk);
    for at in 0..60_i64 {
        let mut appender = store.appender(1, "");
        for name in ["a", "b"] {
            appender.series(&[], &[("__name__", name), ("instance", "x")]);
            appender.float(TimestampMs(at * 1000), at as f64);
        }
        appender.finish_durable().unwrap();
        if at == 40 {
            store.write_block().unwrap();
        }
    }
    drop(store);
    disk
}

/// Puts the bytes in the place of a file of a good store: it opens or says why not, and all that it tells ends.
pub fn file(bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else { return };
    let disk = filled();
    let files = disk.files();
    let name = &files[usize::from(*which) % files.len()];
    disk.corrupt(name, |old| {
        // Mostly a good file with a changed stretch: few inputs would get past the checksums else.
        if which & 0x40 == 0 {
            *old = content.to_vec();
        } else if let [at_high, at_low, rest @ ..] = content {
            let at = usize::from(u16::from_be_bytes([*at_high, *at_low])) % (old.len() + 1);
            old.splice(at..(at + rest.len()).min(old.len()), rest.iter().copied());
        }
    });
    let Ok(store) = Store::open(Arc::new(disk), config()) else { return };
    let (from, to) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));
    let limits = SourceLimits { samples: 1 << 20, ..SourceLimits::default() };
    // Damage that shows only now is an error once and set aside from then on.
    for _ in 0..3 {
        if let Ok(series) = store.select(&[], from, to, &limits) {
            let samples = series.iter().flat_map(|s| &s.samples);
            samples.for_each(|s| assert!((0..60).contains(&(s.at.0 / 1000)), "a made-up time"));
        }
    }
    let _ = store.verify();
    let _ = store.repair();
}
