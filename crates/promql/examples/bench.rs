//! Times queries over 1,000 hosts with 50 series each, in memory: `cargo run --release -p wellkept-promql --example
//! bench [-- PART OF A NAME [ROUNDS]]`. Prints the time that the source took by itself, and the time of the whole query, in milliseconds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use wellkept_model::{
    Labels, MatchOp, Matcher, Sample, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs,
};
use wellkept_promql::{Limits, Query, Value, instant, range};

const HOSTS: u32 = 1000;
const SCRAPES: i64 = 300;
const STEP: i64 = 15_000;

/// Series by metric name, as an index would find them.
struct Fleet {
    by_name: BTreeMap<String, Vec<SeriesData>>,
    spent: Mutex<Duration>,
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self { by_name: BTreeMap::new(), spent: Mutex::new(Duration::ZERO) };
        let random = Cell::new(0x9e37_79b9_7f4a_7c15_u64);
        let next = || {
            let mut x = random.get();
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            random.set(x);
            f64::from((x >> 40) as u32) / f64::from(1_u32 << 24)
        };
        for host in 0..HOSTS {
            fleet.host(host, &next);
        }
        fleet
    }

    fn host(&mut self, host: u32, next: &dyn Fn() -> f64) {
        let instance = format!("host-{host:04}:9100");
        let region = ["eu", "us", "ap", "sa"][host as usize % 4];
        let env = if host.is_multiple_of(5) { "test" } else { "prod" };
        let base = [("instance", instance.as_str()), ("job", "node"), ("region", region), ("env", env)];
        for cpu in ["0", "1", "2", "3"] {
            for mode in ["idle", "user", "system", "iowait"] {
                self.add("node_cpu_seconds_total", &base, &[("cpu", cpu), ("mode", mode)], true, next);
            }
        }
        for name in ["MemFree", "MemAvailable", "Cached", "Buffers", "Active", "Dirty"] {
            self.add(&format!("node_memory_{name}_bytes"), &base, &[], false, next);
        }
        for name in ["node_load1", "node_load5", "node_load15", "up"] {
            self.add(name, &base, &[], false, next);
        }
        for device in ["sda", "sdb"] {
            for way in ["read", "written"] {
                self.add(&format!("node_disk_{way}_bytes_total"), &base, &[("device", device)], true, next);
            }
        }
        for device in ["eth0", "lo"] {
            for way in ["receive", "transmit"] {
                let name = format!("node_network_{way}_bytes_total");
                self.add(&name, &base, &[("device", device)], true, next);
            }
        }
        for mount in ["/", "/var", "/home"] {
            for name in ["avail", "size"] {
                let name = format!("node_filesystem_{name}_bytes");
                self.add(&name, &base, &[("mountpoint", mount)], false, next);
            }
        }
        for unit in ["ssh.service", "nginx.service", "cron.service"] {
            let labels = [("name", unit), ("state", "active")];
            self.add("node_systemd_unit_state", &base, &labels, false, next);
        }
        for le in ["0.01", "0.05", "0.1", "0.5", "+Inf"] {
            self.add("http_request_duration_seconds_bucket", &base, &[("le", le)], true, next);
        }
        for name in ["sum", "count"] {
            self.add(&format!("http_request_duration_seconds_{name}"), &base, &[], true, next);
        }
    }

    fn add(
        &mut self,
        name: &str,
        base: &[(&str, &str)],
        more: &[(&str, &str)],
        counter: bool,
        next: &dyn Fn() -> f64,
    ) {
        let mut value = (next() * 1e6).floor();
        let samples = (0..SCRAPES).map(|i| {
            value = if counter { value + (next() * 100.0).floor() } else { (next() * 1e6).floor() };
            Sample { at: TimestampMs(i * STEP), value }
        });
        let labels = Labels::metric(name, base.iter().chain(more).copied());
        let series = SeriesData::floats(labels, samples.collect());
        self.by_name.entry(name.to_owned()).or_default().push(series);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn now() -> Instant {
    Instant::now()
}

impl SeriesSource for Fleet {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let began = now();
        let named = matchers.iter().find(|m| m.name() == "__name__" && m.op() == MatchOp::Equal);
        let all = match named {
            Some(name) => self.by_name.get(name.value()).map(Vec::as_slice).unwrap_or_default().iter(),
            None => [].iter(),
        };
        let rest = self.by_name.values().filter(|_| named.is_none()).flatten();
        let wanted = all.chain(rest).filter(|s| matchers.iter().all(|m| m.matches(s.labels.get(m.name()))));
        let inside = |s: &SeriesData| {
            let low = s.samples.partition_point(|s| s.at < from);
            let high = s.samples.partition_point(|s| s.at <= to);
            SeriesData::floats(s.labels.clone(), s.samples[low..high].to_vec())
        };
        let got = wanted.map(inside).filter(|s| !s.samples.is_empty()).collect();
        if let Ok(mut spent) = self.spent.lock() {
            *spent += now() - began;
        }
        Ok(got)
    }

    fn series(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }
}

