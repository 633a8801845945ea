//! Merging, consolidated rows, retention, and the store as a whole against a model.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Content, batch, config, content_of, open, read};
use proptest::prelude::*;
use wellkept_model::{Aggregate, Hints, MatchOp, Matcher, SeriesSource, Sink, SourceLimits, TimestampMs};
use wellkept_tsdb::sim::{Damage, Dice, SimDisk};
use wellkept_tsdb::{Consolidation, RetentionRule, Store, StoreConfig};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn blocks_become_larger_ones_and_nothing_changes() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    let mut dice = Dice(3);
    let mut most = 0;
    for second in 0..1500_i64 {
        let mut samples = vec![("x", second as f64), ("y", f64::from_bits(dice.roll()))];
        samples.truncate(1 + dice.below(2));
        // Some come late, and some are written twice.
        let at = if dice.below(10) == 0 { second - 70 } else { second };
        let b = batch(at * 1000, ["a", "b"][dice.below(2)], &samples);
        store.append(&b).unwrap();
        all.extend(content_of(&b));
        let done = store.maintain(TimestampMs(second * 1000)).unwrap();
        most = most.max(store.stats().blocks);
        if done.merged.is_some() {
            assert_eq!(read(&store), all, "at {second}");
            assert_eq!(read(&open(&disk.fork())).len(), read(&store).len());
        }
    }
    assert!(most < 8, "{most} blocks at once of 25 written");
    store.flush_all().unwrap();
    assert_eq!(read(&store), all);
    let stats = store.stats();
    assert!(stats.blocks <= 3 && stats.segments == 0 && stats.head_samples == 0, "{stats:?}");
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
}

fn with_rows() -> StoreConfig {
    StoreConfig {
        block_span: secs(2 * 3600),
        retention: secs(2 * 86_400),
        merge_spans: vec![secs(8 * 3600), secs(86_400)],
        consolidate: vec![
            Consolidation { every: secs(300), keep: secs(4 * 86_400) },
            Consolidation { every: secs(3600), keep: secs(40 * 86_400) },
        ],
        ..config()
    }
}

/// A counter that is reset every 10,000 s, and a gauge, each minute for ten days.
fn ten_days(store: &Store) {
    for minute in 1..=10 * 1440_i64 {
        let at = minute * 60_000;
        store
            .append(&batch(at, "a", &[("c", (minute * 60 % 10_000) as f64), ("g", (minute % 7) as f64)]))
            .unwrap();
        if minute % 30 == 0 {
            store.commit().unwrap();
            store.maintain(TimestampMs(at)).unwrap();
        }
    }
    // What is left to do is done in a few calls more.
    for _ in 0..20 {
        store.maintain(TimestampMs(10 * DAY)).unwrap();
    }
}

fn hinted(store: &Store, name: &str, from: i64, to: i64, hints: &Hints) -> wellkept_model::Selected {
    let name = Matcher::new("__name__", MatchOp::Equal, name).unwrap();
    store.select_hinted(&[name], TimestampMs(from), TimestampMs(to), hints, &SourceLimits::default()).unwrap()
}

