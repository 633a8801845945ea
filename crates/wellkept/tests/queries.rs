//! Prometheus' query doors on real data, and what happens to questions that make no sense.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::io::Write as _;
use std::net::TcpStream;

use common::{Answer, Home, Up, encode, now_ms, seconds, wait_for};
use serde_json::{Value, json};

#[track_caller]
fn assert_error(what: &str, answer: &Answer, status: u16, kind: &str) {
    let head: String = answer.text.chars().take(300).collect();
    assert_eq!(answer.status, status, "{what}: {head}");
    assert_eq!(answer.json["status"], "error", "{what}: {head}");
    assert_eq!(answer.json["errorType"], kind, "{what}: {head}");
    assert!(answer.json["error"].as_str().is_some_and(|e| !e.is_empty()), "{what}: {head}");
    assert!(answer.text.len() < 4096, "{what}: the answer repeats the question: {head}");
}

#[test]
fn what_makes_no_sense_gets_an_error_and_harms_nothing() {
    let home = Home::new();
    let mut up = Up::start(&home, None);
    let post = |path: &'static str, query: &str| up.call("POST", path).form(&[("query", query)]).send();

    for wrong in ["rate(", "sum by (", "node_load1[", "{}", "foo bar", "1 +", "\"", "nosuchfunction(up)", ""]
    {
        assert_error(wrong, &post("/api/v1/query", wrong), 400, "bad_data");
        assert_error(wrong, &up.query(wrong), 400, "bad_data");
    }
    let flat = vec!["1"; 10_001].join("+");
    let answer = post("/api/v1/query", &flat);
    assert!(matches!(answer.status, 200 | 400 | 422), "flat chain: {}", answer.status);
    if answer.status == 200 {
        assert_eq!(answer.json["data"]["result"][1], "10001");
    } else {
        assert_error("flat chain", &answer, answer.status, "bad_data");
    }
    for deep in
        ["(".repeat(10_000), format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000)), "-".repeat(20_000)]
    {
        assert_error("deep nesting", &post("/api/v1/query", &deep), 400, "bad_data");
    }
    let long = format!("node_load1{{a=\"{}\"}}", "x".repeat(1 << 20));
    let answer = post("/api/v1/query", &long);
    assert!(matches!(answer.status, 400 | 413), "1 MiB query: {}", answer.status);
    assert_error("1 MiB query", &answer, answer.status, "bad_data");

    let range = |fields: &[(&str, &str)]| up.call("POST", "/api/v1/query_range").form(fields).send();
    let bad_ranges: [&[(&str, &str)]; 4] = [
        &[("query", "up")],
        &[("query", "up"), ("start", "1"), ("end", "0"), ("step", "1")],
        &[("query", "up"), ("start", "0"), ("end", "1"), ("step", "0")],
        &[("query", "up"), ("start", "0"), ("end", "1e9"), ("step", "1")],
    ];
    for fields in bad_ranges {
        assert_error("bad range", &range(fields), 400, "bad_data");
    }
    assert_error("no selector", &up.call("GET", "/api/v1/series").send(), 400, "bad_data");
    let get = |path: &str| up.call("GET", path).send();
    assert_error("unknown incident", &get("/api/v1/incidents/4711"), 404, "not_found");
    let no_number = get("/api/v1/incidents/nonsense");
    assert_error("no incident", &no_number, no_number.status, no_number.json["errorType"].as_str().unwrap());
    assert!(matches!(no_number.status, 400 | 404));
    assert_error("unknown path", &get("/api/v1/nonsense"), 404, "not_found");
    assert_error("unknown path", &get("/api/v2/query"), 404, "not_found");
    assert_error("climbing path", &get("/assets/../../etc/passwd"), 404, "not_found");
    assert_eq!(up.call("PUT", "/api/v1/query").send().status, 405);
    assert_eq!(get("/-/healthy").status, 200);
    assert!(up.is_alive());
}

