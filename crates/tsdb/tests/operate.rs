//! What the keeper of a store does: snapshot, verify, repair, export, import, counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use common::{Content, batch, config, content_of, open, read};
use wellkept_model::{SeriesData, TimestampMs};
use wellkept_tsdb::sim::{Damage, SimDisk};
use wellkept_tsdb::{OsDisk, Store, StoreError};

/// A block, two of them merged, and a head.
fn filled(store: &Store) -> Content {
    let mut all = Content::new();
    for i in 0..400_i64 {
        let b = batch(i * 1000, ["a", "b"][(i % 2) as usize], &[("x", i as f64), ("y", (i as f64).sin())]);
        store.append(&b).unwrap();
        all.extend(content_of(&b));
        if i % 100 == 90 {
            store.maintain(TimestampMs(i * 1000)).unwrap();
            store.write_block().unwrap();
        }
    }
    store.commit().unwrap();
    all
}

#[test]
fn a_snapshot_is_a_store_of_its_own_and_the_first_goes_on() {
    let store = open(&SimDisk::new());
    let all = filled(&store);
    let copy = SimDisk::new();
    let snapshot = store.snapshot(&copy).unwrap();
    assert!(snapshot.files >= 3 && snapshot.bytes > 0 && snapshot.linked == 0, "{snapshot:?}");
    store.append_durable(&batch(500_000, "a", &[("x", 1.0)])).unwrap();
    store.flush_all().unwrap();
    assert_eq!(read(&open(&copy.crash(Damage::DropUnsynced, 1))), all);
    assert_eq!(read(&store).len(), all.len() + 1);
    assert!(matches!(store.snapshot(&copy).unwrap_err(), StoreError::NotEmpty { .. }));
}

#[test]
fn a_snapshot_on_one_file_system_is_links() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(Arc::new(OsDisk::new(from.path())), config()).unwrap();
    let all = filled(&store);
    let target = OsDisk::new(to.path().join("copy"));
    let snapshot = store.snapshot(&target).unwrap();
    assert_eq!(snapshot.linked, snapshot.files);
    // Whatever the first does with its files, the copy keeps its own.
    store.append_durable(&batch(500_000, "a", &[("x", 1.0)])).unwrap();
    store.flush_all().unwrap();
    drop(store);
    std::fs::remove_dir_all(from.path()).unwrap();
    assert_eq!(read(&Store::open(Arc::new(target), config()).unwrap()), all);
}

#[test]
fn a_snapshot_that_was_cut_off_is_no_store_of_half() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let all = filled(&store);
    for fail_after in 1..10 {
        let copy = SimDisk::new();
        copy.fail_from(fail_after, std::io::ErrorKind::Other);
        assert!(store.snapshot(&copy).is_err());
        assert!(!copy.files().contains(&"FORMAT".to_owned()));
        assert_eq!(read(&store), all);
    }
}

#[test]
fn verify_names_damage_and_repair_leaves_what_is_sound() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let all = filled(&store);
    assert_eq!(store.verify().unwrap(), []);
    let largest = store.blocks().into_iter().max_by_key(|b| b.bytes).unwrap();
    disk.corrupt(&largest.file, |bytes| bytes[200] ^= 4);
    let found = store.verify().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file, largest.file);
    let repaired = store.repair().unwrap();
    assert_eq!(repaired.len(), 1);
    assert_eq!(store.verify().unwrap(), []);
    let left = read(&store);
    assert!(left.len() < all.len() && left.iter().all(|(k, v)| all.get(k) == Some(v)));
    assert_eq!(store.set_aside_files().unwrap(), [largest.file.rsplit('/').next().unwrap()]);
    assert_eq!(read(&open(&disk.crash(Damage::DropUnsynced, 1))), left);
}

#[test]
fn what_is_exported_can_be_imported() {
    let store = open(&SimDisk::new());
    let all = filled(&store);
    let mut exported: Vec<SeriesData> = Vec::new();
    let take = |s| {
        exported.push(s);
        Ok::<_, Infallible>(())
    };
    store.export(&[], TimestampMs(i64::MIN), TimestampMs(i64::MAX), take).unwrap();
    assert!(exported.is_sorted_by(|a, b| a.labels < b.labels));
    let other = open(&SimDisk::new());
    // There is something newer already: an import may be of any age.
    other.append_durable(&batch(99_000_000, "a", &[("x", 1.0)])).unwrap();
    let (taken, refused) = other.import(exported).unwrap();
    assert_eq!((taken as usize, refused.total()), (all.len(), 0));
    let mut want = all;
    want.extend(content_of(&batch(99_000_000, "a", &[("x", 1.0)])));
    assert_eq!(read(&other), want);
}

#[test]
fn counts_say_where_series_come_from() {
    let store = open(&SimDisk::new());
    for i in 0..10 {
        store.append(&batch(i, &format!("t{i}"), &[("x", 1.0), ("y", 1.0)])).unwrap();
    }
    store.append(&batch(11, "t0", &[("z", 1.0)])).unwrap();
    let labels = store.top_labels(5);
    let names: Vec<_> = labels.iter().map(|l| (l.name.as_str(), l.values, l.series)).collect();
    assert_eq!(names, [("instance", 10, 21), ("__name__", 3, 21)]);
    let metrics = store.top_metrics(2);
    let names: Vec<_> = metrics.iter().map(|m| (m.name.as_str(), m.series)).collect();
    assert_eq!(names, [("x", 10), ("y", 10)]);
    let pairs = store.top_pairs(3);
    assert_eq!((pairs[2].value.as_str(), pairs[2].series), ("t0", 3));
    store.write_block().unwrap();
    store.append(&batch(20, "t0", &[("z", 1.0)])).unwrap();
    let growth: Vec<_> = store.growth().iter().map(|c| (c.from.0, c.to.0, c.series)).collect();
    assert_eq!(growth, [(0, 11, 21), (20, 20, 21)]);
}