#[test]
fn old_samples_stay_as_rows_and_queries_choose_and_say_so() {
    let disk = SimDisk::new();
    let store = Store::open(Arc::new(disk.clone()), with_rows()).unwrap();
    ten_days(&store);
    let end = 10 * DAY;
    // Nothing asked: samples where there are any, coarser rows before.
    let all = hinted(&store, "g", 0, end, &Hints::default());
    assert_eq!(all.resolutions_ms, [0, 300_000, 3_600_000]);
    let samples = &all.series[0].samples;
    assert!(samples.is_sorted_by(|a, b| a.at < b.at));
    let step = |at: i64| {
        let i = samples.partition_point(|s| s.at.0 <= at);
        samples[i].at.0 - samples[i - 1].at.0
    };
    assert_eq!((step(end - HOUR), step(end - 85 * HOUR), step(end - 9 * DAY)), (60_000, 300_000, HOUR));
    // A wide step: rows, and samples only where there are no rows yet.
    let hints =
        |func: &str| Hints { step_ms: HOUR, range_ms: HOUR, func: func.to_owned(), ..Hints::default() };
    let rate = hinted(&store, "c", end - 85 * HOUR, end, &hints("increase"));
    assert_eq!(
        (rate.aggregate, rate.resolutions_ms.as_slice()),
        (Aggregate::Counter, [0, 300_000].as_slice())
    );
    let samples = &rate.series[0].samples;
    let growth: f64 = samples
        .windows(2)
        .map(|w| if w[1].value < w[0].value { w[1].value } else { w[1].value - w[0].value })
        .sum();
    let true_growth: f64 = {
        let (first, last) = (samples[0].at.0 / 60_000, samples.last().unwrap().at.0 / 60_000);
        let value = |m: i64| (m * 60 % 10_000) as f64;
        (first..last)
            .map(|m| if value(m + 1) < value(m) { value(m + 1) } else { value(m + 1) - value(m) })
            .sum()
    };
    assert_eq!(growth, true_growth);
    for (func, aggregate, value) in [
        ("max_over_time", Aggregate::Max, 6.0),
        ("min_over_time", Aggregate::Min, 0.0),
        ("count_over_time", Aggregate::Count, 60.0),
    ] {
        let hints =
            Hints { range_ms: 3 * HOUR, step_ms: 3 * HOUR, func: func.to_owned(), ..Hints::default() };
        let found = hinted(&store, "g", end - 8 * DAY, end - 7 * DAY, &hints);
        assert_eq!((found.aggregate, found.resolutions_ms), (aggregate, vec![HOUR]));
        assert!(found.series[0].samples.iter().all(|s| s.value == value), "{func}");
    }
    // The same after a restart, and space is given back: ten days of samples are not there any more.
    let before = hinted(&store, "c", 0, end, &Hints::default());
    assert_eq!(store.stats().quarantined_total, 0);
    drop(store);
    let store = Store::open(Arc::new(disk.crash(Damage::DropUnsynced, 1)), with_rows()).unwrap();
    assert_eq!(hinted(&store, "c", 0, end, &Hints::default()), before);
    let raw = read_raw_times(&store);
    assert!(raw >= end - 3 * DAY - 8 * HOUR, "samples from {raw} on");
}

/// Oldest time that has two samples a minute apart.
fn read_raw_times(store: &Store) -> i64 {
    let all = hinted(store, "g", 0, i64::MAX, &Hints::default());
    let samples = &all.series[0].samples;
    samples.windows(2).find(|w| w[1].at.0 - w[0].at.0 == 60_000).unwrap()[0].at.0
}

#[test]
fn a_rule_removes_some_series_earlier() {
    let disk = SimDisk::new();
    let rule = RetentionRule {
        matchers: vec![Matcher::new("__name__", MatchOp::Equal, "short").unwrap()],
        raw: secs(600),
        consolidated: Vec::new(),
    };
    let config = StoreConfig { rules: vec![rule], consolidate: Vec::new(), ..config() };
    let store = Store::open(Arc::new(disk), config).unwrap();
    for second in (0..2000_i64).step_by(10) {
        store.append_durable(&batch(second * 1000, "a", &[("long", 1.0), ("short", 1.0)])).unwrap();
        store.maintain(TimestampMs(second * 1000)).unwrap();
    }
    for _ in 0..20 {
        store.maintain(TimestampMs(2_000_000)).unwrap();
    }
    let content = read(&store);
    let oldest = |name: &str| content.keys().filter(|k| k.0.starts_with(name)).map(|k| k.1).min().unwrap();
    assert_eq!(oldest("long"), 0);
    assert!((700_000..=1_400_000).contains(&oldest("short")), "{}", oldest("short"));
}

#[test]
fn the_oldest_blocks_go_when_all_are_too_large() {
    let store_of = |size_max| {
        let config = StoreConfig { size_max, merge_spans: Vec::new(), consolidate: Vec::new(), ..config() };
        let store = Store::open(Arc::new(SimDisk::new()), config).unwrap();
        let mut dice = Dice(1);
        for second in 0..1200_i64 {
            let b = batch(second * 1000, "a", &[("x", f64::from_bits(dice.roll() >> 2))]);
            store.append_durable(&b).unwrap();
            store.maintain(TimestampMs(second * 1000)).unwrap();
        }
        store
    };
    let (free, small) = (store_of(None), store_of(Some(4000)));
    assert!(free.stats().block_bytes > 8000);
    assert!((1000..=4000).contains(&small.stats().block_bytes), "{}", small.stats().block_bytes);
    let (all, kept) = (read(&free), read(&small));
    assert!(kept.iter().all(|(k, v)| all.get(k) == Some(v)));
    assert_eq!(all.keys().map(|k| k.1).max(), kept.keys().map(|k| k.1).max());
}

