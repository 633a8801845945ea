//! Power is cut at every operation of a workload, under four damages; what was acknowledged must be there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::{Content, batch, content_of, open, read};
use wellkept_model::{Batch, Histogram, MatchOp, Matcher, SeriesSource, Sink, SourceLimits, TimestampMs};
use wellkept_tsdb::sim::{Damage, Dice, SimDisk};
use wellkept_tsdb::{Store, StoreConfig};

/// What may be found after a crash, built while the workload runs.
#[derive(Default)]
struct Model {
    /// Values ever written, by sample: a sample that was overwritten may have either.
    written: BTreeMap<(String, i64), BTreeSet<u64>>,
    /// Appended and not acknowledged.
    waiting: Content,
    /// Acknowledged samples with the values that they may have from then on, with the operation that acknowledged.
    acknowledged: Vec<(u64, (String, i64))>,
    /// Retention calls: operation at which they began, and the oldest time that they keep.
    removed: Vec<(u64, i64)>,
}

impl Model {
    fn append(&mut self, batch: &Batch) {
        for (key, bits) in content_of(batch) {
            self.written.entry(key.clone()).or_default().insert(bits);
            self.waiting.insert(key, bits);
        }
    }

    fn acknowledge(&mut self, op: u64) {
        self.acknowledged.extend(std::mem::take(&mut self.waiting).into_keys().map(|k| (op, k)));
    }

    fn check(&self, op: u64, found: &Content, name: &str) {
        for (key, bits) in found {
            let known = self.written.get(key).is_some_and(|values| values.contains(bits));
            assert!(known, "{name}: {key:?} = {bits:#x} was never written");
        }
        let horizon = self.removed.iter().filter(|r| r.0 <= op).map(|r| r.1).max().unwrap_or(i64::MIN);
        for (at, key) in &self.acknowledged {
            if *at <= op && key.1 >= horizon {
                assert!(found.contains_key(key), "{name}: {key:?} was acknowledged at {at} and is lost");
            }
        }
    }
}

/// Appends, late rows, commits, blocks, retention and a restart, as a seed has it.
fn run(disk: &SimDisk, seed: u64) -> Model {
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut store = open(disk);
    for step in 0..60_i64 {
        let now = step * 10_000;
        let target = ["a", "b"][dice.below(2)];
        let late = if dice.below(8) == 0 { 15_000 } else { 0 };
        let names = ["x", "y", "z"];
        let mut samples: Vec<(&str, f64)> = Vec::new();
        for name in names.iter().take(1 + dice.below(3)) {
            let value = if dice.coin() { step as f64 } else { f64::from_bits(dice.roll()) };
            samples.push((name, value));
        }
        let b = batch(now - late, target, &samples);
        store.append(&b).unwrap();
        model.append(&b);
        if dice.below(3) > 0 {
            store.commit().unwrap();
            model.acknowledge(disk.ops());
        }
        if dice.below(6) == 0 {
            model.removed.push((disk.ops(), now - 3_600_000));
            store.maintain(TimestampMs(now)).unwrap();
        }
        if step == 20 + seed as i64 % 20 {
            drop(store);
            // What was only appended goes with the process; it was never acknowledged.
            model.waiting.clear();
            store = open(disk);
        }
    }
    // Far later: blocks expire. The clock's step is only believed a day and an hour after it was seen.
    for now in (60..=112).map(|half_hours| half_hours * 1_800_000_i64) {
        model.removed.push((disk.ops(), now - 3_600_000));
        let done = store.maintain(TimestampMs(now)).unwrap();
        assert_eq!(done.held, now < 55 * 3_600_000, "at {now}");
    }
    assert_eq!(store.stats().blocks, 0, "all of it has expired");
    let b = batch(56 * 3_600_000, "a", &[("x", 1.0)]);
    store.append_durable(&b).unwrap();
    model.append(&b);
    model.acknowledge(disk.ops());
    model
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_invented_wherever_power_is_cut() {
    let mut states = 0;
    for seed in 1..=12_u64 {
        let disk = SimDisk::new();
        disk.record();
        let model = run(&disk, seed);
        for (i, cut) in disk.recorded().iter().enumerate() {
            let op = i as u64 + 1;
            for damage in Damage::ALL {
                let name = format!("seed {seed}, operation {op}, {damage:?}");
                let after = cut.crash(damage, seed ^ op);
                let store = open(&after);
                model.check(op, &read(&store), &name);
                states += 1;
                // The store must be usable, and a second start must find the same.
                if states % 7 == 0 {
                    let mut b = batch(57 * 3_600_000, "a", &[("x", 2.0)]);
                    store.append_durable(&b).unwrap();
                    let before = read(&store);
                    drop(store);
                    let store = open(&after.crash(Damage::DropUnsynced, 0));
                    assert_eq!(read(&store), before, "{name}: a second start differs");
                    b.at = TimestampMs(b.at.0 + 1);
                    store.append_durable(&b).unwrap();
                    store.write_block().unwrap();
                }
            }
        }
    }
    assert!(states > 5000, "only {states} states");
}

/// Pushed series with floats and histograms, merged blocks, days of rows, flushes.
fn run_long(disk: &SimDisk, seed: u64) -> (Model, BTreeSet<(u64, i64)>) {
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut histograms = BTreeSet::new();
    let store = open_long(disk);
    for step in 0..56_i64 {
        let now = step * 3_600_000;
        let mut appender = store.appender(1, "crash");
        let b =
            batch(now, ["a", "b"][dice.below(2)], &[("x", step as f64), ("y", f64::from_bits(dice.roll()))]);
        for (labels, value) in &b.samples {
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            appender.series(labels.packed().as_bytes(), &pairs);
            appender.float(b.at, *value);
        }
        appender.series(b"h", &[("__name__", "h"), ("instance", "a")]);
        appender.histogram(b.at, Histogram { count: step as f64, ..Histogram::default() });
        appender.finish_durable().unwrap();
        model.append(&b);
        model.acknowledge(disk.ops());
        histograms.insert((disk.ops(), now));
        match dice.below(5) {
            0 => store.flush_all().unwrap(),
            1 => {
                store.write_block().unwrap();
            }
            _ => {}
        }
        store.maintain(TimestampMs(now)).unwrap();
    }
    assert!(store.blocks().iter().any(|b| b.resolution_ms > 0), "days of rows were made");
    (model, histograms)
}

fn open_long(disk: &SimDisk) -> Store {
    let config = StoreConfig {
        block_span: Duration::from_secs(2 * 3600),
        retention: Duration::from_secs(900 * 86_400),
        merge_spans: vec![Duration::from_secs(8 * 3600), Duration::from_secs(86_400)],
        consolidate: StoreConfig::default().consolidate,
        ..common::config()
    };
    Store::open(Arc::new(disk.clone()), config).unwrap()
}

#[test]
fn pushes_merges_and_days_of_rows_survive_a_cut_at_every_operation() {
    let mut states = 0;
    for seed in 1..=2_u64 {
        let disk = SimDisk::new();
        disk.record();
        let (model, histograms) = run_long(&disk, seed);
        for (i, cut) in disk.recorded().iter().enumerate() {
            let op = i as u64 + 1;
            for damage in Damage::ALL {
                let name = format!("seed {seed}, operation {op}, {damage:?}");
                let after = cut.crash(damage, seed ^ op);
                let store = open_long(&after);
                // Holes in what was never synced look like damage; a clean cut does not.
                if damage == Damage::DropUnsynced {
                    assert_eq!(store.stats().quarantined, [], "{name}");
                }
                let h = Matcher::new("__name__", MatchOp::Equal, "h").unwrap();
                let (from, to) = (TimestampMs(i64::MIN), TimestampMs(i64::MAX));
                let found = store.select(&[h], from, to, &SourceLimits::default()).unwrap();
                let times: BTreeSet<i64> =
                    found.iter().flat_map(|s| s.histograms.iter().map(|h| h.at.0)).collect();
                for (at, time) in &histograms {
                    assert!(*at > op || times.contains(time), "{name}: the histogram at {time} is lost");
                }
                model.check(op, &read(&store), &name);
                states += 1;
            }
        }
    }
    assert!(states > 2000, "only {states} states");
}

#[test]
fn a_process_that_ends_without_closing_keeps_even_what_was_only_written() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let b = batch(1000, "a", &[("x", 1.0), ("y", -0.0)]);
    store.append_durable(&b).unwrap();
    let other = open(&disk.fork());
    assert_eq!(read(&other), content_of(&b).collect());
}

