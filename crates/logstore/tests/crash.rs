//! Power cuts and failing disks: what was acknowledged is there, once; notes are as old as their lines.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io;

use common::{SECOND, batch, find, open, texts};
use wellkept_logstore::LogStore;
use wellkept_tsdb::sim::{Damage, SimDisk};

/// Batches of five lines with a note each, a segment now and then. Gives what was acknowledged, as operations of the
/// disk and batches.
fn work(store: &LogStore, disk: &SimDisk, batches: i64) -> Vec<(u64, i64)> {
    let mut acknowledged = Vec::new();
    for n in 0..batches {
        let lines: Vec<String> = (0..5).map(|i| format!("batch {n} line {i} took {}ms", n * 7 + i)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut taken = batch("app", n * 10, &lines);
        assert!(taken.note("file/a", format!("{n}").as_bytes()));
        store.append_durable(&taken).unwrap();
        acknowledged.push((disk.ops(), n));
        if n % 4 == 3 {
            store.flush(n * 10 * SECOND).unwrap();
        }
    }
    acknowledged
}

/// Batches that are wholly there; asserts that none is there in part or twice, and that the note is the last one's.
fn batches_in(store: &LogStore) -> Vec<i64> {
    let lines = texts(&find(store, "{}"));
    let mut found = Vec::new();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        found.push((words[1].parse::<i64>().unwrap(), words[3].parse::<i64>().unwrap()));
    }
    let numbers: Vec<i64> = found.iter().filter(|f| f.1 == 0).map(|f| f.0).collect();
    let whole: Vec<(i64, i64)> = numbers.iter().flat_map(|&n| (0..5).map(move |i| (n, i))).collect();
    assert_eq!(found, whole, "every batch is there whole and once");
    let note = store.note("file/a").map(|v| String::from_utf8(v).unwrap().parse::<i64>().unwrap());
    assert_eq!(note, numbers.last().copied(), "the note is that of the last batch");
    numbers
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    disk.record();
    let start = disk.ops();
    let acknowledged = work(&store, &disk, 14);
    drop(store);
    let states = disk.recorded();
    assert!(states.len() > 60);
    for (state, op) in states.iter().zip(start + 1..) {
        let must = acknowledged.iter().filter(|(at, _)| *at <= op).map(|(_, n)| *n).collect::<Vec<_>>();
        for damage in Damage::ALL {
            for seed in 0..3 {
                let store = open(state.crash(damage, seed));
                let found = batches_in(&store);
                assert!(found.starts_with(&must), "{damage:?} after {op}: {found:?} has not {must:?}");
                assert_eq!(store.stats().set_aside, [], "{damage:?} after {op}");
                // And it goes on.
                let last = found.last().copied().unwrap_or(-1) + 1;
                let mut next = batch("app", last * 10, &[""; 0]);
                let lines: Vec<String> = (0..5).map(|i| format!("batch {last} line {i} took 1ms")).collect();
                for (line, i) in lines.iter().zip(0..) {
                    let labels = common::stream("app");
                    next.push(&wellkept_model::LogLine {
                        at_ns: (last * 10 + i) * SECOND,
                        labels: &labels,
                        level: None,
                        text: line.as_bytes(),
                        fields: &[],
                    });
                }
                next.note("file/a", format!("{last}").as_bytes());
                store.append_durable(&next).unwrap();
                assert_eq!(batches_in(&store).len(), found.len() + 1);
            }
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_operation_costs_nothing_once_it_works_again() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        for fail_at in 0..45 {
            let disk = SimDisk::new();
            let store = open(disk.clone());
            disk.fail_from(disk.ops() + fail_at, kind);
            let mut acknowledged = Vec::new();
            let mut taken = Vec::new();
            for n in 0..12 {
                let lines: Vec<String> = (0..5).map(|i| format!("batch {n} line {i} x")).collect();
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let mut next = batch("app", n * 10, &lines);
                next.note("file/a", format!("{n}").as_bytes());
                if let Ok(ticket) = store.append(&next) {
                    taken.push(n);
                    if store.wait_durable(ticket).is_ok() {
                        acknowledged = taken.clone();
                    }
                }
                if n % 4 == 3 {
                    let _ = store.flush(n * 10 * SECOND);
                }
                if n == 8 {
                    disk.heal();
                }
            }
            store.commit().unwrap();
            assert_eq!(batches_in(&store), taken, "all are served, {kind:?} at {fail_at}");
            let after = open(disk.crash(Damage::DropUnsynced, 1));
            assert!(batches_in(&after).starts_with(&acknowledged));
            assert_eq!(batches_in(&after), taken, "all were written in the end, {kind:?} at {fail_at}");
        }
    }
}

#[test]
fn a_flipped_bit_costs_one_part_that_is_named_and_the_rest_serves() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    work(&store, &disk, 12);
    drop(store);
    for file in disk.files() {
        if !file.ends_with(".seg") && !file.ends_with(".log") {
            continue;
        }
        let len = wellkept_tsdb::Disk::len(&disk, &file).unwrap();
        for at in (0..len).step_by(if len > 400 { 11 } else { 1 }) {
            let broken = disk.fork();
            broken.corrupt(&file, |bytes| bytes[at as usize] ^= 0x10);
            let store = open(broken);
            let lines = texts(&find(&store, "{}"));
            let stats = store.stats();
            let is_whole = lines.len() == 60;
            let is_named = stats.set_aside.iter().chain(&stats.torn).any(|d| d.file == file);
            assert!(is_whole || is_named, "{file} at {at}: {} lines, {stats:?}", lines.len());
            // Segments hold twenty lines each, a log file at most twenty.
            assert!(lines.len() >= 40, "{file} at {at}: {} lines", lines.len());
            assert!(lines.iter().all(|l| l.starts_with("batch ") && l.ends_with("ms")), "{file} at {at}");
        }
    }
}

#[test]
fn a_torn_end_of_the_log_is_cut_and_what_was_before_survives() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    store.append_durable(&batch("app", 0, &["first"])).unwrap();
    let file = disk.files().into_iter().find(|f| f.ends_with(".log")).unwrap();
    let good = wellkept_tsdb::Disk::len(&disk, &file).unwrap();
    store.append_durable(&batch("app", 1, &["second"])).unwrap();
    drop(store);
    let len = wellkept_tsdb::Disk::len(&disk, &file).unwrap();
    for cut in good..len {
        let torn = disk.fork();
        torn.corrupt(&file, |bytes| bytes.truncate(cut as usize));
        let store = open(torn);
        assert_eq!(texts(&find(&store, "{}")), ["first"], "cut at {cut}");
        assert_eq!(store.stats().torn.len(), usize::from(cut > good), "cut at {cut}");
    }
}

#[test]
fn a_second_process_is_refused_and_a_newer_format_is_left_alone() {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    let refused = common::open_with(disk.clone(), Default::default()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(store);
    disk.corrupt("FORMAT", |bytes| {
        let line = "wellkept-logstore 9";
        let mut sum = crc32fast::Hasher::new();
        sum.update(line.as_bytes());
        *bytes = format!("{line}\ncrc32 {:08x}\n", sum.finalize()).into_bytes();
    });
    let refused = common::open_with(disk, Default::default()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("newer program"), "{refused}");
}