const QUERIES: [(&str, &str, bool); 11] = [
    ("sum by, instant", "sum by (region) (node_load1)", false),
    ("rate 1h of 12,000", "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[1h]))", false),
    ("rate 1h of 30,000", "count(rate({__name__=~\"node_(cpu|disk|network|filesystem)_.*\"}[1h]))", false),
    ("topk", "topk(10, rate(node_network_receive_bytes_total{device=\"eth0\"}[5m]))", false),
    (
        "histogram_quantile",
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        false,
    ),
    ("one series, 1 h", "node_load1{instance=\"host-0042:9100\"}", true),
    (
        "100 series, 1 h",
        "rate(node_cpu_seconds_total{cpu=\"0\",mode=\"user\",instance=~\"host-00..:9100\"}[5m])",
        true,
    ),
    (
        "dashboard, 1,000",
        "sum by (region) (rate(node_network_receive_bytes_total{device=\"eth0\"}[5m]))",
        true,
    ),
    ("dashboard, 2,000", "sum by (region) (rate(node_network_receive_bytes_total[5m]))", true),
    ("count by name", "count by (__name__) ({job=\"node\"})", false),
    ("max_over_time, 1 h", "max_over_time(node_load1[30m])", true),
];

#[expect(clippy::print_stdout, reason = "a bench answers on the terminal")]
fn main() {
    let fleet = Fleet::new();
    let limits = Limits { samples: 100_000_000, series: 100_000, ..Limits::default() };
    let (from, to) = (TimestampMs(SCRAPES * STEP - 3_600_000 - STEP), TimestampMs((SCRAPES - 1) * STEP));
    println!("{:24} {:>8} {:>8} {:>8} {:>7}", "query", "source", "median", "least", "series");
    let only = std::env::args().nth(1).unwrap_or_default();
    let rounds: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(9);
    for (name, text, ranged) in QUERIES.into_iter().filter(|q| q.0.contains(&only)) {
        // Metrics that differ in their names only would become one.
        let limits = Limits { delayed_name_removal: name.contains("30,000"), ..limits };
        let query = Query::parse(text, &limits).expect(name);
        let mut times = Vec::new();
        let mut sources = Vec::new();
        let mut count = 0;
        for _ in 0..rounds {
            if let Ok(mut spent) = fleet.spent.lock() {
                *spent = Duration::ZERO;
            }
            let began = now();
            let outcome = if ranged {
                range(&query, &fleet, from, to, Duration::from_secs(15), &limits, &|| false)
            } else {
                instant(&query, &fleet, to, &limits, &|| false)
            };
            let value = outcome.expect(name).value;
            times.push((now() - began).as_secs_f64() * 1000.0);
            sources.push(fleet.spent.lock().map_or(0.0, |s| s.as_secs_f64() * 1000.0));
            count = match &value {
                Value::Vector(vector) => vector.len(),
                Value::Matrix(matrix) => matrix.len(),
                _ => 1,
            };
        }
        times.sort_by(f64::total_cmp);
        sources.sort_by(f64::total_cmp);
        println!(
            "{name:24} {:8.2} {:8.2} {:8.2} {count:7}",
            sources[rounds / 2],
            times[rounds / 2],
            times[0]
        );
    }
}
