//! A changed byte gives the right answer or is named; never a wrong number, never a store that does not open.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Content, batch, content_of, open, read, try_read};
use wellkept_tsdb::sim::{Dice, SimDisk};
use wellkept_tsdb::{Store, StoreError};

/// A disk with a block and a log of several segments, and what is in it.
fn filled() -> (SimDisk, Content) {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut all = Content::new();
    let mut put = |store: &Store, range: std::ops::Range<i64>| {
        for i in range {
            let x = i as f64;
            let b = batch(i * 1000, ["a", "b"][i as usize % 2], &[("x", x), ("y", x.sin()), ("z", 7.0)]);
            store.append_durable(&b).unwrap();
            all.extend(content_of(&b));
        }
    };
    put(&store, 0..300);
    store.write_block().unwrap().unwrap();
    put(&store, 300..600);
    assert!(store.stats().segments > 2);
    drop(store);
    (disk, all)
}

fn is_part(found: &Content, all: &Content) -> bool {
    found.iter().all(|(key, bits)| all.get(key) == Some(bits))
}

/// Opens a damaged disk and checks that it says the truth or names the file.
fn check(disk: &SimDisk, all: &Content, file: &str, what: &str) {
    let store = match Store::open(std::sync::Arc::new(disk.clone()), common::config()) {
        Ok(store) => store,
        Err(e) => {
            assert!(
                matches!(&e, StoreError::NewerFormat { file: named, .. } if named == file),
                "{what}: {e}"
            );
            return;
        }
    };
    let stats = store.stats();
    let named = stats.quarantined.iter().chain(&stats.torn).any(|q| q.file == file);
    let found = read(&store);
    assert!(is_part(&found, all), "{what}: a wrong number");
    assert!(found == *all || named, "{what}: samples are gone and nothing says so: {:?}", stats.quarantined);
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_named() {
    let (disk, all) = filled();
    let mut dice = Dice(3);
    for file in disk.files() {
        let len = wellkept_tsdb::Disk::len(&disk, &file).unwrap() as usize;
        for round in 0..200_usize {
            // The first bytes all, the rest at random.
            let at = if round < 64 { round } else { dice.below(len) };
            if at >= len {
                continue;
            }
            let bit = dice.below(8);
            let hurt = disk.fork();
            hurt.corrupt(&file, |bytes| bytes[at] ^= 1 << bit);
            check(&hurt, &all, &file, &format!("{file}, bit {bit} of byte {at}"));
        }
    }
}

#[test]
fn a_zeroed_stretch_a_lost_end_and_a_copied_page_are_harmless_or_named() {
    let (disk, all) = filled();
    let mut dice = Dice(4);
    for file in disk.files() {
        let len = wellkept_tsdb::Disk::len(&disk, &file).unwrap() as usize;
        for _ in 0..60 {
            let (a, b, n) = (dice.below(len), dice.below(len), 1 + dice.below(300));
            let (zeroed, cut, copied) = (disk.fork(), disk.fork(), disk.fork());
            zeroed.corrupt(&file, |bytes| bytes[a..(a + n).min(len)].fill(0));
            check(&zeroed, &all, &file, &format!("{file}, zeros from {a}, {n} bytes"));
            cut.corrupt(&file, |bytes| bytes.truncate(a));
            // The end of the newest segment may be missing after any crash: it only has to be the truth.
            if Some(&file) != disk.files().iter().rfind(|f| f.starts_with("wal/")) {
                check(&cut, &all, &file, &format!("{file}, cut at {a}"));
            }
            copied.corrupt(&file, |bytes| bytes.copy_within(a..(a + n).min(len - b + a).min(len), b));
            check(&copied, &all, &file, &format!("{file}, {n} bytes from {a} copied to {b}"));
        }
    }
}

#[test]
fn damage_in_the_middle_of_the_log_names_file_offset_and_time_and_the_rest_serves() {
    let (disk, all) = filled();
    let file = disk.files().into_iter().find(|f| f.starts_with("wal/")).unwrap();
    disk.corrupt(&file, |bytes| bytes[2000] ^= 4);
    let store = open(&disk);
    let found = read(&store);
    assert!(found.len() < all.len() && found.len() > all.len() - 200, "{} of {}", found.len(), all.len());
    let stats = store.stats();
    let damage = &stats.quarantined[0];
    assert!(damage.file == file && damage.offset <= 2000 && damage.offset + damage.len > 2000);
    let (from, to) = (damage.from.unwrap().0, damage.to.unwrap().0);
    for (key, _) in all.iter().filter(|(key, _)| !found.contains_key(*key)) {
        assert!((from..=to).contains(&key.1), "{key:?} is missing outside {from}..={to}");
    }
    // The damaged segment is kept as evidence when a block covers it.
    store.write_block().unwrap();
    assert!(disk.files().iter().any(|f| f.starts_with("quarantine/")), "{:?}", disk.files());
}

#[test]
fn damage_that_comes_while_the_store_is_open_is_an_error_once_and_then_set_aside() {
    let (disk, all) = filled();
    let store = open(&disk);
    let file = disk.files().into_iter().find(|f| f.starts_with("blocks/")).unwrap();
    disk.corrupt(&file, |bytes| bytes[400] ^= 1);
    let error = try_read(&store).unwrap_err();
    assert!(error.to_string().contains(&file), "{error}");
    let found = read(&store);
    assert!(found.len() < all.len() && is_part(&found, &all));
    assert_eq!(store.stats().quarantined.len(), 1);
}

#[test]
fn a_block_with_a_broken_index_is_moved_away_with_its_time_range() {
    let (disk, all) = filled();
    let file = disk.files().into_iter().find(|f| f.starts_with("blocks/")).unwrap();
    disk.corrupt(&file, |bytes| {
        let at = bytes.len() - 30;
        bytes[at] ^= 1;
    });
    let store = open(&disk);
    assert!(is_part(&read(&store), &all));
    let damage = &store.stats().quarantined[0];
    assert_eq!((damage.from.unwrap().0, damage.to.unwrap().0), (0, 299_000));
    assert!(!disk.files().contains(&file));
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let (disk, _) = filled();
    let line = "wellkept-tsdb 3";
    disk.corrupt("FORMAT", |bytes| {
        *bytes = format!("{line}\ncrc32 {:08x}\n", crc32fast_of(line.as_bytes())).into_bytes();
    });
    let error = Store::open(std::sync::Arc::new(disk.clone()), common::config()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "FORMAT has format version 3; this program reads up to 2; use the newer program"
    );
}

#[test]
fn a_block_or_segment_of_a_newer_version_is_refused_and_not_set_aside() {
    for folder in ["blocks/", "wal/"] {
        let (disk, _) = filled();
        let file = disk.files().into_iter().find(|f| f.starts_with(folder)).unwrap();
        let header = if folder == "wal/" { 32 } else { 56 };
        disk.corrupt(&file, |bytes| {
            bytes[6] = 3;
            let sum = crc32fast_of(&bytes[..header]);
            bytes[header..header + 4].copy_from_slice(&sum.to_le_bytes());
        });
        let error = Store::open(std::sync::Arc::new(disk.clone()), common::config()).unwrap_err();
        assert!(matches!(&error, StoreError::NewerFormat { file: f, .. } if *f == file), "{error}");
        assert!(disk.files().contains(&file));
    }
}

fn crc32fast_of(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
