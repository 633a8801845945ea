//! Samples that are sent on to other people's servers: all of them, also after outages of either side.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{
    Home, Reply, Server, Site, Up, free_address, now_ms, query_at, rows, seconds, skipped, wait_for,
};
use serde_json::Value;

/// A page whose counter rises with each scrape.
fn counting() -> Site {
    let count = AtomicU64::new(0);
    Site::start(move |_| {
        Reply::metrics(format!("shop_orders_total {}\n", count.fetch_add(1, Ordering::SeqCst)))
    })
}

fn keep(home: &Home, page: &Site, receiver: &str) -> PathBuf {
    let path = home.path("scrape.yml");
    let text = format!(
        "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {{ site: north }} }}\n\
         scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{}'] }}] }}]\n\
         remote_write: [{{ url: '{receiver}', queue_config: {{ batch_send_deadline: 200ms, max_backoff: 300ms }},\
         write_relabel_configs: [{{ source_labels: [__name__], regex: 'scrape_.*', action: drop }}] }}]\n",
        page.address
    );
    std::fs::write(&path, text).unwrap();
    home.keep(format!("metrics: {{ scrape: {} }}\n", path.display()))
}

/// Time and value of the samples of the one series that a selector finds, up to an instant.
fn samples(server: SocketAddr, selector: &str, at: i64) -> Vec<(String, String)> {
    let data = query_at(server, &format!("{selector}[10m]"), &seconds(at));
    let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|v: &Value| (v[0].to_string(), v[1].as_str().unwrap().to_owned())).collect()
}

fn count(up: &Up) -> usize {
    samples(up.address, "shop_orders_total", now_ms()).len()
}

#[track_caller]
fn wait_for_samples(up: &Up, more: usize) {
    let before = count(up);
    wait_for("it scrapes", || (count(up) >= before + more).then_some(()));
}

/// All samples that we have up to now come to be at the receiver, and nothing else.
#[track_caller]
fn all_arrive(up: &Up, receiver: SocketAddr) {
    all_arrive_once(up, receiver, &|| {});
}

/// The same for a receiver that has to be `asked` to show what it was sent.
#[track_caller]
fn all_arrive_once(up: &Up, receiver: SocketAddr, asked: &dyn Fn()) {
    let at = now_ms();
    let ours = samples(up.address, "shop_orders_total", at);
    assert!(ours.len() > 3, "{ours:?}");
    let last = ours.last().unwrap().clone();
    wait_for("the last sample arrives", || {
        asked();
        samples(receiver, "shop_orders_total{site=\"north\"}", at).contains(&last).then_some(())
    });
    let theirs = samples(receiver, "shop_orders_total{site=\"north\"}", at);
    let missing: Vec<_> = ours.iter().filter(|s| !theirs.contains(s)).collect();
    assert!(missing.is_empty(), "of {} samples these did not arrive: {missing:?}", ours.len());
}

fn prometheus(home: &Home, address: SocketAddr) -> Option<Server> {
    let config = "global: { scrape_interval: 1h }\n";
    Server::prometheus_at(home, "receiver", address, config, &["--web.enable-remote-write-receiver"])
}

#[test]
fn nothing_is_lost_while_a_prometheus_is_away_and_we_are_killed() {
    let (home, page, address) = (Home::new(), counting(), free_address());
    let Some(server) = prometheus(&home, address) else {
        return skipped("prometheus is not installed");
    };
    let keep = keep(&home, &page, &format!("http://{address}/api/v1/write"));
    let up = Up::store(&home, Some(&keep));
    wait_for_samples(&up, 5);
    all_arrive(&up, address);
    let names = rows(&query_at(address, "count by (__name__) ({site=\"north\"})", &seconds(now_ms())));
    assert_eq!(names.len(), 2, "what relabeling drops is not sent: {names:?}");

    drop(server);
    wait_for_samples(&up, 5);
    up.kill();
    let up = Up::store(&home, Some(&keep));
    wait_for_samples(&up, 5);
    let queue = home.data().join("sending");
    assert!(queue.is_dir(), "what waits is on disk");
    let server = prometheus(&home, address).unwrap();
    all_arrive(&up, address);

    // Killed while the receiver is there, and after a good end, too.
    up.kill();
    let up = Up::store(&home, Some(&keep));
    wait_for_samples(&up, 3);
    assert_eq!(up.terminate(), Some(0));
    let up = Up::store(&home, Some(&keep));
    wait_for_samples(&up, 3);
    all_arrive(&up, address);
    drop(server);
}

