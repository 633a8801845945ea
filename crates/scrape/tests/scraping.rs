//! Targets are scraped: real servers, real connections.

mod common;

use std::io::Write;
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

#[tokio::test]
async fn a_target_is_scraped_at_its_pace_with_all_its_series() {
    let server = Server::metrics("a{x=\"1\"} 3\nb 4\n").await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, ""));
    let all = memory.scrapes(3).await;
    let address = server.address.to_string();
    for (n, scraped) in all.iter().enumerate() {
        assert_eq!(value(scraped, "a", &[("x", "1"), ("job", "j"), ("instance", &address)]), Some(Some(3.0)));
        assert_eq!(value(scraped, "b", &[]), Some(Some(4.0)));
        assert_eq!(up(scraped), Some(1.0));
        assert_eq!(value(scraped, "scrape_samples_scraped", &[]), Some(Some(2.0)));
        let added = if n == 0 { 2.0 } else { 0.0 };
        assert_eq!(value(scraped, "scrape_series_added", &[]), Some(Some(added)));
        assert!(value(scraped, "scrape_duration_seconds", &[]).flatten().is_some_and(|d| d > 0.0));
        assert_eq!(scraped.batch.target.get("instance"), address);
    }
    for pair in all.windows(2) {
        assert!(pair[1].batch.at > pair[0].batch.at);
    }
    let seen = server.seen();
    assert!(seen.iter().all(|s| s.connection == 0), "the connection is kept");
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("GET", "/metrics"));
    assert!(
        seen[0]
            .header("accept")
            .starts_with("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,")
    );
    assert_eq!(seen[0].header("accept-encoding"), "gzip");
    assert_eq!(seen[0].header("x-prometheus-scrape-timeout-seconds"), "0.1");
    assert!(seen[0].header("user-agent").starts_with("wellkept/"));
}

#[tokio::test]
async fn a_compressed_answer_is_read() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a 1\n").expect("memory");
    let body = gzip.finish().expect("memory");
    let server = Server::start(move |_| {
        let reply =
            Response::builder().header("content-type", "text/plain").header("content-encoding", "gzip");
        reply.body(Full::from(body.clone())).ok()
    })
    .await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, ""));
    assert_eq!(value(&memory.scrapes(1).await[0], "a", &[]), Some(Some(1.0)));
}

#[tokio::test]
async fn series_that_go_and_targets_that_fail_end() {
    let round = AtomicUsize::new(0);
    let server = Server::start(move |_| match round.fetch_add(1, Ordering::Relaxed) {
        0 => Some(metrics("a 1\nb 1\n")),
        1 => Some(metrics("a 1\n")),
        2 => Some(status(503)),
        3 => Some(metrics("a 1\n")),
        4 => Some(metrics("a 1\nthis is no sample\n")),
        5 => Some(metrics("a 1\n")),
        6 => None,
        _ => Some(metrics("a 1\n")),
    })
    .await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, ""));
    let all = memory.scrapes(8).await;
    let told: Vec<_> = all.iter().take(8).map(|s| (value(s, "a", &[]), value(s, "b", &[]), up(s))).collect();
    let (here, gone) = (Some(Some(1.0)), Some(None));
    assert_eq!(
        told,
        [
            (here, here, Some(1.0)),
            (here, gone, Some(1.0)),
            (gone, None, Some(0.0)),
            (here, None, Some(1.0)),
            (gone, None, Some(0.0)),
            (here, None, Some(1.0)),
            (gone, None, Some(0.0)),
            (here, None, Some(1.0)),
        ]
    );
}

