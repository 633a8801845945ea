//! What one source sends too much is refused; the others and this host's own view notice nothing.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::fmt::Write as _;

use common::{Home, Up};

fn page(metric: &str, series: usize) -> String {
    (0..series).fold(String::new(), |mut page, i| {
        writeln!(page, "{metric}{{i=\"{i}\"}} 1").unwrap();
        page
    })
}

fn count(up: &Up, metric: &str) -> String {
    let result = up.query(&format!("count({metric})")).json["data"]["result"].clone();
    result[0]["value"][1].as_str().unwrap_or("0").to_owned()
}

#[test]
fn a_flood_of_series_stops_at_its_limit_and_graphite_of_another_source_goes_on() {
    let home = Home::new();
    let keep = home.keep("metrics: { limits: { series_per_source: 100 } }\n");
    let up = Up::start(&home, Some(&keep));
    let push = |text: String| up.call("POST", "/api/v1/import/prometheus").body(text).send().status;
    assert_eq!(push(page("flood", 500)), 400, "its sender is told");
    assert_eq!(count(&up, "flood"), "100");
    // Series that are known go on.
    assert_eq!(push(page("flood", 50)), 204);
    let limited = up.get("/api/v1/status/tsdb")["data"]["wellkept"]["limited"].clone();
    assert_eq!((&limited[0]["name"], &limited[0]["value"]), (&"127.0.0.1".into(), &400.into()));
    assert!(
        up.call("GET", "/metrics")
            .send()
            .text
            .contains("wellkept_store_refused_samples_total{reason=\"over_limit\"} 400")
    );
    // This host's own collection is no source that could be limited so.
    assert_ne!(count(&up, "{__name__=~\"node_.*\"}"), "0");
}

#[test]
fn a_source_that_sends_too_fast_is_told_when_to_come_again() {
    let home = Home::new();
    let keep = home.keep("metrics: { limits: { samples_per_second: 100 } }\n");
    let up = Up::start(&home, Some(&keep));
    let push = |text: String| up.call("POST", "/api/v1/import/prometheus").body(text).send();
    // Ten seconds' worth may come at once, and a body is taken whole.
    assert_eq!(push(page("fast", 3000)).status, 204);
    let refused = push(page("fast", 1));
    assert_eq!(refused.status, 429, "{}", refused.text);
    let wait: u32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((10..=30).contains(&wait), "{wait}");
    assert_eq!(count(&up, "fast"), "3000");
    assert!(
        up.call("GET", "/metrics")
            .send()
            .text
            .contains("wellkept_door_limited_bodies_total{door=\"import\"} 1")
    );
}
