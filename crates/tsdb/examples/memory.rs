//! Memory per active series, and how long a start takes after a kill.
//!
//! Pushes N series (50 to a target) some times, prints the resident memory per series, and then starts a second store on
//! the same directory, as after a `kill -9`. Prints one line of JSON for each.
//!
//! ```text
//! cargo run --release -p wellkept-tsdb --example memory -- [series] [scrapes]
//! ```
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "the result of the measurement")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use wellkept_model::{Sink, TimestampMs};
use wellkept_tsdb::{OsDisk, Store, StoreConfig};

const SERIES_PER_HOST: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let series: usize = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    let scrapes: usize = arguments.next().map_or(Ok(20), |n| n.parse())?;
    let folder = match arguments.next() {
        Some(folder) => return start(folder.as_ref(), series),
        None => std::env::temp_dir().join(format!("wellkept-memory-{}", std::process::id())),
    };
    let result = fill(&folder, series, scrapes);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn fill(folder: &std::path::Path, series: usize, scrapes: usize) -> Result<(), Box<dyn Error>> {
    let empty = rss_bytes();
    let store = Store::open(Arc::new(OsDisk::new(folder)), StoreConfig::default())?;
    for scrape in 0..scrapes {
        let at = TimestampMs(1_700_000_000_000 + scrape as i64 * 15_000);
        for request in (0..series).step_by(2000) {
            let mut appender = store.appender(1, "bench");
            for number in request..(request + 2000).min(series) {
                one(&mut appender, number, at, scrape);
            }
            appender.finish()?;
        }
        store.commit()?;
    }
    let stats = store.stats();
    println!(
        r#"{{"series":{},"samples":{},"rss_bytes_per_series":{:.0},"samples_bytes_per_series":{:.0},"log_mb":{:.1}}}"#,
        stats.series,
        stats.head_samples,
        (rss_bytes() - empty) / series as f64,
        stats.head_bytes as f64 / series as f64,
        stats.log_bytes as f64 / 1e6,
    );
    drop(store);
    // Another process, so that its memory is its own.
    let program = std::env::current_exe()?;
    let arguments = [series.to_string(), scrapes.to_string(), folder.display().to_string()];
    std::process::Command::new(program).args(arguments).status()?;
    Ok(())
}

fn start(folder: &std::path::Path, series: usize) -> Result<(), Box<dyn Error>> {
    let empty = rss_bytes();
    let begin = Instant::now();
    let store = Store::open(Arc::new(OsDisk::new(folder)), StoreConfig::default())?;
    let seconds = begin.elapsed().as_secs_f64();
    let stats = store.stats();
    println!(
        r#"{{"start_seconds":{seconds:.2},"series":{},"samples":{},"rss_bytes_per_series":{:.0}}}"#,
        stats.series,
        stats.head_samples,
        (rss_bytes() - empty) / series as f64,
    );
    Ok(())
}

fn one(appender: &mut wellkept_tsdb::Appender<'_>, number: usize, at: TimestampMs, scrape: usize) {
    let (host, metric) = (number / SERIES_PER_HOST, number % SERIES_PER_HOST);
    let wire = [host.to_le_bytes(), metric.to_le_bytes()].concat();
    if !appender.known(&wire) {
        let name = format!("node_some_metric_{metric}_bytes_total");
        let instance = format!("host-{host:06}.example.com:9100");
        let labels = [
            ("__name__", name.as_str()),
            ("cluster", "production"),
            ("device", ["sda", "sdb", "eth0"].get(metric % 3).copied().unwrap_or_default()),
            ("env", "prod"),
            ("instance", instance.as_str()),
            ("job", "node"),
            ("region", ["eu-west-1", "us-east-1"].get(host % 2).copied().unwrap_or_default()),
        ];
        appender.series(&wire, &labels);
    }
    let value = if metric < 10 { 1.0 } else { (scrape * (metric + host % 17)) as f64 };
    appender.float(at, value);
}

fn rss_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
