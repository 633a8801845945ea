//! What pushing clients rely on: the appender, its limits, histograms, and times in any order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Content, config, open, read};
use wellkept_model::{
    Histogram, Labels, MatchOp, Matcher, SeriesSource, Sink, SourceLimits, Span, TimestampMs, stale_marker,
};
use wellkept_tsdb::sim::{Damage, SimDisk};
use wellkept_tsdb::{Accepted, Appender, Store, StoreConfig};

const ALL: (TimestampMs, TimestampMs) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));

/// Labels, and samples as time and value.
type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// Gives a series to an appender as a door would: by its bytes when they are known, else by its labels.
fn put(appender: &mut Appender<'_>, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
    let wire = format!("{labels:?}").into_bytes();
    if !appender.known(&wire) {
        appender.series(&wire, labels);
    }
    samples.iter().for_each(|(at, value)| appender.float(TimestampMs(*at), *value));
}

fn push(store: &Store, series: &[Series<'_>]) -> Accepted {
    let mut appender = store.appender(1, "test");
    series.iter().for_each(|(labels, samples)| put(&mut appender, labels, samples));
    appender.finish_durable().unwrap()
}

fn want(series: &[Series<'_>]) -> Content {
    let all = series.iter().flat_map(|(labels, samples)| {
        let labels = Labels::new(labels.iter().copied()).to_string();
        samples.iter().map(move |(at, value)| ((labels.clone(), *at), value.to_bits()))
    });
    all.collect()
}

const X: &[(&str, &str)] = &[("__name__", "x"), ("job", "j"), ("instance", "a")];
const Y: &[(&str, &str)] = &[("__name__", "y"), ("instance", "a"), ("job", "j")];
const Z: &[(&str, &str)] = &[("__name__", "z"), ("zone", "elsewhere")];

#[test]
fn a_request_may_hold_series_and_times_in_any_order() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let series: &[Series<'_>] = &[
        (X, &[(3000, 3.0), (1000, 1.0), (2000, -0.0)]),
        (Z, &[(500, f64::NAN)]),
        (Y, &[(2000, 9.5), (1000, stale_marker())]),
        (X, &[(4000, 4.0), (3000, 33.0)]),
    ];
    let mut all = want(series);
    all.insert((Labels::new(X.iter().copied()).to_string(), 3000), 33.0_f64.to_bits());
    for round in 0..3 {
        let accepted = push(&store, series);
        assert_eq!((accepted.refused.total(), accepted.new_series), (0, if round == 0 { 3 } else { 0 }));
        assert_eq!(read(&store), all);
        assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
        if round == 1 {
            store.write_block().unwrap();
        }
    }
    assert_eq!(store.stats().series, 3);
}

#[test]
fn late_samples_are_refused_and_counted_and_the_others_of_the_request_stored() {
    let store = open(&SimDisk::new());
    push(&store, &[(X, &[(10_000_000, 1.0)])]);
    let accepted = push(
        &store,
        &[(X, &[(10_000_000 - 3_600_001, 2.0), (10_000_000 - 3_600_000, 3.0)]), (Y, &[(10_000_001, 4.0)])],
    );
    assert_eq!((accepted.samples, accepted.refused.out_of_order), (2, 1));
    assert_eq!(read(&store).len(), 3);
    // Another target has a time of its own.
    assert_eq!(push(&store, &[(Z, &[(5, 1.0)])]).refused.total(), 0);
    assert_eq!(store.stats().out_of_order_total, 1);
}

#[test]
fn labels_that_are_no_series_are_refused_alone() {
    let store = open(&SimDisk::new());
    let long = "v".repeat(70_000);
    let bad: [&[(&str, &str)]; 5] = [
        &[],
        &[("a", "")],
        &[("__name__", "x"), ("a", "1"), ("a", "2")],
        &[("__name__", "x"), ("", "1")],
        &[("__name__", "x"), ("a", &long)],
    ];
    for labels in bad {
        let accepted = push(&store, &[(labels, &[(1, 1.0), (2, 2.0)]), (X, &[(1, 1.0)])]);
        assert_eq!((accepted.samples, accepted.refused.invalid), (1, 2), "{:?}", labels.first());
    }
    assert_eq!((store.stats().series, store.stats().invalid_total), (1, 10));
}

#[test]
fn a_source_that_floods_is_limited_alone_and_named() {
    let disk = SimDisk::new();
    let small = StoreConfig { source_series_max: 10, ..config() };
    let store = Store::open(Arc::new(disk), small).unwrap();
    let mut bad = store.appender(1, "flood");
    for i in 0..100 {
        put(&mut bad, &[("__name__", "bad"), ("i", &i.to_string())], &[(1, 1.0)]);
    }
    let accepted = bad.finish_durable().unwrap();
    assert_eq!((accepted.samples, accepted.refused.over_limit), (10, 90));
    assert_eq!(push(&store, &[(X, &[(1, 1.0)])]).refused.total(), 0);
    assert_eq!(store.stats().limited, [("flood".to_owned(), 90)]);
}

#[test]
fn a_full_queue_refuses_the_whole_request() {
    let disk = SimDisk::new();
    let store = Store::open(Arc::new(disk), StoreConfig { pending_max: 5, ..config() }).unwrap();
    let mut appender = store.appender(1, "test");
    put(&mut appender, X, &[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (6, 1.0)]);
    assert!(appender.finish().unwrap_err().is_full());
    assert_eq!(read(&store).len(), 0);
    assert_eq!(store.stats().full_total, 6);
}

fn histogram(n: u32) -> Histogram {
    Histogram {
        schema: 2,
        count: f64::from(n),
        sum: f64::from(n) * 0.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive: vec![f64::from(n), 1.0],
        ..Histogram::default()
    }
}

#[test]
fn histograms_go_through_log_head_blocks_and_merges() {
    let disk = SimDisk::new();
    let mut store = open(&disk);
    let mut expected = Vec::new();
    for i in 0..90_i64 {
        let mut appender = store.appender(2, "test");
        appender.series(b"h", X);
        appender.histogram(TimestampMs(i * 1000), histogram(i as u32));
        if i == 50 {
            appender.histogram(
                TimestampMs(i * 1000 + 1),
                Histogram { sum: stale_marker(), ..Histogram::default() },
            );
        }
        put(&mut appender, Y, &[(i * 1000, i as f64)]);
        let accepted = appender.finish_durable().unwrap();
        assert_eq!(accepted.refused.total(), 0);
        expected.push(i * 1000);
        if i == 50 {
            expected.push(i * 1000 + 1);
        }
        match i {
            30 | 60 => {
                store.write_block().unwrap();
            }
            70 => store = open(&disk.crash(Damage::DropUnsynced, 3)),
            80 => store.flush_all().unwrap(),
            _ => {}
        }
        let name = Matcher::new("__name__", MatchOp::Equal, "x").unwrap();
        let found = store.select(&[name], ALL.0, ALL.1, &SourceLimits::default()).unwrap();
        let times: Vec<i64> = found[0].histograms.iter().map(|h| h.at.0).collect();
        assert_eq!(times, expected, "after {i}");
        assert!(found[0].samples.is_empty());
        for h in &found[0].histograms {
            if h.at.0 % 1000 == 0 {
                assert_eq!(*h.histogram, histogram((h.at.0 / 1000) as u32));
            } else {
                assert!(wellkept_model::is_stale(h.histogram.sum));
            }
        }
    }
    assert_eq!(store.stats().blocks, 1);
    let mut appender = store.appender(2, "test");
    appender.series(b"h", X);
    appender.histogram(TimestampMs(1), Histogram { positive: vec![1.0], ..Histogram::default() });
    assert_eq!(appender.finish().unwrap().refused.invalid, 1, "spans do not fit the buckets");
}

#[test]
fn series_with_times_of_their_own_stay_small_and_come_back() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    let mut dice = wellkept_tsdb::sim::Dice(7);
    // Thirty hosts without a label that names their target, each with a clock of its own.
    for round in 0..100_i64 {
        let mut appender = store.appender(1, "test");
        for host in 0..30 {
            let at = round * 15_000 + host * 437 + dice.below(5) as i64;
            let host = host.to_string();
            for name in ["x", "y", "z"] {
                let labels = [("__name__", name), ("host", host.as_str())];
                put(&mut appender, &labels, &[(at, round as f64)]);
                all.extend(want(&[(&labels, &[(at, round as f64)])]));
            }
        }
        appender.finish().unwrap();
    }
    assert_eq!(read(&store), all);
    store.write_block().unwrap();
    assert_eq!(read(&store), all);
    let stats = store.stats();
    assert_eq!(stats.series, 90);
    let each = stats.block_bytes as f64 / 9000.0;
    assert!(each < 1.2, "{each} bytes for a sample");
    store.flush_all().unwrap();
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
}

#[test]
fn requests_upkeep_and_restarts_side_by_side_lose_nothing() {
    let disk = SimDisk::new();
    let store = Arc::new(open(&disk));
    std::thread::scope(|scope| {
        for target in ["a", "b", "c"] {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for i in 0..150_i64 {
                    let labels = [("__name__", "x"), ("instance", target)];
                    // Every third series lives only for a while: groups are made anew while requests use them.
                    let short = (i / 20).to_string();
                    let extra = [("__name__", "short"), ("instance", target), ("i", short.as_str())];
                    let accepted = push(
                        &store,
                        &[(&labels, &[(i * 1000, i as f64)]), (&extra, &[(i * 1000, i as f64)])],
                    );
                    assert_eq!(accepted.samples, 2);
                }
            });
        }
        for _ in 0..20 {
            store.write_block().unwrap();
            for (key, bits) in read(&store) {
                assert_eq!(f64::from_bits(bits), key.1 as f64 / 1000.0);
            }
        }
    });
    store.flush_all().unwrap();
    assert_eq!(read(&store).len(), 900);
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))).len(), 900);
}