#[test]
fn answers_have_the_shapes_of_prometheus() {
    let home = Home::new();
    let up = Up::start(&home, None);
    wait_for("a rate can be made", || {
        let result = up.query("rate(node_context_switches_total[1m])").json["data"]["result"].clone();
        (!result.as_array()?.is_empty()).then_some(())
    });

    let vector = up.query("node_load1").json;
    assert_eq!((&vector["status"], &vector["data"]["resultType"]), (&json!("success"), &json!("vector")));
    let row = &vector["data"]["result"][0];
    assert_eq!(row["metric"]["__name__"], "node_load1");
    assert!(row["value"][0].is_number() && row["value"][1].is_string(), "{row}");
    let scalar = up.query("1 + 1").json;
    assert_eq!(
        (&scalar["data"]["resultType"], &scalar["data"]["result"][1]),
        (&json!("scalar"), &json!("2"))
    );
    let at = row["value"][0].as_f64().unwrap();

    let (start, end) = (format!("{}", at - 60.0), format!("{at}"));
    let fields = [("query", "sum(node_load1)"), ("start", &start), ("end", &end), ("step", "5s")];
    let by_post = up.call("POST", "/api/v1/query_range").form(&fields).send().json;
    let as_get = format!("/api/v1/query_range?query=sum(node_load1)&start={start}&end={end}&step=5");
    assert_eq!(up.get(&as_get), by_post);
    assert_eq!(by_post["data"]["resultType"], "matrix");
    let values = by_post["data"]["result"][0]["values"].as_array().unwrap();
    assert!(values.iter().all(|v| v[0].is_number() && v[1].is_string()) && !values.is_empty(), "{by_post}");

    let series = up.get("/api/v1/series?match[]=node_load1");
    assert_eq!(series["data"][0]["__name__"], "node_load1");
    let by_post = up.call("POST", "/api/v1/series").form(&[("match[]", "node_load1")]).send().json;
    assert_eq!(by_post, series);
    let labels = up.get("/api/v1/labels");
    assert!(labels["data"].as_array().unwrap().contains(&json!("__name__")), "{labels}");
    assert_eq!(up.call("POST", "/api/v1/labels").form(&[]).send().json["status"], "success");
    let names = up.get("/api/v1/label/__name__/values");
    for name in ["node_load1", "node_cpu_seconds_total", "node_memory_MemAvailable_bytes"] {
        assert!(names["data"].as_array().unwrap().contains(&json!(name)), "{name}");
    }
    let modes = up.get("/api/v1/label/mode/values");
    assert!(modes["data"].as_array().unwrap().contains(&json!("idle")), "{modes}");
    let top = up.query("topk(1, sum by (mode) (rate(node_cpu_seconds_total[1m])))").json;
    assert_eq!(top["data"]["result"].as_array().unwrap().len(), 1, "{top}");
    let nothing = up.query("no_such_metric").json;
    assert_eq!(nothing["data"], json!({ "resultType": "vector", "result": Value::Array(Vec::new()) }));
}

#[test]
fn our_own_metrics_and_the_console_are_served() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let own = up.call("GET", "/metrics").send();
    assert!(own.text.contains("# TYPE wellkept_"), "{}", own.text);
    assert!(own.text.lines().filter(|l| !l.starts_with('#')).all(|l| l.rsplit_once(' ').is_some()));
    for page in ["/", "/host", "/incidents/1"] {
        let answer = up.call("GET", page).send();
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.text.to_lowercase().contains("<!doctype html>"), "{page}");
    }
}

#[test]
fn a_query_ends_when_its_client_leaves() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let now = now_ms();
    let lines: String = (0..300)
        .flat_map(|i| (0..200).map(move |t| format!("big{{i=\"{i}\"}} {} {}\n", t * i % 7, now - t * 10_000)))
        .collect();
    assert_eq!(up.call("POST", "/api/v1/import/prometheus").body(lines).send().status, 204);
    let (start, end) = (seconds(now - 2_000_000), seconds(now));
    let fields = [
        ("query", "sum(quantile_over_time(0.5, big[20m]))"),
        ("start", &start),
        ("end", &end),
        ("step", "200ms"),
    ];
    let request =
        format!("GET /api/v1/query_range?{} HTTP/1.1\r\nhost: {}\r\n\r\n", encode(&fields), up.address);
    let clients: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = TcpStream::connect(up.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    wait_for("they hold all places", || (up.query("1").status == 503).then_some(()));
    drop(clients);
    // Left alone, each of them would hold its place for a minute.
    let (_, took) = wait_for("the places are free", || (up.query("1").status == 200).then_some(()));
    assert!(took.as_secs() < 15, "{took:?}");
}