#[test]
fn a_day_is_made_again_when_a_sample_of_it_comes_late() {
    let config = StoreConfig { clock_step: secs(4 * 86_400), ..with_rows() };
    let store = Store::open(Arc::new(SimDisk::new()), config).unwrap();
    let maintain = |hour: i64| {
        for _ in 0..3 {
            store.maintain(TimestampMs(hour * HOUR)).unwrap();
        }
    };
    for hour in 1..40_i64 {
        store.append_durable(&batch(hour * HOUR, "a", &[("g", 1.0)])).unwrap();
        maintain(hour);
    }
    let hints =
        Hints { step_ms: HOUR, range_ms: 4 * HOUR, func: "max_over_time".to_owned(), ..Hints::default() };
    let most = |store: &Store| {
        let found = hinted(store, "g", 0, DAY, &hints);
        assert_eq!(found.resolutions_ms, [HOUR]);
        found.series[0].samples.iter().map(|s| s.value).fold(0.0, f64::max)
    };
    assert_eq!(most(&store), 1.0);
    store.append_durable(&batch(5 * HOUR + 1000, "a", &[("g", 50.0)])).unwrap();
    for hour in 40..46_i64 {
        store.append_durable(&batch(hour * HOUR, "a", &[("g", 1.0)])).unwrap();
        maintain(hour);
    }
    assert_eq!(most(&store), 50.0);
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<(u8, i64, u64)>),
    Batch(i64, u8, Vec<u8>),
    Commit,
    Block,
    Flush,
    Upkeep,
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0..12_u8, 0..3000_i64, any::<u64>()), 1..12).prop_map(Step::Push),
        4 => (0..3000_i64, 0..4_u8, prop::collection::vec(0..9_u8, 1..6)).prop_map(|(t, g, n)| Step::Batch(t, g, n)),
        2 => Just(Step::Commit),
        1 => Just(Step::Block),
        1 => Just(Step::Flush),
        2 => Just(Step::Upkeep),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_store_is_a_map_from_series_and_time_to_the_last_value(steps in prop::collection::vec(step(), 1..60)) {
        let mut disk = SimDisk::new();
        let config = StoreConfig { out_of_order: secs(86_400), consolidate: Vec::new(), ..config() };
        let start = |disk: &SimDisk| Store::open(Arc::new(disk.clone()), config.clone()).unwrap();
        let mut store = start(&disk);
        let mut model: BTreeMap<(String, i64), u64> = BTreeMap::new();
        let mut safe = model.clone();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Push(samples) => {
                    let mut appender = store.appender(3, "p");
                    for (series, at, bits) in samples {
                        let (name, instance) = (format!("m{}", series % 4), format!("i{}", series / 4));
                        let labels = [("__name__", name.as_str()), ("instance", instance.as_str())];
                        if !appender.known(&[series]) {
                            appender.series(&[series], &labels);
                        }
                        let at = now + at * 100;
                        appender.float(TimestampMs(at), f64::from_bits(bits));
                        model.insert((wellkept_model::Labels::new(labels).to_string(), at), bits);
                    }
                    prop_assert_eq!(appender.finish().unwrap().refused.total(), 0);
                }
                Step::Batch(at, target, names) => {
                    let names: std::collections::BTreeSet<String> = names.iter().map(|n| format!("m{n}")).collect();
                    let samples: Vec<(&str, f64)> = names.iter().map(|n| (n.as_str(), at as f64)).collect();
                    let b = batch(now + at * 100, &format!("i{target}"), &samples);
                    store.append(&b).unwrap();
                    model.extend(content_of(&b));
                }
                Step::Commit => {
                    store.commit().unwrap();
                    safe = model.clone();
                }
                Step::Block => {
                    store.write_block().unwrap();
                    safe = model.clone();
                }
                Step::Flush => {
                    store.flush_all().unwrap();
                    safe = model.clone();
                }
                Step::Upkeep => {
                    now += 45_000;
                    let done = store.maintain(TimestampMs(now)).unwrap();
                    if done.written.is_some() {
                        safe = model.clone();
                    }
                }
                Step::Restart => {
                    store.commit().unwrap();
                    drop(store);
                    store = start(&disk);
                    safe = model.clone();
                }
                Step::Kill => {
                    // Power is cut: what was not committed is gone.
                    drop(store);
                    disk = disk.crash(Damage::DropUnsynced, 1);
                    store = start(&disk);
                    let found = read(&store);
                    for (key, bits) in &found {
                        prop_assert!(model.get(key) == Some(bits) || safe.get(key) == Some(bits));
                    }
                    for key in safe.keys() {
                        prop_assert!(found.contains_key(key));
                    }
                    model = found;
                    safe = model.clone();
                }
            }
            prop_assert_eq!(&read(&store), &model);
        }
    }
}
