//! What users of the store rely on, on the simulated and on the real disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use common::{Content, batch, config, content_of, open, read};
use wellkept_model::{MatchOp, Matcher, SeriesSource, SourceError, SourceLimits, TimestampMs, stale_marker};
use wellkept_tsdb::sim::{Damage, SimDisk};
use wellkept_tsdb::{OsDisk, Store, StoreError};

const ALL: (TimestampMs, TimestampMs) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));

#[test]
fn a_full_disk_refuses_and_resumes_by_itself() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    let b = batch(1000, "a", &[("x", 1.0)]);
    store.append_durable(&b).unwrap();
    all.extend(content_of(&b));
    disk.fail_from(0, ErrorKind::StorageFull);
    let b = batch(2000, "a", &[("x", 2.0)]);
    for _ in 0..5 {
        let error = store.append_durable(&b).unwrap_err();
        assert!(error.is_full(), "{error}");
        assert!(store.write_block().unwrap_err().is_full());
    }
    // Queries work, and see what waits.
    assert_eq!(read(&store).len(), 2);
    assert_eq!(read(&open(&disk.crash(Damage::NamesLost, 1))), all);
    disk.heal();
    store.commit().unwrap();
    assert_eq!(store.stats().pending_samples, 0);
    all.extend(content_of(&b));
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
    store.write_block().unwrap();
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
}

#[test]
fn what_waits_for_a_full_disk_is_bounded() {
    let disk = SimDisk::new();
    let small = wellkept_tsdb::StoreConfig { pending_max: 10, ..config() };
    let store = Store::open(Arc::new(disk.clone()), small).unwrap();
    disk.fail_from(0, ErrorKind::StorageFull);
    let results: Vec<_> =
        (0..20).map(|i| store.append(&batch(i, "a", &[("x", 1.0)])).map_err(|e| e.is_full())).collect();
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 10);
    assert!(results.iter().all(|r| !matches!(r, Err(false))));
    assert_eq!(store.stats().full_total, 10);
    disk.heal();
    store.commit().unwrap();
    assert!(store.append(&batch(100, "a", &[("x", 1.0)])).is_ok());
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged_from_that_file() {
    // The simulated disk loses for good what a failed sync was to write, as Linux does.
    for fail_after in 0..6 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let mut all = Content::new();
        for i in 0..10_i64 {
            if i == 5 {
                disk.fail_from(disk.ops() + fail_after, ErrorKind::Other);
            }
            let b = batch(i * 1000, "a", &[("x", i as f64)]);
            if store.append_durable(&b).is_err() {
                disk.heal();
                store.commit().unwrap();
            }
            all.extend(content_of(&b));
            assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all, "{fail_after}, batch {i}");
        }
    }
}

#[test]
fn a_block_that_cannot_be_written_leaves_all_samples_and_works_later() {
    for fail_after in 1..12 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let mut all = Content::new();
        for i in 0..50_i64 {
            let b = batch(i * 1000, "a", &[("x", i as f64)]);
            store.append_durable(&b).unwrap();
            all.extend(content_of(&b));
        }
        disk.fail_from(disk.ops() + fail_after, ErrorKind::Other);
        let _ = store.write_block();
        assert_eq!(read(&store), all);
        disk.heal();
        assert_eq!(read(&open(&disk.crash(Damage::Torn, 1))), all);
        let b = batch(60_000, "a", &[("x", 1.0)]);
        store.append_durable(&b).unwrap();
        all.extend(content_of(&b));
        store.write_block().unwrap();
        store.write_block().unwrap();
        assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all, "failed {fail_after} calls on");
        assert_eq!(store.stats().head_samples, 0);
    }
}

#[test]
fn the_real_disk_gives_back_what_was_stored_after_a_drop_without_close() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(Arc::new(OsDisk::new(dir.path())), config());
    let mut all = Content::new();
    let store = open().unwrap();
    for i in 0..500_i64 {
        let b = batch(i * 1000, "a", &[("x", i as f64), ("y", f64::NAN), ("z", stale_marker())]);
        store.append(&b).unwrap();
        all.extend(content_of(&b));
        if i % 100 == 0 {
            store.commit().unwrap();
        }
        if i == 250 {
            store.write_block().unwrap().unwrap();
        }
    }
    store.commit().unwrap();
    assert_eq!(read(&store), all);
    drop(store);
    let store = open().unwrap();
    assert_eq!(read(&store), all);
    let stats = store.stats();
    assert_eq!((stats.blocks, stats.series, stats.quarantined_total), (1, 3, 0));
}

#[test]
fn a_directory_is_open_in_one_place_only() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(Arc::new(OsDisk::new(dir.path())), config());
    let store = open().unwrap();
    assert!(matches!(open().unwrap_err(), StoreError::Locked { .. }));
    drop(store);
    assert!(open().is_ok());
}

#[test]
fn the_head_becomes_a_block_after_its_span_and_the_log_goes() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    for second in 0..61_i64 {
        let b = batch(second * 1000, "a", &[("x", second as f64)]);
        store.append_durable(&b).unwrap();
        all.extend(content_of(&b));
        let done = store.maintain(TimestampMs(second * 1000)).unwrap();
        assert_eq!(done.written.is_some(), second == 60, "second {second}");
    }
    let stats = store.stats();
    assert_eq!((stats.blocks, stats.segments, stats.head_samples), (1, 0, 0));
    assert_eq!(read(&store), all);
}

