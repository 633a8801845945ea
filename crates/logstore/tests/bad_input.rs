//! What strangers send: stored byte for byte or counted, never a crash, in bounded memory.
#![allow(
    clippy::single_range_in_vec_init,
    clippy::reversed_empty_ranges,
    reason = "what a wrong miner would give"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::{SECOND, find, open, open_with, stream};
use wellkept_logstore::{LINE_MAX, LogBatch, LogStore, LogStoreConfig, SearchLimits, Stopped};
use wellkept_model::{Labels, LogLine, ParamKind, Shape, TemplateId, TemplateMiner};
use wellkept_tsdb::sim::SimDisk;

fn push(batch: &mut LogBatch, at_ns: i64, text: &[u8]) -> bool {
    let labels = stream("app");
    batch.push(&LogLine { at_ns, labels: &labels, level: None, text, fields: &[] })
}

/// In memory, in a segment, and after a start: the same bytes.
fn check(lines: &[(i64, &[u8])]) {
    let disk = SimDisk::new();
    let store = open(disk.clone());
    let mut batch = LogBatch::new();
    assert!(lines.iter().all(|(at, text)| push(&mut batch, *at, text)));
    store.append_durable(&batch).unwrap();
    let mut sorted = lines.to_vec();
    sorted.sort_by_key(|l| l.0);
    let is_there = |store: &LogStore| {
        let found = find(store, "{}");
        let found: Vec<(i64, &[u8])> = found.iter().map(|e| (e.at_ns, e.text.as_slice())).collect();
        assert!(found == sorted, "{} lines", found.len());
    };
    is_there(&store);
    let store = open(disk.fork());
    is_there(&store);
    store.flush(0).unwrap();
    is_there(&store);
    is_there(&open(disk.fork()));
}

#[test]
fn any_bytes_come_back_as_they_came() {
    check(&[
        (1, b"\0\0 nul \0"),
        (2, b"\xff\xfe not UTF-8 \x80"),
        (3, b"\x1b[31mred\x1b[0m \x1b]0;title\x07"),
        (4, "right to left \u{202e}gnorw\u{202c} and 日志".as_bytes()),
        (5, b""),
        (6, b"\r\n\ttrace\n  at a\n  at b\r\n"),
        (7, b"0000000000000000000000000000000000000000000000000001"),
        (8, b"99999999999999999999999999999999999 007 7 07"),
    ]);
}

#[test]
fn clocks_in_the_past_and_the_future_are_kept_as_they_are() {
    check(&[
        (i64::MIN, b"began before everything 1"),
        (-1, b"before 1970 2"),
        (0, b"zero 3"),
        (1_700_000_000 * SECOND, b"usual 4"),
        (i64::MAX - 1, b"far away 5"),
    ]);
}

#[test]
fn lines_of_ten_mebibytes_are_kept_and_longer_ones_than_the_limit_are_counted() {
    let mut long = vec![b'7'; 10 << 20];
    (0..1 << 16).for_each(|i: usize| long[i * 160] = (i / 32 * 31) as u8);
    check(&[(1, &long), (2, b"short")]);
    let mut batch = LogBatch::new();
    assert!(!push(&mut batch, 1, &vec![0; LINE_MAX + 1]));
    assert!(push(&mut batch, 1, b"kept"));
    let store = open(SimDisk::new());
    store.append(&batch).unwrap();
    assert_eq!((store.stats().too_large_total, store.stats().appended_total), (1, 1));
}

#[test]
fn too_many_fields_and_too_long_labels_are_refused() {
    let mut batch = LogBatch::new();
    let fields: Vec<(String, String)> = (0..300).map(|i| (format!("k{i}"), "v".to_owned())).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let labels = stream("app");
    assert!(!batch.push(&LogLine { at_ns: 0, labels: &labels, level: None, text: b"x", fields: &fields }));
    let labels = Labels::new([("a", "x".repeat(70_000))]);
    assert!(!batch.push(&LogLine { at_ns: 0, labels: &labels, level: None, text: b"x", fields: &[] }));
    assert!(!batch.note(&"k".repeat(5000), b"x"));
    assert_eq!(batch.refused(), 2);
}

#[test]
fn a_flood_of_streams_ends_where_the_batch_is_full() {
    let mut batch = LogBatch::new();
    let long = "x".repeat(60_000);
    let taken = (0..2000).filter(|i| {
        let labels = Labels::new([("n", i.to_string()), ("v", long.clone())]);
        batch.push(&LogLine { at_ns: 0, labels: &labels, level: None, text: b"x", fields: &[] })
    });
    let taken = taken.count();
    assert!(taken > 1000 && taken < 1200, "{taken}");
    assert!(batch.size() <= wellkept_logstore::BATCH_MAX && batch.refused() == 2000 - taken as u64);
}

#[test]
fn a_cursor_that_no_page_gave_says_that_lines_are_left_out() {
    let store = open(SimDisk::new());
    let mut batch = LogBatch::new();
    (0..9).for_each(|i| assert!(push(&mut batch, i, b"x")));
    store.append(&batch).unwrap();
    let cursor = Some(wellkept_logstore::Cursor { at_ns: 5, given: usize::MAX });
    let direction = wellkept_logstore::Direction::Forward;
    let range = wellkept_logstore::LogRange { from_ns: 0, to_ns: 99, direction, limit: 5, cursor };
    let page = store.search(&common::query("{}"), &range, SearchLimits::default());
    assert_eq!((page.lines.len(), page.stopped), (3, Some(Stopped::Lines)));
}

