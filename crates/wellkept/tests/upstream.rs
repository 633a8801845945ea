//! Series of a server that the user already has: the real Prometheus and the real VictoriaMetrics, started here.
#![allow(clippy::unwrap_used, reason = "this is test code")]
#![allow(clippy::disallowed_methods, reason = "the servers refuse samples that are far from the present")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Call, Home, Up, skipped, wait_for};
use serde_json::Value;

/// What both servers hold.
const METRICS: &str = "# TYPE shop_requests_total counter\n\
    shop_requests_total{code=\"200\"} 17\nshop_requests_total{code=\"500\"} 3\n\
    # TYPE shop_queue_length gauge\nshop_queue_length 4.5\n";

/// Queries whose answers must be the server's own.
const QUERIES: [&str; 5] = [
    "shop_queue_length",
    "sum(shop_requests_total)",
    "shop_requests_total{code=~\"5..\"} / on() group_left sum(shop_requests_total)",
    "count by (code) (shop_requests_total)",
    "max(max_over_time(shop_queue_length[1m]))",
];

/// A program that ends with the test.
struct Server(Child, SocketAddr);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(
    program: &str,
    address: SocketAddr,
    ready: &str,
    arguments: &[String],
    log: &Path,
) -> Option<Server> {
    let log = std::fs::File::create(log).unwrap();
    let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(log).spawn().ok()?;
    let server = Server(child, address);
    wait_for(program, || (Call::new(address, "GET", ready).try_send()?.status == 200).then_some(()));
    Some(server)
}

/// Prometheus that scrapes a page with [`METRICS`].
fn prometheus(home: &Home) -> Option<Server> {
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = page.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in page.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{METRICS}", METRICS.len());
        }
    });
    let config = home.path("prometheus.yml");
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
         - job_name: shop\n  static_configs: [ {{ targets: ['{target}'] }} ]\n"
    );
    std::fs::write(&config, scrape).unwrap();
    let address = free_address();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", home.path("prometheus").display()),
        format!("--web.listen-address={address}"),
    ];
    start("prometheus", address, "/-/ready", &arguments, &home.path("prometheus.log"))
}

/// VictoriaMetrics into which [`METRICS`] were imported.
fn victoria(home: &Home) -> Option<Server> {
    let address = free_address();
    let arguments = [
        format!("-storageDataPath={}", home.path("victoria").display()),
        format!("-httpListenAddr={address}"),
        "-search.latencyOffset=0s".to_owned(),
    ];
    let server = start("victoria-metrics", address, "/health", &arguments, &home.path("victoria.log"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let lines = METRICS.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l} {}\n", now - 2000));
    let import = Call::new(address, "POST", "/api/v1/import/prometheus").body(lines.collect::<String>());
    assert_eq!(import.send().status, 204);
    Some(server)
}

fn query(address: SocketAddr, query: &str, time: &str) -> Value {
    let form = [("query", query), ("time", time), ("nocache", "1")];
    let answer = Call::new(address, "POST", "/api/v1/query").form(&form).send();
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json["data"].clone()
}

/// Label sets with values, in order: the servers order as they like.
fn rows(data: &Value) -> Vec<String> {
    let mut rows: Vec<String> = data["result"].as_array().unwrap().iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

fn serves_what_it_holds(home: &Home, server: &Server) {
    let wanted = |q: &str| (!rows(&query(server.1, q, &now())).is_empty()).then_some(());
    wait_for("the server has the samples", || wanted("sum(shop_requests_total)"));
    wait_for("the server has the samples", || wanted("shop_queue_length"));
    let keep = home.keep(format!("source: {{ prometheus: 'http://{}' }}\n", server.1));
    let up = Up::start(home, Some(&keep));
    for text in QUERIES {
        // An instant that is over: scrapes go on while we ask.
        let at = now();
        let (theirs, ours) = (query(server.1, text, &at), query(up.address, text, &at));
        assert!(!rows(&theirs).is_empty(), "{text}");
        assert_eq!(rows(&ours), rows(&theirs), "{text}");
    }
    let series = up.get("/api/v1/series?match[]=shop_requests_total");
    assert_eq!(series["data"].as_array().unwrap().len(), 2, "{series}");
    let codes = up.get("/api/v1/label/code/values");
    assert_eq!(codes["data"], serde_json::json!(["200", "500"]));
    wait_for("our own series are there beside theirs", || {
        let own = up.query("count({job=\"wellkept\"})").json;
        own["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok().filter(|n| *n > 50.0)
    });
}

fn now() -> String {
    format!("{:.3}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64())
}

#[test]
fn a_prometheus_is_read_as_if_its_series_were_ours() {
    let home = Home::new();
    match prometheus(&home) {
        Some(server) => serves_what_it_holds(&home, &server),
        None => skipped("prometheus is not installed"),
    }
}

#[test]
fn a_victoria_metrics_is_read_as_if_its_series_were_ours() {
    let home = Home::new();
    match victoria(&home) {
        Some(server) => serves_what_it_holds(&home, &server),
        None => skipped("victoria-metrics is not installed"),
    }
}

#[test]
fn a_server_that_is_away_is_named_and_our_own_host_is_still_shown() {
    let home = Home::new();
    let nobody = free_address();
    let keep = home.keep(format!("source: {{ prometheus: 'http://{nobody}' }}\n"));
    let up = Up::start(&home, Some(&keep));
    let answer = up.query("shop_queue_length");
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(answer.text.contains(&nobody.to_string()), "{}", answer.text);
    let host = up.overview()["host"].as_str().unwrap().to_owned();
    let own = format!("node_load1{{instance=\"{host}\",job=\"wellkept\"}}");
    wait_for("our own series", || {
        let answer = up.query(&own);
        (answer.status == 200 && !rows(&answer.json["data"]).is_empty()).then_some(())
    });
}