#[tokio::test]
async fn failures_say_why() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = closed.local_addr().expect("it is bound");
    drop(closed);
    let long: &'static str = Box::leak("a 1\n".repeat(1000).into_boxed_str());
    let html =
        |_: &Seen| Response::builder().header("content-type", "text/html").body(Full::from("a 1\n")).ok();
    let bad_gzip = |_: &Seen| {
        let reply =
            Response::builder().header("content-type", "text/plain").header("content-encoding", "gzip");
        reply.body(Full::from("no gzip")).ok()
    };
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b'#'; 1 << 20]).expect("memory");
        gzip.finish().expect("memory")
    };
    let bomb = move |_: &Seen| {
        let reply =
            Response::builder().header("content-type", "text/plain").header("content-encoding", "gzip");
        reply.body(Full::from(bomb.clone())).ok()
    };
    for (server, keys, why) in [
        (None, "", "connection refused"),
        (Some(Server::start(|_| Some(status(404))).await), "", "server returned HTTP status 404 Not Found"),
        (Some(Server::start(|_| None).await), "", "no complete answer within 100ms"),
        (Some(Server::start(html).await), "", "Content-Type \"text/html\""),
        (Some(Server::start(bad_gzip).await), "", "cannot be decompressed"),
        (Some(Server::start(bomb).await), "    body_size_limit: 64KB\n", "body size limit exceeded"),
        (
            Some(Server::metrics(long).await),
            "    body_size_limit: 1KB\n",
            "body size limit exceeded (1024 bytes)",
        ),
        (Some(Server::metrics("a 1\nb 1\n").await), "    sample_limit: 1\n", "sample limit exceeded"),
        (
            Some(Server::metrics("a 1\n").await),
            "    target_limit: 1\n    dns_sd_configs: [{ names: [localhost], type: A, port: 1 }]\n",
            "target_limit exceeded",
        ),
        (Some(Server::metrics("no sample\n").await), "", "no sample"),
    ] {
        let (manager, memory) = manager();
        let address = server.as_ref().map_or(address, |s| s.address);
        manager.apply(&job(address, keys));
        memory.wait(why, |_| manager.targets().active.iter().any(|t| t.last_error.contains(why))).await;
        let targets = manager.targets().active;
        assert!(targets.iter().any(|t| t.last_error.contains(why) && t.health == "down"), "{targets:?}");
        memory.wait("a scrape that failed", |all| all.iter().any(|s| up(s) == Some(0.0))).await;
    }
}

#[tokio::test]
async fn times_of_samples_are_honored_or_not() {
    let server = Server::metrics("a 1 1700000000000\n").await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, ""));
    let scraped = memory.scrapes(1).await.remove(0);
    assert_eq!(scraped.stamped[0].1.at.0, 1_700_000_000_000);
    assert_eq!(value(&scraped, "a", &[]), None);
    manager.apply(&job(server.address, "    honor_timestamps: false\n"));
    memory.wait("our time", |all| all.last().is_some_and(|s| value(s, "a", &[]) == Some(Some(1.0)))).await;
}

#[tokio::test]
async fn a_reload_keeps_what_did_not_change_and_ends_what_has_gone() {
    let (a, b) = (Server::metrics("a 1\n").await, Server::metrics("b 1\n").await);
    let (manager, memory) = manager();
    let both = |rule: &str| {
        config(&format!(
            "scrape_configs:
  - job_name: j
    scrape_interval: 100ms
    scrape_timeout: 100ms
    static_configs: [{{ targets: ['{}', '{}'] }}]
{rule}",
            a.address, b.address
        ))
    };
    manager.apply(&both(""));
    memory.wait("both", |all| all.iter().any(|s| value(s, "b", &[]).is_some())).await;
    memory.wait("both", |all| all.iter().any(|s| value(s, "a", &[]).is_some())).await;
    // The same target under another rule: its old series end, and its connection is kept.
    manager.apply(&both("    metric_relabel_configs: [{ target_label: new, replacement: x }]\n"));
    memory.wait("b new", |all| all.iter().any(|s| value(s, "b", &[("new", "x")]).is_some())).await;
    let all = memory.wait("a new", |all| all.iter().any(|s| value(s, "a", &[("new", "x")]).is_some())).await;
    let first = all.iter().find(|s| value(s, "a", &[("new", "x")]).is_some()).expect("it was seen");
    assert_eq!(value(first, "a", &[("new", "")]), Some(None), "the series without the label ends");
    // One target goes.
    manager.apply(&job(a.address, ""));
    memory.wait("b ends", |all| all.iter().any(|s| value(s, "b", &[("new", "x")]) == Some(None))).await;
    let ends = memory.all();
    let end = ends.iter().find(|s| value(s, "b", &[("new", "x")]) == Some(None)).expect("it was seen");
    assert_eq!(value(end, "up", &[]), Some(None));
    assert_eq!(manager.targets().active.len(), 1);
    assert!(a.seen().iter().all(|s| s.connection == 0), "the connection of a is kept");
    // The whole job goes.
    manager.apply(&config(""));
    let a = a.address.to_string();
    memory.wait("a ends", |all| all.iter().any(|s| value(s, "up", &[("instance", &a)]) == Some(None))).await;
    assert!(manager.targets().active.is_empty());
}

