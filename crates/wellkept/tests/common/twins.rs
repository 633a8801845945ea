//! The real Prometheus and the program side by side, with the same samples, rules and targets.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use wellkept_intake::remote_write::{OutgoingSeries, Version};
use wellkept_model::{Exemplar, Labels, Sample, TimestampMs};

use super::http::{Answer, Call, encode};
use super::peers::{Server, now_ms, rows};
use super::process::{Ended, run};
use super::site::Site;
use super::up::Up;
use super::wire::{Series, remote_write_of};
use super::{Home, skipped, wait_for};

const STEP_MS: i64 = 15_000;
const STEPS: i64 = 60;

const RULES: &str = "groups:\n- name: shop\n  interval: 1s\n  rules:\n  - { record: shop:all, expr: 'sum(shop_orders_total)' }\n  \
    - { alert: Long, expr: 'shop_queue_length > 1', for: 1h, labels: { severity: page }, annotations: { summary: 'it is {{ $value }}' } }\n  \
    - { alert: Never, expr: 'shop_queue_length > 1000' }\n";

/// Both servers with the same samples, rules and targets.
pub struct Twins {
    pub theirs: Server,
    pub ours: Up,
    /// Time of the newest sample that was written to both.
    pub end: i64,
    _page: Site,
    _home: (Home, Home),
}

impl Twins {
    pub fn start() -> Option<Self> {
        let (home, other) = (Home::new(), Home::new());
        let page = Site::page(
            "# HELP page_visits_total Visits.\n# TYPE page_visits_total counter\npage_visits_total 7\n\
             # HELP page_size_bytes Size.\n# TYPE page_size_bytes gauge\npage_size_bytes 9\n",
        );
        std::fs::write(other.path("shop.rules.yml"), RULES).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n\
             - job_name: page\n  static_configs: [{{ targets: ['{}', 'left.out:1'] }}]\n  \
             relabel_configs: [{{ source_labels: [__address__], regex: 'left.*', action: drop }}]\n",
            other.path("shop.rules.yml").display(),
            page.address
        );
        let more = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"];
        let theirs = Server::prometheus(&other, "prometheus", &config, &more)?;
        std::fs::write(home.path("scrape.yml"), &config).unwrap();
        let keep = home.keep(format!("metrics: {{ scrape: {} }}\n", home.path("scrape.yml").display()));
        let ours = Up::store(&home, Some(&keep));
        let end = now_ms() / STEP_MS * STEP_MS - 60_000;
        let twins = Self { theirs, ours, end, _page: page, _home: (home, other) };
        twins.both().into_iter().for_each(|address| write(address, end));
        twins.wait_for("the rules are evaluated", "ALERTS");
        Some(twins)
    }

    /// Waits until both know a series.
    pub fn wait_for(&self, what: &str, series: &str) {
        for address in self.both() {
            wait_for(what, || {
                let seen = ask(address, "GET", "/api/v1/query", &[("query", series)]).json;
                (!rows(&seen["data"]).is_empty()).then_some(())
            });
        }
    }

    pub fn both(&self) -> [SocketAddr; 2] {
        [self.theirs.address, self.ours.address]
    }

    /// The same request to both: theirs, ours.
    pub fn ask(&self, method: &'static str, path: &str, fields: &[(&str, &str)]) -> [Answer; 2] {
        self.both().map(|address| ask(address, method, path, fields))
    }

    /// The same run of promtool against both.
    pub fn promtool(&self, before: &[&str], after: &[&str]) -> [Ended; 2] {
        self.both().map(|address| {
            let mut command = Command::new("promtool");
            command.arg("query").args(before).arg(format!("http://{address}")).args(after);
            run(command.stdin(Stdio::null()))
        })
    }
}

/// A form for POST, parameters of the URL for GET.
fn ask(address: SocketAddr, method: &'static str, path: &str, fields: &[(&str, &str)]) -> Answer {
    match method {
        "POST" => Call::new(address, "POST", path).form(fields).send(),
        _ => Call::new(address, method, format!("{path}?{}", encode(fields))).send(),
    }
}

/// Counters, a gauge that ends early and a histogram of a quarter of an hour, with an exemplar.
fn write(address: SocketAddr, end: i64) {
    let mut all: Vec<Series> = Vec::new();
    let mut add = |name: &str, labels: &[(&str, &str)], value: &dyn Fn(i64) -> Option<f64>| {
        let at = |i: i64| end - (STEPS - 1 - i) * STEP_MS;
        let samples = (0..STEPS).filter_map(|i| Some((at(i), value(i)?))).collect();
        all.push((Labels::metric(name, labels.iter().copied()), samples));
    };
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let float = |i: i64| i as f64;
    for (host, code, speed) in [("a", "200", 7.0), ("a", "500", 0.5), ("b", "200", 3.0)] {
        // The counter of one begins again in the middle.
        let reset = |i: i64| if host == "b" && i > 30 { float(i - 31) } else { float(i) };
        let labels = [("code", code), ("host", host), ("job", "shop")];
        add("shop_orders_total", &labels, &|i| Some(speed * reset(i)));
    }
    add("shop_queue_length", &[("job", "shop")], &|i| Some(5.0 + (float(i) / 5.0).sin()));
    add("shop_gone", &[("job", "shop")], &|i| (i < 20).then(|| float(i)));
    add("shop_odd", &[("job", "shop")], &|i| Some(if i % 2 == 0 { f64::NAN } else { f64::NEG_INFINITY }));
    for (le, share) in [("0.1", 0.2), ("0.5", 0.7), ("1", 0.9), ("+Inf", 1.0)] {
        add("shop_seconds_bucket", &[("job", "shop"), ("le", le)], &|i| {
            Some((float(i) * 10.0 * share).floor())
        });
    }
    let samples: Vec<Vec<Sample>> = all
        .iter()
        .map(|(_, s)| s.iter().map(|&(at, value)| Sample { at: TimestampMs(at), value }).collect())
        .collect();
    let exemplars = [Exemplar {
        series: all[0].0.clone(),
        labels: Labels::new([("trace_id", "abc")]),
        value: 0.5,
        at: TimestampMs(end - STEP_MS),
    }];
    let outgoing: Vec<_> = (0..all.len())
        .map(|i| OutgoingSeries {
            labels: Some(&all[i].0),
            samples: &samples[i],
            exemplars: if i == 0 { &exemplars } else { &[] },
            ..OutgoingSeries::default()
        })
        .collect();
    let answer = remote_write_of(Call::new(address, "POST", "/api/v1/write"), Version::V1, &outgoing).send();
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// Runs a check where Prometheus is installed.
pub fn with_twins(check: impl FnOnce(&Twins)) {
    match Twins::start() {
        Some(twins) => check(&twins),
        None => skipped("prometheus is not installed"),
    }
}
