//! One configuration, one exporter, two readers: what a real Prometheus makes of them, we make of them too.

#![allow(clippy::disallowed_methods, reason = "the exporter of this test stamps a sample itself")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use common::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wellkept_model::{METRIC_NAME, is_stale};
use wellkept_scrape::manager::Manager;

const PROMETHEUS: &str = "/usr/bin/prometheus";

const METRICS: &str = r#"# HELP a Something.
# TYPE a gauge
a 1
a{job="own",instance="own",exported_job="x"} 2
b_total{path="/x",Code="200",pod_name="p1"} 3
b_total{path="/y",Code="500",pod_name="p2"} 4
go_goroutines 5
with_own_time 6 {now}
temp{site="Zürich",empty=""} -1.5
long{a="1",b="2",c="3",d="4"} 7
"#;

fn configuration(address: SocketAddr) -> String {
    format!(
        r#"global:
  scrape_interval: 500ms
  scrape_timeout: 400ms
scrape_configs:
  - job_name: plain
    static_configs:
      - targets: ['{address}']
        labels: {{ env: prod, __meta_zone: z1, __private: gone }}
    relabel_configs:
      - {{ source_labels: [__meta_zone], target_label: zone, regex: '(.)(\d)', replacement: '$1-${{2}}' }}
      - {{ action: labelmap, regex: '__meta_(.+)', replacement: 'm_$1' }}
      - {{ source_labels: [__address__, env], action: hashmod, modulus: 17, target_label: shard, separator: '@' }}
      - {{ source_labels: [env], action: uppercase, target_label: loud }}
  - job_name: honored
    honor_labels: true
    metrics_path: /elsewhere
    params: {{ 'match[]': [up, 'a b'], z: [] }}
    static_configs: [{{ targets: ['{address}'], labels: {{ path: target }} }}]
  - job_name: relabeled
    static_configs: [{{ targets: ['{address}', 'dropped:1', 'kept:2'] }}]
    relabel_configs:
      - {{ source_labels: [__address__], regex: 'dropped.*', action: drop }}
      - {{ source_labels: [__address__], regex: 'kept:.*', target_label: __address__, replacement: '{address}' }}
      - {{ source_labels: [__address__], target_label: __param_target }}
      - {{ target_label: __metrics_path__, replacement: /probe }}
    metric_relabel_configs:
      - {{ source_labels: [__name__], regex: 'go_.*', action: drop }}
      - {{ action: labeldrop, regex: 'pod_.*' }}
      - {{ source_labels: [path], regex: '/(.*)', target_label: '${{1}}_path', replacement: found }}
      - {{ source_labels: [Code], target_label: code }}
      - {{ action: labelkeep, regex: '__name__|job|instance|code|path|.*_path|site' }}
      - {{ source_labels: [site], action: lowercase, target_label: site }}
      - {{ source_labels: [__name__], regex: '(.*)_total', target_label: __name__ }}
  - job_name: limited
    sample_limit: 3
    static_configs: [{{ targets: ['{address}'] }}]
  - job_name: labels_limited
    label_limit: 5
    static_configs: [{{ targets: ['{address}'] }}]
"#
    )
}