#[test]
fn what_a_start_has_shown_is_on_disk_with_the_next_acknowledgement() {
    let disk = SimDisk::new();
    let store = open(&disk);
    disk.record();
    store.append_durable(&batch(1000, "a", &[("x", 1.0)])).unwrap();
    store.append_durable(&batch(2000, "a", &[("x", 2.0)])).unwrap();
    let mut shown = 0;
    for killed in disk.recorded() {
        // The process was killed between write and sync: the file has the bytes, the disk not yet.
        let after = killed.fork();
        let store = open(&after);
        let mut want = read(&store);
        shown = shown.max(want.len());
        let b = batch(3000, "a", &[("x", 3.0)]);
        store.append_durable(&b).unwrap();
        want.extend(content_of(&b));
        let store = open(&after.crash(Damage::DropUnsynced, 0));
        assert_eq!(read(&store), want);
        assert_eq!(store.stats().quarantined, []);
    }
    assert_eq!(shown, 2);
}

#[test]
fn a_log_cut_at_any_byte_gives_all_whole_batches_before_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut ends = vec![(0, Content::new())];
    let mut all = Content::new();
    for i in 0..8_i64 {
        let b = batch(i * 1000, "a", &[("x", i as f64), ("y", 0.1 * i as f64)]);
        store.append_durable(&b).unwrap();
        all.extend(content_of(&b));
        ends.push((store.stats().log_bytes as usize, all.clone()));
    }
    let name = disk.files().into_iter().find(|f| f.starts_with("wal/")).unwrap();
    let whole = ends.last().unwrap().0;
    for len in 0..=whole {
        let cut = disk.fork();
        cut.corrupt(&name, |bytes| bytes.truncate(len));
        let want = &ends.iter().rev().find(|(end, _)| *end <= len).unwrap().1;
        let store = open(&cut);
        assert_eq!(read(&store), *want, "cut at byte {len}");
        assert_eq!(store.stats().quarantined_total, 0, "a torn end is no damage");
        let b = batch(90_000, "a", &[("x", 9.0)]);
        store.append_durable(&b).unwrap();
        drop(store);
        let mut want = want.clone();
        want.extend(content_of(&b));
        assert_eq!(read(&open(&cut)), want, "after another start, cut at byte {len}");
    }
}