/// Every line is a template of its own.
struct EveryLine(u64);

impl TemplateMiner for EveryLine {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        params.clear();
        self.0 += 1;
        Arc::new(Shape { template: TemplateId(self.0), literals: vec![text.into()], kinds: Vec::new() })
    }
}

#[test]
fn a_million_templates_fill_the_bounded_head_and_no_more() {
    let config =
        LogStoreConfig { segment_bytes: 16 << 20, head_bytes_max: 24 << 20, ..LogStoreConfig::default() };
    let disk = SimDisk::new();
    let store = LogStore::open(Arc::new(disk), config, Box::new(EveryLine(0))).unwrap();
    let mut taken = 0;
    let mut most = 0;
    // A debug build has a tenth of the million to do.
    let total: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    for n in 0..total / 1000 {
        let mut batch = LogBatch::new();
        for i in 0..1000 {
            push(&mut batch, n as i64 * SECOND, format!("template {n} {i}").as_bytes());
        }
        store.append(&batch).unwrap();
        store.maintain(n as i64 * SECOND).unwrap();
        store.commit().unwrap();
        taken += batch.len();
        most = most.max(store.stats().head_bytes);
    }
    assert!(most < 24 << 20, "{most}");
    let (found, ..) =
        store.count(&common::query(r#"{} |= "template""#), i64::MIN, i64::MAX, SearchLimits::default());
    assert_eq!(found, taken as u64);
    let (found, ..) =
        store.count(&common::query(r#"{} |= "template 7 7""#), i64::MIN, i64::MAX, SearchLimits::default());
    assert_eq!(found, 1 + 10 + 100);
}

/// A miner that is wrong in all the ways there are.
struct Wrong(u64);

impl TemplateMiner for Wrong {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        self.0 += 1;
        let len = text.len() as u32;
        params.clear();
        params.extend(match self.0 % 5 {
            0 => vec![0..len + 7],
            1 => vec![3..1],
            2 => vec![0..1, 0..1],
            3 => Vec::new(),
            _ => vec![u32::MAX..u32::MAX],
        });
        let literals = vec![Box::default(), b"never there".as_slice().into()];
        Arc::new(Shape { template: TemplateId(1), literals, kinds: vec![ParamKind::Number; params.len()] })
    }
}

#[test]
fn a_miner_that_is_wrong_costs_compression_and_no_byte() {
    let disk = SimDisk::new();
    let store = LogStore::open(Arc::new(disk), LogStoreConfig::default(), Box::new(Wrong(0))).unwrap();
    let mut batch = LogBatch::new();
    for i in 0..50 {
        push(&mut batch, i, format!("line {i}").as_bytes());
    }
    store.append(&batch).unwrap();
    store.flush(0).unwrap();
    assert_eq!(common::texts(&find(&store, "{}")), (0..50).map(|i| format!("line {i}")).collect::<Vec<_>>());
    assert_eq!(store.stats().unsplit_total, 50);
}

#[test]
fn a_full_head_refuses_whole_batches_until_a_segment_is_made() {
    let config =
        LogStoreConfig { segment_bytes: 1 << 20, head_bytes_max: 1 << 20, ..LogStoreConfig::default() };
    let store = open_with(SimDisk::new(), config).unwrap();
    let mut batch = LogBatch::new();
    (0..2000).for_each(|i| assert!(push(&mut batch, i, format!("line {i} {}", "x".repeat(100)).as_bytes())));
    let mut taken = 0;
    let error = loop {
        match store.append(&batch) {
            Ok(_) => taken += 1,
            Err(e) => break e,
        }
    };
    assert!(taken > 0 && error.is_full(), "{error}");
    assert_eq!(store.stats().full_total, 2000);
    store.flush(0).unwrap();
    store.append(&batch).unwrap();
    assert_eq!(find(&store, r#"|= "line 1999 ""#).len(), taken + 1);
}

#[test]
fn every_limit_of_a_search_ends_it_and_is_named() {
    let store = open(SimDisk::new());
    let mut batch = LogBatch::new();
    (0..5000).for_each(|i| assert!(push(&mut batch, i, format!("line {i} {}", "x".repeat(100)).as_bytes())));
    store.append(&batch).unwrap();
    for flushed in [false, true] {
        if flushed {
            store.flush(0).unwrap();
        }
        let usual = SearchLimits::default();
        let stopped = |limits: SearchLimits<'_>| {
            let query = common::query(r#"{} |~ "line [0-9]+ x""#);
            store.count(&query, i64::MIN, i64::MAX, limits).1
        };
        assert_eq!(stopped(usual), None);
        assert_eq!(stopped(SearchLimits { bytes_max: 1000, ..usual }), Some(Stopped::Bytes));
        assert_eq!(stopped(SearchLimits { lines_max: 100, ..usual }), Some(Stopped::Lines));
        assert_eq!(stopped(SearchLimits { stop: &|| true, ..usual }), Some(Stopped::Caller));
        let range = wellkept_logstore::LogRange {
            from_ns: 0,
            to_ns: 9999,
            direction: wellkept_logstore::Direction::Forward,
            limit: 1000,
            cursor: None,
        };
        let page =
            store.search(&common::query("{}"), &range, SearchLimits { result_bytes_max: 10_000, ..usual });
        assert_eq!(page.stopped, Some(Stopped::ResultBytes));
        assert!(!page.lines.is_empty() && page.lines.len() < 100 && page.next.is_some());
    }
}