#[tokio::test]
async fn stopping_ends_no_series() {
    let server = Server::metrics("a 1\n").await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, ""));
    memory.scrapes(2).await;
    manager.shutdown().await;
    let all = memory.all();
    assert!(all.iter().all(|s| value(s, "a", &[]) == Some(Some(1.0)) && up(s) == Some(1.0)));
    let asked = server.seen().len();
    tokio::time::timeout(std::time::Duration::from_millis(300), server.wait(asked + 1))
        .await
        .expect_err("nobody asks any more");
}

#[tokio::test]
async fn targets_are_shown_as_they_are() {
    let server = Server::metrics("a 1\n").await;
    let (manager, memory) = manager();
    let keys = "    relabel_configs:
      - { source_labels: [__address__], regex: 'gone:1', action: drop }
      - { source_labels: [__address__], regex: 'no-time:1', target_label: __scrape_interval__, replacement: x }\n";
    let text = format!("{:?}", server.address);
    manager.apply(&config(&format!(
        "scrape_configs:\n  - job_name: j\n    scrape_interval: 100ms\n    scrape_timeout: 50ms\n    \
         static_configs: [{{ targets: ['{text}', 'gone:1', 'no-time:1'], labels: {{ env: prod }} }}]\n{keys}"
    )));
    assert_eq!(manager.targets().active[0].health, "unknown");
    let scraped = memory.scrapes(1).await.remove(0);
    let targets = manager.targets().seen_from_elsewhere("box.example");
    let [target] = targets.active.as_slice() else { panic!("{targets:?}") };
    assert_eq!((target.health, target.last_error.as_str()), ("up", ""));
    assert!(target.last_scrape >= Some(scraped.batch.at));
    assert_eq!(target.scrape_url, format!("http://{}/metrics", server.address));
    assert_eq!(target.global_url, format!("http://box.example:{}/metrics", server.address.port()));
    assert_eq!(target.discovered_labels.get("__address__"), server.address.to_string());
    assert_eq!(target.labels.get("env"), "prod");
    assert_eq!(target.scrape_timeout.as_millis(), 50);
    let [gone, refused] = targets.dropped.as_slice() else { panic!("{targets:?}") };
    assert_eq!((gone.discovered_labels.get("__address__"), gone.reason.as_str()), ("gone:1", ""));
    assert!(refused.reason.contains("no time above zero"), "{refused:?}");
    assert_eq!(targets.dropped_counts, [("j".to_owned(), 2)]);
}

/// Fails in the way that no parser should.
struct Panics;

impl wellkept_scrape::Parser for Panics {
    fn parse(
        &mut self,
        page: &wellkept_scrape::Page<'_>,
        sink: &mut dyn wellkept_model::Sink,
    ) -> Result<(), String> {
        assert!(!page.body.starts_with(b"bad"), "a fault of the parser");
        Lines.parse(page, sink)
    }
}

#[tokio::test]
async fn a_fault_of_the_parser_costs_one_scrape() {
    let round = AtomicUsize::new(0);
    let server = Server::start(move |_| match round.fetch_add(1, Ordering::Relaxed) {
        1 => Some(metrics("bad 1\n")),
        _ => Some(metrics("a 1\n")),
    })
    .await;
    let memory = Memory::new();
    let manager = Manager::new(Arc::new(|| Box::new(Panics)), Arc::clone(&memory) as _);
    manager.apply(&job(server.address, ""));
    let all = memory.scrapes(3).await;
    let told: Vec<_> = all.iter().take(3).map(|s| (value(s, "a", &[]), up(s))).collect();
    assert_eq!(told, [(Some(Some(1.0)), Some(1.0)), (Some(None), Some(0.0)), (Some(Some(1.0)), Some(1.0))]);
}