#[test]
fn a_block_goes_when_all_of_it_is_older_than_the_retention() {
    let disk = SimDisk::new();
    let store = open(&disk);
    for i in 0..10_i64 {
        let b = batch(i * 1000, "a", &[("old", 1.0)]);
        store.append_durable(&b).unwrap();
    }
    store.write_block().unwrap();
    let keeps = |now: i64| {
        store.maintain(TimestampMs(now)).unwrap();
        store.stats().blocks == 1
    };
    let mut now = 0;
    while now < 3_609_000 {
        assert!(keeps(now), "at {now}");
        now += 600_000;
    }
    assert!(keeps(3_609_000));
    assert!(!keeps(3_609_001));
    assert!(store.label_names().is_empty(), "its series are forgotten");
    assert!(disk.files().iter().all(|f| !f.starts_with("blocks/")));
}

#[test]
fn a_clock_that_steps_by_a_day_neither_deletes_nor_refuses() {
    const DAY: i64 = 86_400_000;
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    let times = [DAY, DAY + 1000, 2 * DAY + 2000, 2 * DAY + 3000, DAY + 4000, DAY + 5000];
    for at in times {
        let b = batch(at, "a", &[("x", at as f64)]);
        store.append_durable(&b).unwrap();
        all.extend(content_of(&b));
        store.maintain(TimestampMs(at)).unwrap();
    }
    assert_eq!(read(&store), all);
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), all);
}

#[test]
fn a_batch_far_out_of_order_is_refused_by_type_and_counted() {
    let store = open(&SimDisk::new());
    store.append(&batch(100 * 3_600_000, "a", &[("x", 1.0)])).unwrap();
    let error = store.append(&batch(0, "a", &[("x", 1.0), ("y", 1.0)])).unwrap_err();
    assert!(matches!(error, StoreError::OutOfOrder { .. }), "{error}");
    assert_eq!(store.stats().out_of_order_total, 2);
    // Another target has a clock of its own.
    store.append(&batch(0, "b", &[("x", 1.0)])).unwrap();
}

#[test]
fn the_last_write_of_an_instant_wins_also_over_a_block() {
    let disk = SimDisk::new();
    let store = open(&disk);
    for value in [1.0, 2.0] {
        store.append(&batch(5000, "a", &[("x", value)])).unwrap();
    }
    store.write_block().unwrap();
    store.append_durable(&batch(5000, "a", &[("x", 3.0)])).unwrap();
    let want: Content = content_of(&batch(5000, "a", &[("x", 3.0)])).collect();
    assert_eq!(read(&store), want);
    store.write_block().unwrap();
    assert_eq!(read(&store), want);
    assert_eq!(read(&open(&disk.fork())), want);
}

#[test]
fn a_selection_takes_matchers_range_and_limits() {
    let store = open(&SimDisk::new());
    for i in 0..700_i64 {
        for target in ["a", "b"] {
            store.append(&batch(i * 1000, target, &[("x", i as f64), ("y", 1.0)])).unwrap();
        }
        if i == 300 {
            store.write_block().unwrap();
        }
    }
    let m = |name: &str, op, value: &str| Matcher::new(name, op, value).unwrap();
    let limits = SourceLimits::default();
    let (from, to) = (TimestampMs(299_500), TimestampMs(302_000));
    let matchers = [m("__name__", MatchOp::Equal, "x"), m("instance", MatchOp::Regex, "b|c")];
    let got = store.select(&matchers, from, to, &limits).unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].labels.to_string(), r#"x{instance="b"}"#);
    let times: Vec<i64> = got[0].samples.iter().map(|s| s.at.0).collect();
    assert_eq!(times, [300_000, 301_000, 302_000]);
    assert_eq!(store.series(&matchers, from, to, &limits).unwrap(), [got[0].labels.clone()]);
    assert!(store.series(&matchers, TimestampMs(700_000), ALL.1, &limits).unwrap().is_empty());
    assert!(store.select(&matchers, TimestampMs(300_100), TimestampMs(300_900), &limits).unwrap().is_empty());
    assert_eq!(store.label_names(), ["__name__", "instance"]);
    assert_eq!(store.label_values("instance"), ["a", "b"]);
    let few = |series, samples| SourceLimits { series, samples, ..limits };
    let too_much = |l| matches!(store.select(&[], ALL.0, ALL.1, &l), Err(SourceError::TooMuch { .. }));
    assert!(too_much(few(3, 10_000)) && too_much(few(4, 2799)));
    assert!(!too_much(few(4, 2800)));
    assert!(too_much(SourceLimits { time: Duration::ZERO, ..limits }));
}

#[test]
fn writers_readers_and_upkeep_run_side_by_side() {
    let disk = SimDisk::new();
    let store = Arc::new(open(&disk));
    std::thread::scope(|scope| {
        for target in ["a", "b", "c"] {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for i in 0..200_i64 {
                    store.append_durable(&batch(i * 1000, target, &[("x", i as f64)])).unwrap();
                }
            });
        }
        for _ in 0..10 {
            store.write_block().unwrap();
            for (key, bits) in read(&store) {
                assert_eq!(f64::from_bits(bits), key.1 as f64 / 1000.0);
            }
        }
    });
    assert_eq!(read(&store).len(), 600);
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))).len(), 600);
}
