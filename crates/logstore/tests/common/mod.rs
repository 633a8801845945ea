//! What the scenarios share.
#![allow(dead_code, reason = "not every scenario uses everything")]

use std::ops::Range;
use std::sync::Arc;

use wellkept_logstore::query::{LineQuery, parse_lines};
use wellkept_logstore::{
    DigitMiner, Direction, LogBatch, LogEntry, LogRange, LogStore, LogStoreConfig, LogStoreError,
    SearchLimits,
};
use wellkept_model::{Labels, Level, LogLine, ParamKind, Shape, TemplateId, TemplateMiner};
use wellkept_tsdb::Disk;

/// One second in nanoseconds.
pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) fn open(disk: impl Disk + 'static) -> LogStore {
    open_with(disk, LogStoreConfig::default()).unwrap()
}

pub(crate) fn open_with(
    disk: impl Disk + 'static,
    config: LogStoreConfig,
) -> Result<LogStore, LogStoreError> {
    LogStore::open(Arc::new(disk), config, Box::new(DigitMiner::default()))
}

/// Every other word is a parameter, whatever it is made of.
#[derive(Debug, Default)]
pub(crate) struct WordMiner;

impl TemplateMiner for WordMiner {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        params.clear();
        let mut literals: Vec<Box<[u8]>> = Vec::new();
        let (mut at, mut literal) = (0, Vec::new());
        for (number, word) in text.split_inclusive(|b| *b == b' ').enumerate() {
            let end = at + word.len();
            let bare = word.strip_suffix(b" ").unwrap_or(word);
            if number % 2 == 1 {
                params.push(at as u32..(at + bare.len()) as u32);
                literals.push(std::mem::take(&mut literal).into());
                literal.extend_from_slice(&word[bare.len()..]);
            } else {
                literal.extend_from_slice(word);
            }
            at = end;
        }
        literals.push(literal.into());
        let id = literals.iter().flatten().fold(7, |h: u64, &b| h.wrapping_mul(31) ^ u64::from(b));
        Arc::new(Shape { template: TemplateId(id), literals, kinds: vec![ParamKind::Text; params.len()] })
    }
}

pub(crate) fn open_by_words(disk: impl Disk + 'static, config: LogStoreConfig) -> LogStore {
    LogStore::open(Arc::new(disk), config, Box::new(WordMiner)).unwrap()
}

pub(crate) fn stream(service: &str) -> Labels {
    Labels::new([("service", service), ("host", "h1")])
}

/// A batch of lines of one stream, one a second.
pub(crate) fn batch(service: &str, from_s: i64, texts: &[&str]) -> LogBatch {
    let labels = stream(service);
    let mut out = LogBatch::new();
    for (text, i) in texts.iter().zip(0..) {
        let level = text.contains("error").then_some(Level::Error);
        let at_ns = (from_s + i) * SECOND;
        assert!(out.push(&LogLine { at_ns, labels: &labels, level, text: text.as_bytes(), fields: &[] }));
    }
    out
}

pub(crate) fn query(text: &str) -> LineQuery {
    parse_lines(text).unwrap()
}

/// All lines that fit, oldest first, through pages of a few lines.
pub(crate) fn find(store: &LogStore, text: &str) -> Vec<LogEntry> {
    pages(store, &query(text), Direction::Forward, 7)
}

pub(crate) fn pages(
    store: &LogStore,
    query: &LineQuery,
    direction: Direction,
    limit: usize,
) -> Vec<LogEntry> {
    let mut out = Vec::new();
    let mut cursor = None;
    loop {
        let range = LogRange { from_ns: i64::MIN, to_ns: i64::MAX, direction, limit, cursor };
        let page = store.search(query, &range, SearchLimits::default());
        assert_eq!(page.stopped, None);
        assert!(page.lines.len() <= limit);
        out.extend(page.lines);
        cursor = page.next;
        if cursor.is_none() {
            return out;
        }
    }
}

pub(crate) fn texts(entries: &[LogEntry]) -> Vec<String> {
    entries.iter().map(|e| String::from_utf8_lossy(&e.text).into_owned()).collect()
}
