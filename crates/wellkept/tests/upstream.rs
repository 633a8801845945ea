//! Series of a server that the user already has: the real Prometheus and the real VictoriaMetrics, started here.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::{
    Call, Home, Server, Site, Up, free_address, now_ms, query_at, rows, seconds, skipped, wait_for,
};

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

/// Prometheus that scrapes a page with [`METRICS`].
fn prometheus(home: &Home, page: &Site) -> Option<Server> {
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
         - job_name: shop\n  static_configs: [ {{ targets: ['{}'] }} ]\n",
        page.address
    );
    Server::prometheus(home, "prometheus", &scrape, &[])
}

/// VictoriaMetrics into which [`METRICS`] were imported.
fn victoria(home: &Home) -> Option<Server> {
    let server = Server::victoria(home)?;
    let lines = METRICS.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l} {}\n", now_ms() - 2000));
    let import =
        Call::new(server.address, "POST", "/api/v1/import/prometheus").body(lines.collect::<String>());
    assert_eq!(import.send().status, 204);
    server.show_now();
    Some(server)
}

fn serves_what_it_holds(home: &Home, server: &Server) {
    let wanted = |q: &str| (!rows(&server.query(q, &now())).is_empty()).then_some(());
    wait_for("the server has the samples", || wanted("sum(shop_requests_total)"));
    wait_for("the server has the samples", || wanted("shop_queue_length"));
    let keep = home.keep(format!("source: {{ prometheus: 'http://{}' }}\n", server.address));
    let up = Up::start(home, Some(&keep));
    for text in QUERIES {
        // An instant that is over: scrapes go on while we ask.
        let at = now();
        let (theirs, ours) = (server.query(text, &at), query_at(up.address, text, &at));
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
    seconds(now_ms())
}

#[test]
fn a_prometheus_is_read_as_if_its_series_were_ours() {
    let home = Home::new();
    let page = Site::page(METRICS);
    match prometheus(&home, &page) {
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

#[test]
fn rules_are_evaluated_over_the_series_of_a_server_that_is_elsewhere() {
    let home = Home::new();
    let Some(server) = victoria(&home) else {
        return skipped("victoria-metrics is not installed");
    };
    let rules = "groups: [{ name: g, interval: 200ms, rules: [\
        { record: shop:errors:ratio, expr: 'shop_requests_total{code=\"500\"} / on() sum(shop_requests_total)' },\
        { alert: QueueLong, expr: 'shop_queue_length > 4 and shop:errors:ratio > 0.1', labels: { severity: warning } } ] }]\n";
    let path = home.path("shop.rules.yml");
    std::fs::write(&path, rules.replace("and shop", "and on() shop")).unwrap();
    let keep = home.keep(format!(
        "source: {{ prometheus: 'http://{}' }}\nmetrics: {{ rules: [{}] }}\n",
        server.address,
        path.display()
    ));
    let up = Up::start(&home, Some(&keep));
    wait_for("the alert fires", || {
        let alerts = up.get("/api/v1/alerts")["data"]["alerts"].as_array().unwrap().clone();
        alerts.iter().any(|a| a["state"] == "firing").then_some(())
    });
    wait_for("what is recorded is ours", || {
        let value = up.query("shop:errors:ratio").json["data"]["result"][0]["value"][1].clone();
        (value == "0.15").then_some(())
    });
    wait_for("it is an incident", || {
        let all = up.incidents();
        all.iter()
            .any(|i| up.incident(i["id"].as_str().unwrap()).to_string().contains("QueueLong"))
            .then_some(())
    });
    let theirs = server.query("shop:errors:ratio", &now());
    assert!(rows(&theirs).is_empty(), "nothing is written to the other server");
}
