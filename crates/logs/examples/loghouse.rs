//! Packs a raw log file into the store as the product keeps it, with its miner, and counts words in it: for measuring against
//! `zstd` and `ripgrep`. For users there is `wellkept logs`.
//!
//! `loghouse pack RAW STORE` takes a file line by line through the house (split, counted, watched, stored); a line that begins with
//! seconds since the epoch has that time. `loghouse count STORE WORD` prints how many lines hold a word.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the command line")]
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::time::Instant;

use wellkept_logs::{Logs, LogsConfig};
use wellkept_logstore::query::{LineQuery, Stage};
use wellkept_logstore::{LogBatch, SearchLimits};
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
        _ => Err("use: loghouse pack RAW STORE | count STORE WORD".into()),
    }
}

fn open(store: &str) -> Result<Logs, Failure> {
    Ok(Logs::open(Arc::new(OsDisk::new(store)), LogsConfig::of_a_host(), 0)?)
}

fn pack(raw: &str, store: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let logs = open(store)?;
    let labels = Labels::new([("filename", raw)]);
    let mut input = BufReader::with_capacity(1 << 20, std::fs::File::open(raw)?);
    let (mut batch, mut text, mut at_ns, mut lines) = (LogBatch::new(), Vec::new(), 0, 0_u64);
    loop {
        text.clear();
        let is_end = input.read_until(b'\n', &mut text)? == 0;
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        if !is_end {
            at_ns = time_of(&text).unwrap_or(at_ns);
            lines += 1;
            batch.push(&LogLine { at_ns, labels: &labels, level: None, text: &text, fields: &[] });
        }
        if is_end || batch.len() >= BATCH_LINES {
            logs.commit(&batch, at_ns)?;
            batch.clear();
            if lines.is_multiple_of(100_000) || is_end {
                logs.upkeep(at_ns);
            }
        }
        if is_end {
            break;
        }
    }
    let taken = begin.elapsed().as_secs_f64();
    logs.store().flush(at_ns)?;
    logs.close(at_ns);
    eprintln!("{lines} lines taken in {taken:.2} s, packed after {:.2} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Seconds since the epoch, nanoseconds. Not by way of a float, which would be off by some hundred nanoseconds.
fn time_of(text: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(text.split(|b| *b == b' ').next()?).ok()?;
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
    let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn count(store: &str, word: &str) -> Result<(), Failure> {
    let begin = Instant::now();
    let logs = open(store)?;
    let opened = begin.elapsed();
    let stage = Stage::Contains { texts: vec![word.as_bytes().to_vec()], negated: false };
    let query = LineQuery { stages: vec![stage], ..LineQuery::default() };
    let counted = || logs.store().count(&query, i64::MIN, i64::MAX, SearchLimits::default());
    let (count, stopped, cost) = counted();
    if let Some(why) = stopped {
        return Err(format!("the search was stopped: {why:?}").into());
    }
    println!("{count}");
    let cold = begin.elapsed();
    counted();
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    eprintln!(
        "opened in {:.1} ms, counted in {:.1} ms, again in {:.1} ms; {} lines and {} bytes looked at",
        ms(opened),
        ms(cold.saturating_sub(opened)),
        ms(begin.elapsed().saturating_sub(cold)),
        cost.lines,
        cost.bytes,
    );
    Ok(())
}
