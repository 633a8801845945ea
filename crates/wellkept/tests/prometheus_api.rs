//! What Prometheus' clients ask, asked of the real Prometheus and of the program: the answers must be the same.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::twins::with_twins;
use common::{Answer, Call, Ended, Home, Server, Up, now_ms, rows, seconds, skipped, wait_for};
use serde_json::Value;

/// Everything that they tell, we tell, of the same type.
#[track_caller]
fn assert_tells(theirs: &Value, ours: &Value, place: &str) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                let there = ours.get(name).unwrap_or_else(|| panic!("{place}.{name} is missing: {ours:?}"));
                assert_tells(value, there, &format!("{place}.{name}"));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            assert_eq!(theirs.is_empty(), ours.is_empty(), "{place}: {theirs:?} {ours:?}");
            for (theirs, ours) in theirs.iter().zip(ours) {
                assert_tells(theirs, ours, &format!("{place}[]"));
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(theirs),
            std::mem::discriminant(ours),
            "{place}: they say {theirs}, we say {ours}"
        ),
    }
}

/// Numbers that may differ in the last digits, because sums are taken in another order.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Array(all) => Value::Array(all.iter().map(rounded).collect()),
        Value::Object(all) => Value::Object(all.iter().map(|(n, v)| (n.clone(), rounded(v))).collect()),
        Value::String(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::String(format!("{number:.9e}")),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn sorted(data: &Value) -> Vec<String> {
    rows(&rounded(data))
}

/// Method, path, fields.
type Asked<'a> = (&'static str, &'a str, Vec<(&'a str, &'a str)>);

const QUERIES: [&str; 22] = [
    "shop_orders_total",
    "shop_odd",
    "shop_gone",
    "rate(shop_orders_total[5m])",
    "increase(shop_orders_total{host=\"b\"}[10m])",
    "sum by (host) (irate(shop_orders_total[1m]))",
    "histogram_quantile(0.9, sum by (le) (rate(shop_seconds_bucket[5m])))",
    "topk(2, shop_orders_total)",
    "shop_orders_total / ignoring(code) group_left sum without (code) (shop_orders_total)",
    "shop_queue_length offset 5m",
    "max_over_time(rate(shop_orders_total[1m])[5m:30s])",
    "absent(shop_nothing{a=\"b\"})",
    "label_replace(shop_queue_length, \"x\", \"$1\", \"job\", \"(.).*\")",
    "count_values(\"v\", shop_orders_total > bool 100)",
    "shop_queue_length > 5 or shop_gone unless shop_odd",
    "quantile_over_time(0.5, shop_queue_length[3m])",
    "predict_linear(shop_queue_length[5m], 60)",
    "time() - timestamp(shop_queue_length)",
    "scalar(shop_queue_length) + vector(1)",
    "1 + 2 * 3 ^ 2",
    "\"a string\"",
    "shop_queue_length[1m]",
];

#[test]
fn queries_are_answered_as_prometheus_answers_them() {
    with_twins(|twins| {
        // Between two samples: before version 3 a window had its first instant, too.
        let (at, start) = (seconds(twins.end + 7000), seconds(twins.end - 593_000));
        for query in QUERIES {
            for method in ["GET", "POST"] {
                let [theirs, ours] = twins.ask(method, "/api/v1/query", &[("query", query), ("time", &at)]);
                assert_eq!(
                    (theirs.status, ours.status),
                    (200, 200),
                    "{query}: {} {}",
                    theirs.text,
                    ours.text
                );
                let kind = |a: &Answer| a.json["data"]["resultType"].clone();
                assert_eq!(kind(&theirs), kind(&ours), "{query}");
                assert_eq!(sorted(&theirs.json["data"]), sorted(&ours.json["data"]), "{query}");
            }
            if query.ends_with("[1m]") || query.starts_with('"') {
                continue;
            }
            let fields = [("query", query), ("start", &start), ("end", &at), ("step", "30s")];
            let [theirs, ours] = twins.ask("POST", "/api/v1/query_range", &fields);
            assert_eq!((theirs.status, ours.status), (200, 200), "{query}: {} {}", theirs.text, ours.text);
            assert!(!sorted(&theirs.json["data"]).is_empty(), "{query}");
            assert_eq!(sorted(&theirs.json["data"]), sorted(&ours.json["data"]), "{query} over a range");
        }
    });
}

#[test]
fn what_grafana_asks_is_answered_as_prometheus_answers_it() {
    with_twins(|twins| {
        // Prometheus takes five seconds to begin.
        twins.wait_for("the target is scraped", "page_visits_total");
        // Prometheus tells the labels of its whole head, whatever time is asked for: all of it is asked for here.
        let (start, end) = (seconds(twins.end - 900_000), seconds(now_ms() + 1000));
        let range = [("start", start.as_str()), ("end", end.as_str())];
        let with = |more: &[(&'static str, &'static str)]| [more, &range].concat();
        let equal: [Asked<'_>; 14] = [
            ("POST", "/api/v1/query", vec![("query", "1+1"), ("time", "4")]),
            ("POST", "/api/v1/labels", with(&[])),
            ("GET", "/api/v1/labels", with(&[("match[]", "shop_orders_total")])),
            ("POST", "/api/v1/labels", with(&[("match[]", "{job=\"shop\"}"), ("match[]", "shop_gone")])),
            ("GET", "/api/v1/label/host/values", with(&[])),
            ("GET", "/api/v1/label/code/values", with(&[("match[]", "shop_orders_total{host=\"b\"}")])),
            ("GET", "/api/v1/label/__name__/values", with(&[("match[]", "{job=\"shop\"}")])),
            ("GET", "/api/v1/label/nothing/values", with(&[])),
            ("POST", "/api/v1/series", with(&[("match[]", "shop_seconds_bucket")])),
            ("GET", "/api/v1/series", with(&[("match[]", "{__name__=~\"shop_.*\",job=\"shop\"}")])),
            ("POST", "/api/v1/series", with(&[("match[]", "nothing")])),
            ("POST", "/api/v1/query_exemplars", with(&[("query", "rate(shop_orders_total[5m])")])),
            ("GET", "/api/v1/query_exemplars", with(&[("query", "shop_queue_length")])),
            ("GET", "/api/v1/metadata", vec![("metric", "page_visits_total")]),
        ];
        for (method, path, fields) in equal {
            let [theirs, ours] = twins.ask(method, path, &fields);
            assert_eq!((theirs.status, ours.status), (200, 200), "{path} {fields:?}: {}", ours.text);
            let sorted = |a: &Answer| {
                let mut data = a.json["data"].clone();
                if let Some(all) = data.as_array_mut() {
                    all.sort_by_key(Value::to_string);
                }
                data
            };
            assert_eq!(sorted(&theirs), sorted(&ours), "{method} {path} {fields:?}");
            let kind = |a: &Answer| a.headers["content-type"].to_str().unwrap().to_owned();
            assert_eq!(kind(&theirs), kind(&ours), "{path}");
        }
        for (path, fields) in [
            ("/api/v1/status/buildinfo", vec![]),
            ("/api/v1/status/runtimeinfo", vec![]),
            ("/api/v1/status/config", vec![]),
            ("/api/v1/status/tsdb", vec![]),
            ("/api/v1/metadata", vec![]),
            ("/api/v1/metadata", vec![("limit", "5")]),
            ("/api/v1/rules", vec![]),
            ("/api/v1/rules", vec![("type", "alert")]),
            ("/api/v1/rules", vec![("type", "record")]),
            ("/api/v1/alerts", vec![]),
            ("/api/v1/targets", vec![]),
            ("/api/v1/targets", vec![("state", "active")]),
            ("/api/v1/format_query", vec![("query", "foo/bar")]),
        ] {
            let [theirs, ours] = twins.ask("GET", path, &fields);
            assert_eq!((theirs.status, ours.status), (200, 200), "{path} {fields:?}: {}", ours.text);
            assert_tells(&theirs.json, &ours.json, &format!("{path} {fields:?}"));
        }
        for answer in twins.ask("GET", "/api/v1/metadata", &[("limit", "1")]) {
            assert_eq!(answer.json["data"].as_object().unwrap().len(), 1, "{}", answer.text);
        }
        let [theirs, ours] = twins.ask("GET", "/api/v1/alerts", &[]);
        let alert = |a: &Answer| {
            let alert = a.json["data"]["alerts"][0].clone();
            [
                alert["labels"].clone(),
                alert["annotations"].clone(),
                alert["state"].clone(),
                alert["value"].clone(),
            ]
        };
        assert_eq!(alert(&theirs), alert(&ours));
        let [theirs, ours] = twins.ask("GET", "/api/v1/targets", &[]);
        for list in ["activeTargets", "droppedTargets"] {
            let names = ["labels", "discoveredLabels", "scrapePool", "scrapeUrl", "health", "lastError"];
            let names = names.iter().chain(&["scrapeInterval", "scrapeTimeout"]);
            for name in names {
                let (theirs, ours) = (&theirs.json["data"][list][0][name], &ours.json["data"][list][0][name]);
                assert!(theirs == ours || theirs.is_null(), "{list} {name}: {theirs} {ours}");
            }
        }
        let [theirs, ours] = twins.ask("GET", "/api/v1/rules", &[]);
        let group = |a: &Answer| a.json["data"]["groups"][0].clone();
        let (theirs, ours) = (group(&theirs), group(&ours));
        for name in ["name", "file", "interval", "limit"] {
            assert_eq!(theirs[name], ours[name], "{name}");
        }
        for rule in 0..3 {
            for name in ["name", "query", "labels", "annotations", "type", "health", "duration", "state"] {
                assert_eq!(theirs["rules"][rule][name], ours["rules"][rule][name], "{rule} {name}");
            }
        }
    });
}

#[test]
fn what_cannot_be_answered_is_refused_as_prometheus_refuses_it() {
    with_twins(|twins| {
        let wrong: [Asked<'_>; 18] = [
            ("GET", "/api/v1/query", vec![]),
            ("GET", "/api/v1/query", vec![("query", "rate(")]),
            ("GET", "/api/v1/query", vec![("query", "rate(shop_orders_total)")]),
            ("GET", "/api/v1/query", vec![("query", "{}")]),
            ("GET", "/api/v1/query", vec![("query", "1"), ("time", "yesterday")]),
            ("GET", "/api/v1/query", vec![("query", "1"), ("timeout", "soon")]),
            ("POST", "/api/v1/query", vec![("query", "shop_orders_total + on() shop_orders_total")]),
            (
                "POST",
                "/api/v1/query_range",
                vec![("query", "1"), ("start", "2"), ("end", "1"), ("step", "1")],
            ),
            (
                "POST",
                "/api/v1/query_range",
                vec![("query", "1"), ("start", "1"), ("end", "2"), ("step", "0")],
            ),
            (
                "POST",
                "/api/v1/query_range",
                vec![("query", "1"), ("start", "1"), ("end", "99999"), ("step", "1")],
            ),
            (
                "GET",
                "/api/v1/query_range",
                vec![("query", "a[1m]"), ("start", "1"), ("end", "2"), ("step", "1")],
            ),
            ("GET", "/api/v1/series", vec![]),
            ("GET", "/api/v1/series", vec![("match[]", "{a=~\"(\"}")]),
            ("GET", "/api/v1/series", vec![("match[]", "{a=~\".*\"}")]),
            ("GET", "/api/v1/labels", vec![("match[]", "1 + 1")]),
            ("GET", "/api/v1/query_exemplars", vec![("query", "rate(")]),
            ("GET", "/api/v1/rules", vec![("type", "nonsense")]),
            ("GET", "/api/v1/metadata", vec![("limit", "many")]),
        ];
        for (method, path, fields) in wrong {
            let [theirs, ours] = twins.ask(method, path, &fields);
            let what = |a: &Answer| (a.status, a.json["status"].clone(), a.json["errorType"].clone());
            assert_eq!(what(&theirs), what(&ours), "{path} {fields:?}: {} {}", theirs.text, ours.text);
            assert!(ours.json["error"].as_str().is_some_and(|e| !e.is_empty()), "{}", ours.text);
        }
    });
}

#[test]
fn promtool_shows_the_same_of_both() {
    with_twins(|twins| {
        let (start, end) = (seconds(twins.end - 300_000), seconds(twins.end));
        let (from, to, at) = (format!("--start={start}"), format!("--end={end}"), format!("--time={end}"));
        let lines = |ended: &Ended| {
            let mut lines: Vec<String> = ended.out.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let runs: [(Vec<&str>, Vec<&str>); 6] = [
            (vec!["instant", &at], vec!["shop_orders_total"]),
            (vec!["instant", &at], vec!["sum(shop_orders_total) by (host)"]),
            (vec!["range", &from, &to, "--step=30s"], vec!["shop_queue_length"]),
            (vec!["series", "--match=shop_orders_total", &from, &to], vec![]),
            (vec!["labels", &from, &to], vec!["host"]),
            (vec!["labels", "--match=shop_seconds_bucket", &from, &to], vec!["le"]),
        ];
        for (before, after) in runs {
            let [theirs, ours] = twins.promtool(&before, &after);
            assert_eq!((theirs.code, ours.code), (Some(0), Some(0)), "{before:?}: {ours:?}");
            assert!(!theirs.out.trim().is_empty(), "{before:?}");
            assert_eq!(lines(&theirs), lines(&ours), "{before:?} {after:?}");
        }
        let [theirs, ours] = twins.promtool(&["instant"], &["rate("]);
        assert_eq!(theirs.code, ours.code, "{ours:?}");
        assert!(ours.code != Some(0) && ours.err.contains("bad_data"), "{ours:?}");
    });
}

#[test]
fn federation_gives_what_prometheus_gives() {
    with_twins(|twins| {
        let selector = [
            ("match[]", "{__name__=~\"shop_orders_total|shop_queue_length|shop_odd\"}"),
            ("match[]", "shop:all"),
        ];
        let [theirs, ours] = twins.ask("GET", "/federate", &selector);
        assert_eq!((theirs.status, ours.status), (200, 200), "{}", ours.text);
        // Labels may be written in any order, numbers in any form, and rules are evaluated at times of their own.
        let lines = |a: &Answer| {
            let mut lines: Vec<String> =
                a.text.lines().filter(|l| !l.starts_with('#')).map(in_order).collect();
            lines.sort();
            lines
        };
        assert!(lines(&theirs).len() > 4, "{}", theirs.text);
        assert_eq!(lines(&theirs), lines(&ours));
        let [theirs, ours] = twins.ask("GET", "/federate", &[("match[]", "nothing")]);
        assert_eq!((theirs.status, theirs.text.as_str()), (ours.status, ours.text.as_str()));
        let [theirs, ours] = twins.ask("GET", "/federate", &[("match[]", "rate(")]);
        assert_eq!(theirs.status, ours.status);
    });
}

/// A line of the text format with its labels in order, its number read, and the time only of what was pushed.
fn in_order(line: &str) -> String {
    let (series, rest) = line.split_once("} ").unwrap();
    let (name, labels) = series.split_once('{').unwrap();
    let mut labels: Vec<&str> = labels.split(',').collect();
    labels.sort_unstable();
    let (value, at) = rest.split_once(' ').unwrap();
    let value: f64 = value.parse().unwrap();
    let at = if name == "shop:all" { "" } else { at };
    format!("{name} {labels:?} {value} {at}")
}

#[test]
fn a_prometheus_scrapes_us_and_federates_from_us() {
    let (home, other) = (Home::new(), Home::new());
    let up = Up::start(&home, None);
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
         - job_name: own\n  static_configs: [{{ targets: ['{0}'] }}]\n\
         - job_name: federated\n  honor_labels: true\n  metrics_path: /federate\n  \
         params: {{ 'match[]': ['{{__name__=~\"node_.*\"}}'] }}\n  static_configs: [{{ targets: ['{0}'] }}]\n",
        up.address
    );
    let Some(server) = Server::prometheus(&other, "prometheus", &config, &[]) else {
        return skipped("prometheus is not installed");
    };
    let has = |query: &str| (!rows(&server.query(query, &seconds(now_ms()))).is_empty()).then_some(());
    wait_for("our own metrics", || has("wellkept_rounds_total{job=\"own\"}"));
    wait_for("our series under their own names", || has("node_load1{job=\"wellkept\"}"));
    wait_for("both targets are well", || has("sum(up) == 2"));
    let told = Call::new(server.address, "GET", "/api/v1/targets?state=active").send().json;
    for target in told["data"]["activeTargets"].as_array().unwrap() {
        assert_eq!(target["lastError"], "", "{target}");
    }
}

#[test]
fn our_own_metrics_pass_promtools_check() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let page = up.call("GET", "/metrics").send();
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let check = |text: &str| {
        let mut command = Command::new("promtool");
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Some(child.wait_with_output().unwrap())
    };
    let Some(checked) = check(&page.text) else {
        return skipped("promtool is not installed");
    };
    let said =
        String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.is_empty(), "{said}");
    assert!(!check("a_total{ 1\n").unwrap().status.success(), "the check can fail");
}
