//! Many at the same time: writers share syncs, searches see whole batches, upkeep goes on beside them.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use wellkept_logstore::SearchLimits;
use wellkept_tsdb::OsDisk;
use wellkept_tsdb::sim::SimDisk;

use common::{SECOND, batch, find, open, query, texts};

const WRITERS: i64 = 4;
const BATCHES: i64 = 40;

#[test]
fn writers_searches_and_upkeep_do_not_disturb_each_other() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..BATCHES {
                        let lines: Vec<String> =
                            (0..5).map(|i| format!("writer {writer} batch {n} line {i}")).collect();
                        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                        store.append_durable(&batch(&format!("s{writer}"), n * 5, &lines)).unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                store.flush(0).unwrap();
            }
        });
        scope.spawn(|| {
            let all = query("{}");
            let mut before = 0;
            while !is_done.load(Ordering::Acquire) {
                let (lines, stopped, _) = store.count(&all, i64::MIN, i64::MAX, SearchLimits::default());
                assert_eq!(stopped, None);
                assert_eq!(lines % 5, 0, "batches are seen whole");
                assert!(lines >= before, "nothing vanishes: {lines} after {before}");
                before = lines;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
    for store in [store, open(disk.fork())] {
        for writer in 0..WRITERS {
            let found = texts(&find(&store, &format!(r#"{{service="s{writer}"}}"#)));
            let wanted =
                (0..BATCHES).flat_map(|n| (0..5).map(move |i| format!("writer {writer} batch {n} line {i}")));
            assert_eq!(found, wanted.collect::<Vec<_>>());
        }
        assert_eq!(store.stats().set_aside_total, 0);
    }
}

#[test]
fn one_sync_makes_all_waiting_batches_durable() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    store.append_durable(&batch("app", 0, &["begins the file"])).unwrap();
    let before = disk.ops();
    let tickets: Vec<_> = (0..50).map(|n| store.append(&batch("app", n, &["x"])).unwrap()).collect();
    let last = store.commit().unwrap();
    assert_eq!(Some(&last), tickets.last());
    tickets.into_iter().for_each(|t| store.wait_durable(t).unwrap());
    assert_eq!(disk.ops() - before, 2, "one write and one sync");
}

/// Files as version 1 wrote them: later programs must read them.
#[test]
fn files_of_version_1_are_read() {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let dir = tempfile::tempdir().unwrap();
    for part in ["wal", "segments"] {
        std::fs::create_dir_all(dir.path().join(part)).unwrap();
        for entry in std::fs::read_dir(from.join(part)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(from.join("FORMAT"), dir.path().join("FORMAT")).unwrap();
    let store = open(OsDisk::new(dir.path()));
    assert_eq!(texts(&find(&store, "{}")), fixture_lines());
    assert_eq!(find(&store, r#"{service="app"} | level="error" |= "user u3 ""#).len(), 4);
    assert_eq!(store.note("tail/app"), Some(b"offset 7".to_vec()));
    assert_eq!((store.stats().segments, store.stats().head_lines), (1, 40));
}

fn fixture_lines() -> Vec<String> {
    let line = |i: i64| match i % 7 {
        0 => format!("error {} for user u{} from 10.0.0.{}", i * 33, i % 5, i % 5 * 10),
        1 => format!("1970-01-01 00:{:02}:{:02} tick", i / 60, i % 60),
        _ => format!(
            "request {i} took {}ms id {:08x}",
            i * 17 % 100,
            i.wrapping_mul(2_654_435_761) & 0xffff_ffff
        ),
    };
    (0..140).map(line).collect()
}

#[test]
#[ignore = "writes the fixture anew; only for a new version, into a new folder"]
fn write_fixture() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let store = open(OsDisk::new(dir));
    let lines = fixture_lines();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut first = batch("app", 0, &lines[..100]);
    assert!(first.note("tail/app", b"offset 7"));
    store.append_durable(&first).unwrap();
    store.flush(100 * SECOND).unwrap();
    store.append_durable(&batch("app", 100, &lines[100..])).unwrap();
}