#[test]
fn a_victoria_metrics_gets_what_is_scraped() {
    let (home, page) = (Home::new(), counting());
    let Some(server) = Server::victoria(&home) else {
        return skipped("victoria-metrics is not installed");
    };
    let keep = keep(&home, &page, &format!("http://{}/api/v1/write", server.address));
    let up = Up::store(&home, Some(&keep));
    wait_for_samples(&up, 5);
    all_arrive_once(&up, server.address, &|| server.show_now());
}

#[test]
fn what_a_receiver_refuses_for_good_blocks_nothing_behind_it() {
    let (home, page) = (Home::new(), counting());
    let answered = AtomicU64::new(0);
    let receiver = Site::start(move |_| match answered.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429).header("retry-after", "0"),
        2 => Reply::status(400),
        _ => Reply::status(204),
    });
    let keep = keep(&home, &page, &format!("http://{}/w", receiver.address));
    let up = Up::store(&home, Some(&keep));
    wait_for("it goes on", || (receiver.seen().len() > 5).then_some(()));
    let seen = receiver.seen();
    assert_eq!(seen[0].body, seen[1].body, "after 503 the same again");
    assert_eq!(seen[1].body, seen[2].body, "after 429 the same again");
    assert_ne!(seen[2].body, seen[3].body, "after 400 the next");
    assert_eq!(seen[0].header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!(seen[0].header("content-encoding"), "snappy");
    assert!(seen[0].header("user-agent").to_lowercase().starts_with("wellkept"), "{:?}", seen[0]);
    drop(up);
}

#[test]
fn what_this_host_measures_and_rules_record_is_sent_on_too() {
    let (home, page) = (Home::new(), counting());
    let address = free_address();
    let Some(server) = prometheus(&home, address) else {
        return skipped("prometheus is not installed");
    };
    let rules = "groups: [{ name: g, interval: 200ms, rules: [{ record: shop:doubled, expr: 2 * shop_orders_total }] }]";
    std::fs::write(home.path("shop.rules.yml"), rules).unwrap();
    let _ = keep(&home, &page, &format!("http://{address}/api/v1/write"));
    let keep = home.keep(format!(
        "metrics: {{ scrape: {}, rules: [{}] }}\n",
        home.path("scrape.yml").display(),
        home.path("shop.rules.yml").display()
    ));
    let up = Up::start(&home, Some(&keep));
    let theirs = |query: &str| rows(&server.query(query, &seconds(now_ms())));
    for selector in ["shop:doubled{site=\"north\"}", "node_load1{job=\"wellkept\",site=\"north\"}"] {
        wait_for(selector, || (!theirs(selector).is_empty()).then_some(()));
    }
    // The same values at the same times.
    let at = now_ms();
    let ours = samples(up.address, "node_load1", at);
    assert!(!ours.is_empty());
    wait_for("all of it comes", || (samples(address, "node_load1", at) == ours).then_some(()));
}

#[test]
fn two_of_us_speak_remote_write_two() {
    let (here, there, page) = (Home::new(), Home::new(), counting());
    let receiver = Up::store(&there, None);
    let keep = keep(&here, &page, &format!("http://{}/api/v1/write", receiver.address));
    let path = here.path("scrape.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let second = "remote_write: [{ protobuf_message: io.prometheus.write.v2.Request, ";
    std::fs::write(&path, text.replace("remote_write: [{ ", second)).unwrap();
    let up = Up::store(&here, Some(&keep));
    wait_for_samples(&up, 5);
    all_arrive(&up, receiver.address);
    // What is pushed to us goes on too, also when we know the series by its bytes already.
    for value in [1, 2, 3] {
        let at = now_ms();
        let pushed = up
            .call("POST", "/api/v1/import/prometheus")
            .body(format!("pushed{{a=\"b\"}} {value} {at}\n"))
            .send();
        assert_eq!(pushed.status, 204, "{}", pushed.text);
        let last = wait_for("the pushed sample arrives", || {
            let theirs = samples(receiver.address, "pushed{a=\"b\",site=\"north\"}", now_ms());
            theirs.last().filter(|(_, v)| *v == value.to_string()).cloned()
        });
        assert_eq!(last.0.0, serde_json::json!(at as f64 / 1000.0).to_string());
    }
    // The end of a series is sent on, too; without it the last value would be shown for five minutes.
    drop(page);
    wait_for("its series end there", || {
        let found = receiver.query("shop_orders_total").json;
        (found["status"] == "success" && rows(&found["data"]).is_empty()).then_some(())
    });
    assert!(!samples(receiver.address, "shop_orders_total", now_ms()).is_empty());
}
