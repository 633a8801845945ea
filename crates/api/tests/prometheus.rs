//! Prometheus' HTTP API over a source in memory.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use common::*;
use serde_json::{Value, json};

fn form(path: &str, body: String) -> axum::http::Request<Body> {
    let request = request("POST", path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body)).unwrap()
}

async fn failed(response: Response<Body>) -> (u16, String, String) {
    let (status, body) = answer(response).await;
    assert_eq!(body["status"], "error");
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    (status.as_u16(), text("errorType"), text("error"))
}

#[tokio::test]
async fn an_instant_query_gives_a_vector_by_get_and_by_form() {
    let router = World::new().router();
    let expected = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"__name__": "up", "job": "a"}, "value": [1_700_000_100, "1"]}]}});
    let (status, body) = get(&router, "/api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=1700000100").await;
    assert_eq!((status, body), (StatusCode::OK, expected.clone()));
    let posted = form("/api/v1/query", "query=up%7Bjob%3D%22a%22%7D&time=2023-11-14T22%3A15%3A00Z".into());
    assert_eq!(answer(send(&router, posted).await).await, (StatusCode::OK, expected));
}

#[tokio::test]
async fn the_default_instant_is_now() {
    let (_, body) = get(&World::new().router(), "/api/v1/query?query=vector(1)").await;
    assert_eq!(body["data"]["result"][0]["value"], json!([1_700_000_100, "1"]));
}

#[tokio::test]
async fn values_that_json_lacks_are_texts() {
    let (_, body) = get(&World::new().router(), "/api/v1/query?query=odd").await;
    assert_eq!(body["data"]["result"][0]["value"][1], "+Inf");
    let (_, body) = get(&World::new().router(), "/api/v1/query?query=0%2F0").await;
    assert_eq!(body["data"], json!({"resultType": "scalar", "result": [1_700_000_100, "NaN"]}));
}

#[tokio::test]
async fn a_range_query_gives_a_matrix() {
    let path = "/api/v1/query_range?query=up%7Bjob%3D%22b%22%7D&start=1700000098&end=1700000100&step=1s";
    let (status, body) = get(&World::new().router(), path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"]["resultType"], "matrix");
    let values = json!([[1_700_000_098, "0"], [1_700_000_099, "0"], [1_700_000_100, "0"]]);
    assert_eq!(body["data"]["result"][0]["values"], values);
}

#[tokio::test]
async fn series_labels_and_values_are_found() {
    let router = World::new().router();
    let data = async |path: &str| -> Value { get(&router, path).await.1["data"].clone() };
    let series = data("/api/v1/series?match%5B%5D=up%7Bjob%3D%22a%22%7D&match[]=odd").await;
    let expected = json!([{"__name__": "odd", "x": "\u{202e}<b>"}, {"__name__": "up", "job": "a"}]);
    assert_eq!(series, expected);
    assert_eq!(data("/api/v1/labels").await, json!(["__name__", "job", "x"]));
    assert_eq!(data("/api/v1/labels?match[]=up").await, json!(["__name__", "job"]));
    assert_eq!(data("/api/v1/label/job/values").await, json!(["a", "b"]));
    assert_eq!(data("/api/v1/label/job/values?end=1").await, json!([]));
    let (_, body) = get(&router, "/api/v1/label/job/values?limit=1").await;
    assert_eq!(
        (&body["data"], &body["warnings"]),
        (&json!(["a"]), &json!(["results truncated due to limit"]))
    );
}

#[tokio::test]
async fn buildinfo_says_who_we_are() {
    let (_, body) = get(&World::new().router(), "/api/v1/status/buildinfo").await;
    assert_eq!(
        (&body["data"]["version"], &body["data"]["application"]),
        (&json!("0.1.0"), &json!("wellkept"))
    );
}

#[tokio::test]
async fn bad_parameters_are_bad_data() {
    let router = World::new().router();
    for path in [
        "/api/v1/query",
        "/api/v1/query?query=",
        "/api/v1/query?query=up%7B",
        "/api/v1/query?query=up&time=yesterday",
        "/api/v1/query?query=up&timeout=0",
        "/api/v1/query?query=no_such_function(up)",
        "/api/v1/query?query=%00%ff",
        "/api/v1/query_range?query=up&start=1&end=2",
        "/api/v1/query_range?query=up&start=1&end=2&step=0",
        "/api/v1/query_range?query=up&start=1&end=2&step=-1s",
        "/api/v1/query_range?query=up&start=2&end=1&step=1",
        "/api/v1/query_range?query=up&start=0&end=11001&step=1",
        "/api/v1/query_range?query=up&start=-1e300&end=1e300&step=1",
        "/api/v1/series",
        "/api/v1/series?match[]=up&start=2&end=1",
        "/api/v1/series?match[]=rate(up[5m])",
        "/api/v1/series?match[]=%7Ba%3D~%22(((%22%7D",
        "/api/v1/labels?limit=-1",
        "/api/v1/label/job/values?match[]=%7B",
    ] {
        let response = send(&router, request("GET", path).body(Body::empty()).unwrap()).await;
        let (status, kind, error) = failed(response).await;
        assert_eq!((status, kind.as_str()), (400, "bad_data"), "{path}: {error}");
        assert!(!error.is_empty() && error.chars().count() <= 1001, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_flat_chain_of_ten_thousand_additions_is_refused() {
    let chain = format!("query=1{}", "%2B1".repeat(10_000));
    let (status, kind, _) = failed(send(&World::new().router(), form("/api/v1/query", chain)).await).await;
    assert_eq!((status, kind.as_str()), (400, "bad_data"));
}

#[tokio::test]
async fn a_query_of_a_mebibyte_is_refused_at_either_bound() {
    let router = World::new().router();
    for (bytes, expected) in [(1_000_000, 400), (1 << 20, 413), (4 << 20, 413)] {
        let body = format!("query={}", "x".repeat(bytes));
        let (status, kind, error) = failed(send(&router, form("/api/v1/query", body)).await).await;
        assert_eq!((status, kind.as_str()), (expected, "bad_data"), "{error}");
    }
}

#[tokio::test]
async fn a_json_body_is_no_form() {
    let json = request("POST", "/api/v1/query").header("content-type", "application/json");
    let response = send(&World::new().router(), json.body(Body::from(r#"{"query":"up"}"#)).unwrap()).await;
    assert_eq!(failed(response).await.0, 415);
}

#[tokio::test(start_paused = true)]
async fn too_many_evaluations_at_once_are_refused_in_prometheus_words() {
    let mut world = World::new();
    world.shared.limits.evaluations = 0;
    let response =
        send(&world.router(), request("GET", "/api/v1/query?query=up").body(Body::empty()).unwrap()).await;
    let (status, kind, _) = failed(response).await;
    assert_eq!((status, kind.as_str()), (503, "unavailable"));
}
