//! `/federate`: the newest values of selected series as a page that another server scrapes.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use common::{NOW, Rows, World, request, send, text};
use wellkept_model::{Labels, Sample, SeriesData, TimestampMs, stale_marker};

fn series(labels: Labels, age_ms: i64, value: f64) -> SeriesData {
    let at = |age: i64| TimestampMs(NOW.0 - age);
    let samples = vec![Sample { at: at(age_ms + 1000), value: 7.0 }, Sample { at: at(age_ms), value }];
    SeriesData::floats(labels, samples)
}

fn world() -> World {
    let mut world = World::new();
    world.shared.source = Arc::new(Rows(vec![
        series(Labels::metric("b_total", [("instance", "x"), ("job", "web")]), 500, 5.0),
        series(Labels::metric("a", [("job", "rules")]), 500, 0.25),
        series(Labels::metric("gone", [("job", "web")]), 500, stale_marker()),
        series(Labels::metric("old", [("job", "web")]), 3_600_000, 1.0),
    ]));
    world
}

#[tokio::test]
async fn the_newest_value_of_each_series_comes_with_its_time_and_an_instance() {
    let at = NOW.0 - 500;
    let asked = request("GET", "/federate?match[]=%7Bjob%3D~%22.%2B%22%7D&match[]=a").body(Body::empty());
    let response = send(&world().router(), asked.unwrap()).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        text(response).await,
        format!(
            "# TYPE a untyped\na{{job=\"rules\",instance=\"\"}} 0.25 {at}\n\
             # TYPE b_total untyped\nb_total{{instance=\"x\",job=\"web\"}} 5 {at}\n"
        )
    );
}

#[tokio::test]
async fn an_openmetrics_client_gets_openmetrics() {
    let asked =
        request("GET", "/federate?match[]=a").header("accept", "application/openmetrics-text; version=1.0.0");
    let response = send(&world().router(), asked.body(Body::empty()).unwrap()).await;
    assert!(text(response).await.ends_with("# EOF\n"));
}

#[tokio::test]
async fn without_a_selector_or_with_a_wrong_one_it_is_refused() {
    for path in ["/federate", "/federate?match[]=%7B", "/federate?match[]=rate(a[5m])"] {
        let response = send(&world().router(), request("GET", path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}
