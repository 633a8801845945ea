//! Packs a raw log file into a store and searches it: for measuring against `zstd` and `ripgrep`.
//!
//! `logpack pack RAW STORE` packs a file, line by line; a line that begins with seconds since the epoch has that time.
//! `logpack count STORE WORD` prints how many lines hold a word. `logpack time STORE WORD` prints how long that takes. `logpack query STORE QUERY` prints how many lines fit,
//! the newest of them, and how long it took; `logpack dump STORE` prints all lines in order of their times.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the command line")]
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

use wellkept_logstore::query::{self, LineQuery, LogQuery, Stage};
use wellkept_logstore::{
    DigitMiner, Direction, LogBatch, LogRange, LogStore, LogStoreConfig, LogStoreError, SearchLimits,
};
use wellkept_model::{Labels, LogLine};
use wellkept_tsdb::OsDisk;

type Failure = Box<dyn std::error::Error>;

/// Lines of one batch.
const BATCH_LINES: usize = 2000;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["pack", raw, store] => pack(raw, store),
        ["count", store, word] => count(store, word),
        ["query", store, query] => find(store, query),
        ["time", store, word] => time(store, word),
        ["dump", store] => dump(store),
        _ => Err("use: logpack pack RAW STORE | count STORE WORD | time STORE WORD | query STORE QUERY | dump STORE".into()),
    }
}

fn open(store: &str) -> Result<LogStore, LogStoreError> {
    LogStore::open(Arc::new(OsDisk::new(store)), LogStoreConfig::default(), Box::new(DigitMiner::default()))
}

fn pack(raw: &str, store: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let store = open(store)?;
    let labels = Labels::new([("filename", raw)]);
    let mut input = BufReader::with_capacity(1 << 20, std::fs::File::open(raw)?);
    let (mut batch, mut text, mut at_ns) = (LogBatch::new(), Vec::new(), 0);
    let mut slowest = 0.0_f64;
    loop {
        text.clear();
        let is_end = input.read_until(b'\n', &mut text)? == 0;
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        if !is_end {
            at_ns = time_of(&text).unwrap_or(at_ns);
            batch.push(&LogLine { at_ns, labels: &labels, level: None, text: &text, fields: &[] });
        }
        if is_end || batch.len() >= BATCH_LINES {
            let begin = Instant::now();
            store.append_durable(&batch)?;
            slowest = slowest.max(begin.elapsed().as_secs_f64());
            batch.clear();
            store.maintain(at_ns)?;
        }
        if is_end {
            break;
        }
    }
    store.flush(at_ns)?;
    let stats = store.stats();
    eprintln!(
        "{} lines, {} bytes of text, {} bytes in {} segments, {:.1} s, slowest commit {:.1} ms",
        stats.segment_lines,
        stats.appended_bytes_total,
        stats.segment_bytes,
        stats.segments,
        begin.elapsed().as_secs_f64(),
        slowest * 1000.0,
    );
    Ok(())
}

/// Seconds with a fraction at the begin of a line, in nanoseconds.
fn time_of(text: &[u8]) -> Option<i64> {
    let word = std::str::from_utf8(text.split(|&b| b == b' ').next()?).ok()?;
    let (seconds, fraction) = word.split_once('.').unwrap_or((word, ""));
    let fraction = format!("{fraction:0<9}");
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.get(..9)?.parse().ok()?)
}

fn count(store: &str, word: &str) -> Result<(), Failure> {
    let (lines, stopped, _) = open(store)?.count(&holding(word), i64::MIN, i64::MAX, SearchLimits::default());
    if let Some(stopped) = stopped {
        return Err(format!("stopped: {stopped:?}").into());
    }
    println!("{lines}");
    Ok(())
}

/// All lines that hold a word.
fn holding(word: &str) -> LineQuery {
    let texts = vec![word.as_bytes().to_vec()];
    LineQuery { stages: vec![Stage::Contains { texts, negated: false }], ..LineQuery::default() }
}

fn find(store: &str, text: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let store = open(store)?;
    let opened = begin.elapsed();
    let limits = SearchLimits::default();
    match query::parse(text)? {
        LogQuery::Lines(query) => {
            let begin = Instant::now();
            let (lines, _, cost) = store.count(&query, i64::MIN, i64::MAX, limits);
            let counted = begin.elapsed();
            let range = LogRange {
                from_ns: i64::MIN,
                to_ns: i64::MAX,
                direction: Direction::Backward,
                limit: 100,
                cursor: None,
            };
            let begin = Instant::now();
            let page = store.search(&query, &range, limits);
            eprintln!(
                "{lines} lines; opened {opened:?}, counted {counted:?} {cost:?}, page {:?} {:?}",
                begin.elapsed(),
                page.cost
            );
            for line in page.lines.iter().take(5) {
                println!("{} {}", line.at_ns, String::from_utf8_lossy(&line.text).escape_debug());
            }
        }
        LogQuery::Metric(query) => {
            let Some((from, to)) = store.stats().range_ns else { return Ok(()) };
            let result = store.metric(&query, from, to, (to - from) / 100 + 1, limits);
            eprintln!("{} series; {:?} {:?}", result.series.len(), begin.elapsed(), result.cost);
            for series in result.series.iter().take(10) {
                println!("{} {:?}", series.labels, series.points.last());
            }
        }
    }
    Ok(())
}

fn dump(store: &str) -> Result<(), Failure> {
    let store = open(store)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut cursor = None;
    loop {
        let range = LogRange {
            from_ns: i64::MIN,
            to_ns: i64::MAX,
            direction: Direction::Forward,
            limit: 50_000,
            cursor,
        };
        let page = store.search(&LineQuery::default(), &range, SearchLimits::default());
        for line in &page.lines {
            out.write_all(&line.text)?;
            out.write_all(b"\n")?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
/// Times without the start of a process: opening, the first count and later ones.
fn time(store: &str, word: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let store = open(store)?;
    println!("opened in {:?}", begin.elapsed());
    let query = holding(word);
    for _ in 0..5 {
        let begin = Instant::now();
        let (lines, ..) = store.count(&query, i64::MIN, i64::MAX, SearchLimits::default());
        println!("{lines} lines in {:?}", begin.elapsed());
    }
    Ok(())
}