/// GET over HTTP/1.0; `None` while nobody answers.
async fn get(address: SocketAddr, path: &str) -> Option<Value> {
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

type Pairs = BTreeMap<String, String>;

fn pairs(json: &Value) -> Pairs {
    serde_json::from_value(json.clone()).expect("labels are texts")
}

/// The scrapes whose counts are compared: what varies from scrape to scrape is left out.
const COUNTS: [&str; 3] = ["up", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"];

/// Labels of all series, and the values of those whose value does not depend on time.
async fn prometheus_says(address: SocketAddr) -> Option<BTreeMap<Pairs, Option<String>>> {
    let series = get(address, "/api/v1/series?match[]={job=~%22.%2B%22}").await?;
    let series = series["data"].as_array()?.iter().map(|s| (pairs(s), None));
    let mut all: BTreeMap<Pairs, Option<String>> = series.collect();
    let now = get(address, "/api/v1/query?query={job=~%22.%2B%22}").await?;
    for one in now["data"]["result"].as_array()? {
        let labels = pairs(&one["metric"]);
        if !labels[METRIC_NAME].starts_with("scrape_") || COUNTS.contains(&labels[METRIC_NAME].as_str()) {
            let value: f64 = one["value"][1].as_str()?.parse().ok()?;
            all.insert(labels, Some(value.to_string()));
        }
    }
    Some(all)
}

fn we_say(memory: &Memory) -> BTreeMap<Pairs, Option<String>> {
    let mut all = BTreeMap::new();
    for scraped in memory.all() {
        let stamped = scraped.stamped.iter().map(|(labels, s)| (labels, Some(s.value.to_string())));
        let samples = scraped.batch.samples.iter().map(|(labels, value)| {
            let name = labels.name();
            let told = !name.starts_with("scrape_") || COUNTS.contains(&name);
            (labels, (told && !is_stale(*value)).then(|| value.to_string()))
        });
        for (labels, value) in samples.chain(stamped) {
            let labels: Pairs = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            all.insert(labels, value);
        }
    }
    all
}

#[tokio::test]
async fn the_same_series_and_targets_come_of_the_same_file() {
    if !std::path::Path::new(PROMETHEUS).exists() {
        return skipped("prometheus is not installed");
    }
    // Prometheus takes samples of the last hour only.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let text = METRICS.replace("{now}", &now.as_millis().to_string());
    let exporter = Server::start(move |_| Some(metrics(&text))).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = configuration(exporter.address);
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, &text).expect("it can be written");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let _prometheus = tokio::process::Command::new(PROMETHEUS)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");

    let memory = Memory::new();
    let manager = Manager::new(Arc::new(|| Box::new(Lines)), Arc::clone(&memory) as _);
    manager.apply(&config(&text));
    let jobs = |all: &[wellkept_scrape::Scraped]| {
        let seen: BTreeSet<_> = all.iter().map(|s| s.batch.target.clone()).collect();
        seen.len()
    };
    memory.wait("all targets", |all| jobs(all) == 5).await;
    let ours = we_say(&memory);
    assert!(ours.len() > 40, "{ours:#?}");

    let mut theirs = None;
    let same = async {
        loop {
            theirs = prometheus_says(address).await;
            // It has seen everything once it knows as many series; what they are is compared below.
            if theirs.as_ref().is_some_and(|t| t.len() >= ours.len()) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, same).await;
    let theirs = theirs.expect("Prometheus answers");
    let only = |a: &BTreeMap<Pairs, Option<String>>, b: &BTreeMap<Pairs, Option<String>>| {
        a.iter()
            .filter(|(k, v)| b.get(*k) != Some(v))
            .map(|(k, v)| format!("{k:?} {v:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (vec![], vec![]), "{in_time:?}");
    targets_are_the_same(&manager, &get(address, "/api/v1/targets").await.expect("Prometheus answers"));
}

fn targets_are_the_same(manager: &Manager, theirs: &Value) {
    let own = |labels: &wellkept_model::Labels| -> Pairs {
        labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    let targets = manager.targets();
    let ours: BTreeSet<_> = targets
        .active
        .iter()
        .map(|t| (own(&t.labels), own(&t.discovered_labels), t.scrape_url.clone(), t.health.to_owned()))
        .collect();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let active = theirs["data"]["activeTargets"].as_array().expect("a list").iter();
    let theirs_active: BTreeSet<_> = active
        .map(|t| {
            (pairs(&t["labels"]), pairs(&t["discoveredLabels"]), text(&t["scrapeUrl"]), text(&t["health"]))
        })
        .collect();
    assert_eq!(ours, theirs_active);
    let dropped: BTreeSet<_> = targets.dropped.iter().map(|t| own(&t.discovered_labels)).collect();
    let theirs_dropped = theirs["data"]["droppedTargets"].as_array().expect("a list").iter();
    assert_eq!(dropped, theirs_dropped.map(|t| pairs(&t["discoveredLabels"])).collect());
}

#[test]
fn the_file_that_the_package_installs_is_read() {
    let path = "/etc/prometheus/prometheus.yml";
    let Ok(text) = std::fs::read_to_string(path) else {
        return skipped("prometheus is not installed");
    };
    let config = config(&text);
    let jobs: Vec<&str> = config.scrapes.iter().map(|s| s.job.as_str()).collect();
    assert!(jobs.contains(&"prometheus") && jobs.contains(&"node"), "{jobs:?}");
}
