//! What taking pushed samples costs the store: CPU per million samples and bytes per sample.
//!
//! The shape is that of a fleet: 1,000 hosts with 50 series each, 40 hosts a request, one sample a series, every 15 s,
//! 240 times, from four senders at once. Decoding is another part's work, so requests are made beforehand as (wire bytes,
//! labels, value) and what is measured is only the store: recognising series, rows, log, sync, sealing. Prints one
//! line of JSON.
//!
//! ```text
//! cargo run --release -p wellkept-tsdb --example ingest -- [--hosts N] [--scrapes N] [--block] [--queries]
//! ```
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "the result of the measurement")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wellkept_model::{MatchOp, Matcher, SeriesSource, Sink, SourceLimits, TimestampMs};
use wellkept_tsdb::sim::Dice;
use wellkept_tsdb::{OsDisk, Store, StoreConfig};

const HOSTS_PER_REQUEST: usize = 40;
const BASE_MS: i64 = 1_700_000_000_000;

/// A series: its bytes on the wire, and its labels.
type Wired = (Vec<u8>, Vec<(String, String)>);

struct Host {
    /// Wire bytes and labels of each series.
    series: Vec<Wired>,
    values: Vec<f64>,
    dice: Dice,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (hosts, scrapes) = (number("--hosts", 1000), number("--scrapes", 240));
    let folder = std::env::temp_dir().join(format!("wellkept-ingest-{}", std::process::id()));
    let result = run(&folder, hosts, scrapes, flag("--block"), flag("--queries"));
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run(
    folder: &std::path::Path,
    hosts: usize,
    scrapes: usize,
    block: bool,
    queries: bool,
) -> Result<(), Box<dyn Error>> {
    let store = Store::open(Arc::new(OsDisk::new(folder)), StoreConfig::default())?;
    let mut fleet: Vec<Host> = (0..hosts).map(host).collect();
    let (samples, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut cpu, mut wall) = (0.0, 0.0);
    for scrape in 0..scrapes {
        fleet.iter_mut().for_each(step);
        let at = TimestampMs(BASE_MS + scrape as i64 * 15_000);
        let (before, begin) = (cpu_seconds(), Instant::now());
        let requests: Vec<&[Host]> = fleet.chunks(HOSTS_PER_REQUEST).collect();
        std::thread::scope(|scope| {
            for sender in 0..4 {
                let (requests, store, samples, longest) = (&requests, &store, &samples, &longest);
                scope.spawn(move || {
                    for request in requests.iter().skip(sender).step_by(4) {
                        let begin = Instant::now();
                        let n = send(store, request, at);
                        samples.fetch_add(n, Ordering::Relaxed);
                        longest.fetch_max(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
                    }
                });
            }
        });
        cpu += cpu_seconds() - before;
        wall += begin.elapsed().as_secs_f64();
    }
    let samples = samples.into_inner() as f64;
    let stats = store.stats();
    println!(
        concat!(
            r#"{{"samples":{},"cpu_s_per_million":{:.3},"samples_per_second":{:.0},"longest_ms":{:.1},"#,
            r#""log_bytes_per_sample":{:.3},"head_bytes_per_sample":{:.3},"rss_mb":{:.1}}}"#
        ),
        samples,
        cpu / samples * 1e6,
        samples / wall,
        longest.into_inner() as f64 / 1e3,
        stats.log_bytes as f64 / samples,
        stats.head_bytes as f64 / samples,
        rss_mb(),
    );
    if queries {
        ask(&store, scrapes)?;
    }
    if block {
        let before = cpu_seconds();
        store.write_block()?;
        let cpu = cpu_seconds() - before;
        let stats = store.stats();
        println!(
            r#"{{"block_bytes_per_sample":{:.3},"block_cpu_s_per_million":{:.3}}}"#,
            stats.block_bytes as f64 / samples,
            cpu / samples * 1e6
        );
        if queries {
            ask(&store, scrapes)?;
        }
    }
    Ok(())
}

fn send(store: &Store, hosts: &[Host], at: TimestampMs) -> u64 {
    let mut appender = store.appender(1, "bench");
    for host in hosts {
        for ((wire, labels), value) in host.series.iter().zip(&host.values) {
            if !appender.known(wire) {
                let labels: Vec<(&str, &str)> =
                    labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                appender.series(wire, &labels);
            }
            appender.float(at, *value);
        }
    }
    appender.finish_durable().map_or(0, |a| a.samples)
}

fn ask(store: &Store, scrapes: usize) -> Result<(), Box<dyn Error>> {
    let end = BASE_MS + scrapes as i64 * 15_000;
    let m = |name: &str, op, value: &str| Matcher::new(name, op, value);
    let hour = end - 3_600_000;
    let shapes = [
        ("count_by_name", vec![], end - 300_000),
        ("rate_1h_all", vec![m("__name__", MatchOp::Equal, "node_cpu_seconds_total")?], hour),
        (
            "regex",
            vec![m("instance", MatchOp::Regex, "host-00..:9100")?, m("cpu", MatchOp::Equal, "0")?],
            end - 300_000,
        ),
        (
            "one_series_1h",
            vec![
                m("__name__", MatchOp::Equal, "node_load1")?,
                m("instance", MatchOp::Equal, "host-0007:9100")?,
            ],
            hour,
        ),
        (
            "hundred_1h",
            vec![m("__name__", MatchOp::Equal, "node_load1")?, m("instance", MatchOp::Regex, "host-00.*")?],
            hour,
        ),
    ];
    for (name, matchers, from) in shapes {
        let mut times = Vec::new();
        let mut found = (0, 0);
        for _ in 0..5 {
            let begin = Instant::now();
            let series =
                store.select(&matchers, TimestampMs(from), TimestampMs(end), &SourceLimits::default())?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            found = (series.len(), series.iter().map(|s| s.samples.len()).sum());
        }
        times.sort_by(f64::total_cmp);
        let median = times.get(2).copied().unwrap_or_default();
        println!(r#"{{"query":"{name}","ms":{median:.2},"series":{},"samples":{}}}"#, found.0, found.1);
    }
    Ok(())
}

fn host(i: usize) -> Host {
    let region = ["eu", "us", "ap", "sa"].get(i % 4).copied().unwrap_or_default();
    let mut names: Vec<(String, Vec<(&str, String)>)> = Vec::new();
    for cpu in 0..4 {
        for mode in ["idle", "user", "system", "iowait"] {
            names.push((
                "node_cpu_seconds_total".into(),
                vec![("cpu", cpu.to_string()), ("mode", mode.into())],
            ));
        }
    }
    for n in ["MemFree", "MemAvailable", "Cached", "Buffers", "Active", "Dirty"] {
        names.push((format!("node_memory_{n}_bytes"), vec![]));
    }
    names.extend(["node_load1", "node_load5", "node_load15"].map(|n| (n.to_owned(), vec![])));
    for device in ["sda", "sdb", "eth0", "lo"] {
        for d in ["in", "out"] {
            names.push((format!("node_device_{d}_bytes_total"), vec![("device", device.into())]));
        }
    }
    for m in ["/", "/var", "/home"] {
        names.push(("node_filesystem_avail_bytes".into(), vec![("mountpoint", m.into())]));
        names.push(("node_filesystem_size_bytes".into(), vec![("mountpoint", m.into())]));
    }
    names.push(("up".into(), vec![]));
    for n in ["ssh.service", "nginx.service", "cron.service"] {
        names.push(("node_systemd_unit_state".into(), vec![("name", n.into()), ("state", "active".into())]));
    }
    for le in ["0.01", "0.05", "0.1", "0.5", "+Inf"] {
        names.push(("http_request_duration_seconds_bucket".into(), vec![("le", le.into())]));
    }
    names.push(("http_request_duration_seconds_sum".into(), vec![]));
    names.push(("http_request_duration_seconds_count".into(), vec![]));
    let series = names.into_iter().map(|(name, own)| {
        let mut labels = vec![
            ("__name__".to_owned(), name),
            ("instance".to_owned(), format!("host-{i:04}:9100")),
            ("job".to_owned(), "node".to_owned()),
            ("region".to_owned(), region.to_owned()),
            ("env".to_owned(), if i.is_multiple_of(5) { "test".to_owned() } else { "prod".to_owned() }),
        ];
        labels.extend(own.into_iter().map(|(n, v)| (n.to_owned(), v)));
        labels.sort();
        let mut wire = Vec::new();
        for (n, v) in &labels {
            wire.extend([10, (n.len() + v.len() + 4) as u8, 10, n.len() as u8]);
            wire.extend(n.as_bytes());
            wire.extend([18, v.len() as u8]);
            wire.extend(v.as_bytes());
        }
        (wire, labels)
    });
    let series: Vec<_> = series.collect();
    let mut dice = Dice(i as u64);
    let values = series.iter().map(|_| dice.below(1 << 30) as f64).collect();
    Host { series, values, dice }
}

/// About what a host's numbers do in 15 s.
fn step(host: &mut Host) {
    let dice = &mut host.dice;
    for (i, value) in host.values.iter_mut().enumerate() {
        let random = dice.below(1 << 20) as f64 / f64::from(1 << 20);
        *value = match i {
            0..16 if i % 4 == 3 && random > 0.2 => *value,
            0..16 => ((*value + 15.0 * random) * 100.0).round() / 100.0,
            16..22 => (*value + ((random - 0.5) * 2000.0).trunc() * 4096.0).max(0.0),
            22..25 => ((*value % 8.0 + random - 0.5) * 100.0).round() / 100.0,
            25..33 => *value + (random * 500_000.0).trunc(),
            33..39 if i % 2 == 1 && random < 0.3 => *value + 4096.0 * (random * 100.0).trunc(),
            33..39 => *value,
            39..43 => 1.0,
            48 => ((*value + random) * 1e6).round() / 1e6,
            _ => *value + (random * 200.0).trunc(),
        };
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
