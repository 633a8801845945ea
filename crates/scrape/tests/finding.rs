//! Targets are found: in files, by a server, by names; and a real exporter is scraped.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use http_body_util::Full;
use hyper::Response;
use wellkept_scrape::manager::Manager;

fn manager() -> (Manager, Arc<Memory>) {
    let memory = Memory::new();
    (Manager::new(Arc::new(|| Box::new(Lines)), Arc::clone(&memory) as _), memory)
}

fn found_by(source: &str) -> wellkept_scrape::config::Config {
    config(&format!(
        "scrape_configs:\n  - job_name: j\n    scrape_interval: 50ms\n    scrape_timeout: 50ms\n{source}"
    ))
}

/// Waits until exactly these targets are scraped, by their label `n`.
async fn until(manager: &Manager, wanted: &[&str]) {
    let all = async {
        loop {
            let mut names: Vec<String> =
                manager.targets().active.iter().map(|t| t.labels.get("n").to_owned()).collect();
            names.sort();
            if names == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    in_time.unwrap_or_else(|_| panic!("{wanted:?}: not in time: {:?}", manager.targets()));
}

#[tokio::test]
async fn a_file_is_followed_while_it_changes() {
    let server = Server::metrics("a 1\n").await;
    let address = server.address;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("t.yml");
    let write = |text: String| std::fs::write(&file, text).expect("it can be written");
    write(format!("- {{ targets: ['{address}'], labels: {{ n: one }} }}\n"));
    let (manager, memory) = manager();
    manager.apply(&found_by(&format!(
        "    file_sd_configs: [{{ files: ['{}/*.yml'], refresh_interval: 100ms }}]\n",
        dir.path().display()
    )));
    until(&manager, &["one"]).await;
    memory.wait("one", |all| all.iter().any(|s| value(s, "a", &[("n", "one")]).is_some())).await;
    write(format!(
        "- {{ targets: ['{address}'], labels: {{ n: one }} }}\n- {{ targets: ['{address}'], labels: {{ n: two }} }}\n"
    ));
    until(&manager, &["one", "two"]).await;
    write("- { targets: [".to_owned());
    memory.wait("two", |all| all.iter().any(|s| value(s, "a", &[("n", "two")]).is_some())).await;
    assert_eq!(manager.targets().active.len(), 2, "a broken file keeps what it said");
    write(format!("- {{ targets: ['{address}'], labels: {{ n: two }} }}\n"));
    until(&manager, &["two"]).await;
    memory.wait("one ends", |all| all.iter().any(|s| value(s, "up", &[("n", "one")]) == Some(None))).await;
}

#[tokio::test]
async fn a_server_is_asked_and_its_last_answer_holds_when_it_fails() {
    let target = Server::metrics("a 1\n").await;
    let address = target.address;
    let round = AtomicUsize::new(0);
    let json = move |text: String| {
        Response::builder().header("content-type", "application/json").body(Full::from(text)).ok()
    };
    let server = Server::start(move |_| match round.fetch_add(1, Ordering::Relaxed) {
        0 => json(format!(r#"[{{"targets": ["{address}"], "labels": {{"n": "one"}}}}]"#)),
        1 => Some(status(500)),
        2 => json("nonsense: [".to_owned()),
        3 => Some(metrics("[]")),
        4 => json(format!(r#"[{{"targets": ["{address}"], "labels": {{"n": "two"}}}}]"#)),
        _ => json("[]".to_owned()),
    })
    .await;
    let (manager, memory) = manager();
    let source = format!(
        "    http_sd_configs: [{{ url: 'http://{}/sd', refresh_interval: 300ms, bearer_token: t }}]\n",
        server.address
    );
    manager.apply(&found_by(&source));
    until(&manager, &["one"]).await;
    server.wait(4).await;
    until(&manager, &["one"]).await;
    assert_eq!(manager.targets().source_errors.len(), 1);
    until(&manager, &["two"]).await;
    assert!(manager.targets().source_errors.is_empty());
    let seen = server.seen();
    assert_eq!((seen[0].path.as_str(), seen[0].header("authorization")), ("/sd", "Bearer t"));
    assert_eq!(seen[0].header("x-prometheus-refresh-interval-seconds"), "0.3");
    until(&manager, &[]).await;
    memory.wait("two ends", |all| all.iter().any(|s| value(s, "up", &[("n", "two")]) == Some(None))).await;
}

#[tokio::test]
async fn names_are_looked_up() {
    let server = Server::metrics("a 1\n").await;
    let (manager, memory) = manager();
    let port = server.address.port();
    manager.apply(&found_by(&format!(
        "    dns_sd_configs: [{{ names: [localhost], type: A, port: {port} }}]\n"
    )));
    memory.wait("it is found", |all| all.iter().any(|s| up(s) == Some(1.0))).await;
    assert_eq!(manager.targets().active[0].labels.get("instance"), format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_source_that_is_slow_takes_no_target_away() {
    let target = Server::metrics("a 1\n").await;
    let silent = Server::start(|_| None).await;
    let (manager, memory) = manager();
    let fixed =
        format!("    static_configs: [{{ targets: ['{}'], labels: {{ n: fixed }} }}]\n", target.address);
    manager.apply(&found_by(&fixed));
    memory.scrapes(1).await;
    // Now the same target is only told by a server that does not answer yet.
    manager.apply(&found_by(&format!("    http_sd_configs: [{{ url: 'http://{}/' }}]\n", silent.address)));
    let scraped = memory.all().len();
    memory.scrapes(scraped + 3).await;
    assert_eq!(manager.targets().active.len(), 1);
}

#[tokio::test]
async fn a_real_node_exporter_is_scraped() {
    let program = "/usr/bin/prometheus-node-exporter";
    if !std::path::Path::new(program).exists() {
        return skipped("prometheus-node-exporter is not installed");
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let _exporter = tokio::process::Command::new(program)
        .arg(format!("--web.listen-address={address}"))
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");
    let (manager, memory) = manager();
    manager.apply(&config(&format!(
        "scrape_configs:\n  - job_name: node\n    scrape_interval: 300ms\n    scrape_timeout: 300ms\n    \
         scrape_protocols: [PrometheusText0.0.4]\n    static_configs: [{{ targets: ['{address}'] }}]\n    \
         metric_relabel_configs: [{{ source_labels: [__name__], regex: 'go_.*', action: drop }}]\n"
    )));
    let good = |all: &[wellkept_scrape::Scraped]| all.iter().filter(|s| up(s) == Some(1.0)).count() >= 3;
    let all = memory.wait("three good scrapes", good).await;
    let last = all.iter().rev().find(|s| up(s) == Some(1.0)).expect("there are three");
    let scraped = value(last, "scrape_samples_scraped", &[]).flatten().expect("it is always there");
    let kept =
        value(last, "scrape_samples_post_metric_relabeling", &[]).flatten().expect("it is always there");
    assert!(scraped > 200.0 && kept < scraped, "{scraped} {kept}");
    assert!(value(last, "node_load1", &[("job", "node")]).flatten().is_some());
    assert!(last.batch.samples.iter().all(|(l, _)| !l.name().starts_with("go_")));
    assert!(last.stamped.is_empty());
}
