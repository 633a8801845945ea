//! How many bytes a sample takes on disk, measured on a recording of a real host.
//!
//! Reads lines `name{labels} value timestamp_ms` from a file or, with `-`, from standard input; lines with equal
//! timestamps are one batch. `--targets 5` stores the recording as five hosts whose clocks are a few hundred
//! milliseconds apart. Prints one line of JSON.
//!
//! ```text
//! zcat host-1s.txt.gz | cargo run --release -p wellkept-tsdb --example bytes_per_sample -- - --targets 5
//! ```
#![allow(clippy::print_stdout, reason = "the result of the measurement")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wellkept_model::{Batch, Labels, METRIC_NAME, SeriesSource, Sink, SourceLimits, TimestampMs};
use wellkept_tsdb::{OsDisk, Store, StoreConfig};

/// Distance of the targets' clocks, milliseconds: no divisor of a second.
const SHIFT_MS: i64 = 170;

fn main() -> Result<(), Box<dyn Error>> {
    let (path, targets, push) = arguments()?;
    let text = if path == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(&path)?
    };
    let recorded = batches(&text)?;
    // What is pushed says itself whose it is.
    let copy = |t: usize| match (push, t) {
        (true, 0) => recorded.clone(),
        _ => recorded.iter().map(|b| shifted(b, t)).collect(),
    };
    let copies: Vec<Vec<Batch>> = (0..targets).map(copy).collect();
    let folder = std::env::temp_dir().join(format!("wellkept-bytes-per-sample-{}", std::process::id()));
    let result = measure(&folder, &copies, push);
    std::fs::remove_dir_all(&folder)?;
    println!("{}", result?);
    Ok(())
}

fn arguments() -> Result<(String, usize, bool), Box<dyn Error>> {
    let (mut path, mut targets, mut push) = (None, 1, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--targets" {
            targets = arguments.next().ok_or("--targets needs a number")?.parse()?;
        } else if argument == "--push" {
            push = true;
        } else {
            path = Some(argument);
        }
    }
    Ok((path.ok_or("usage: bytes_per_sample FILE|- [--targets N] [--push]")?, targets, push))
}

/// As a pushing client's door would: the store finds out what belongs together.
fn send(store: &Store, batch: &Batch) -> Result<(), Box<dyn Error>> {
    let mut appender = store.appender(1, "bench");
    for (labels, value) in &batch.samples {
        let wire = labels.packed().as_bytes();
        if !appender.known(wire) {
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            appender.series(wire, &pairs);
        }
        appender.float(batch.at, *value);
    }
    appender.finish()?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
fn measure(folder: &std::path::Path, copies: &[Vec<Batch>], push: bool) -> Result<String, Box<dyn Error>> {
    let config = StoreConfig { block_span: Duration::from_secs(7200), ..StoreConfig::default() };
    let store = Store::open(Arc::new(OsDisk::new(folder)), config.clone())?;
    let begin = Instant::now();
    let rounds = copies.first().map_or(0, Vec::len);
    for round in 0..rounds {
        for batch in copies.iter().filter_map(|c| c.get(round)) {
            if push {
                send(&store, batch)?;
            } else {
                store.append(batch)?;
            }
        }
        store.commit()?;
    }
    let load = begin.elapsed().as_secs_f64();
    let in_log = store.stats();
    let begin = Instant::now();
    store.flush_all()?;
    let block = begin.elapsed().as_secs_f64();
    drop(store);
    let store = Store::open(Arc::new(OsDisk::new(folder)), config)?;
    let samples = check(&store, copies)?;
    let bytes = store.stats().block_bytes;
    let per = |bytes: u64| bytes as f64 / samples as f64;
    Ok(format!(
        concat!(
            r#"{{"targets":{},"samples":{},"bytes":{},"bytes_per_sample":{:.4},"wal_bytes_per_sample":{:.4},"#,
            r#""head_bytes_per_sample":{:.4},"load_seconds":{:.3},"block_seconds":{:.3}}}"#
        ),
        copies.len(),
        samples,
        bytes,
        per(bytes),
        per(in_log.log_bytes),
        per(in_log.head_bytes as u64),
        load,
        block,
    ))
}

/// Reads everything back and compares it bit by bit; gives the number of samples.
fn check(store: &Store, copies: &[Vec<Batch>]) -> Result<u64, Box<dyn Error>> {
    let mut want = std::collections::HashMap::new();
    for batch in copies.iter().flatten() {
        for (labels, value) in &batch.samples {
            want.insert((labels.clone(), batch.at), value.to_bits());
        }
    }
    let mut samples = 0;
    let found = store.select(&[], TimestampMs(i64::MIN), TimestampMs(i64::MAX), &SourceLimits::default())?;
    for series in found {
        for sample in series.samples {
            if want.get(&(series.labels.clone(), sample.at)) != Some(&sample.value.to_bits()) {
                return Err(format!("{} at {} was read back wrongly", series.labels, sample.at).into());
            }
            samples += 1;
        }
    }
    if samples == want.len() as u64 { Ok(samples) } else { Err("samples are missing".into()) }
}

fn shifted(batch: &Batch, target: usize) -> Batch {
    let instance = format!("host-{target}:9100");
    let identity = Labels::new([("instance", instance.as_str())]);
    let with = |labels: &Labels| Labels::new(labels.iter().chain(identity.iter()));
    let samples = batch.samples.iter().map(|(labels, value)| (with(labels), *value)).collect();
    let at = TimestampMs(batch.at.0 + SHIFT_MS * i64::try_from(target).unwrap_or(0));
    Batch { at, target: identity.clone(), samples, ..Batch::default() }
}

fn batches(text: &str) -> Result<Vec<Batch>, Box<dyn Error>> {
    let mut batches: Vec<Batch> = Vec::new();
    for line in text.lines() {
        let mut parts = line.rsplitn(3, ' ');
        let (at, value, series) = (parts.next(), parts.next(), parts.next());
        let (Some(at), Some(value), Some(series)) = (at, value, series) else {
            return Err(format!("not a sample: {line}").into());
        };
        let at = TimestampMs(at.parse()?);
        if batches.last().is_none_or(|b| b.at != at) {
            batches.push(Batch { at, ..Batch::default() });
        }
        if let Some(batch) = batches.last_mut() {
            batch.samples.push((labels(series)?, value.parse()?));
        }
    }
    Ok(batches)
}

/// `name{a="b",c="d"}` with `\"`, `\\` and `\n` in values.
fn labels(text: &str) -> Result<Labels, Box<dyn Error>> {
    let (name, mut rest) = text.split_once('{').unwrap_or((text, "}"));
    let mut pairs = vec![(METRIC_NAME.to_owned(), name.to_owned())];
    while rest != "}" {
        let (label, after) = rest.split_once("=\"").ok_or_else(|| format!("not a label: {rest}"))?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or_else(|| format!("no end of a label: {text}"))? {
                (i, '"') => break i,
                (_, '\\') => value.push(match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, other)) => other,
                    None => return Err(format!("no end of a label: {text}").into()),
                }),
                (_, other) => value.push(other),
            }
        };
        pairs.push((label.trim_start_matches(',').to_owned(), value));
        rest = after.get(end + 1..).unwrap_or("}");
    }
    Ok(Labels::new(pairs))
}
